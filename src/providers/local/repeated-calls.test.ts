import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message } from '../../core/chat.ts';
import type { EngineMessage } from './messages.ts';
import { answeredCalls, callKey, resultsInWords } from './repeated-calls.ts';

const small = 5e8;
const large = 8e9;
const user: Message = { role: 'user', parts: [{ type: 'text', text: 'Is it done?' }] };
const round = (result: string, json = '{"job": 7}'): Message[] => [
  { role: 'assistant', parts: [{ type: 'tool-call', id: 'c', name: 'status', arguments: json }] },
  { role: 'tool', toolCallId: 'c', parts: [{ type: 'text', text: result }] },
];
const key = callKey('status', '{"job":7}');

test('a small model is stuck at its first repetition', () => {
  assert.deepEqual([...answeredCalls([user, ...round('pending')], small)], [key]);
});

test('a larger one may ask again, as long as something changes', () => {
  assert.equal(answeredCalls([user, ...round('pending'), ...round('pending')], large).size, 0);
  assert.equal(answeredCalls([user, ...round('1 %'), ...round('2 %'), ...round('3 %')], large).size, 0);
  const same = [user, ...round('pending'), ...round('pending', '{"job":7}'), ...round('pending')];
  assert.deepEqual([...answeredCalls(same, large)], [key]);
});

test('after the user has spoken again, every call is new', () => {
  assert.equal(answeredCalls([user, ...round('pending'), user], small).size, 0);
  assert.equal(answeredCalls([user], small).size, 0);
});

test('results become words of the question, each once', () => {
  const calls = (id: string) => [{ id, name: 'status', arguments: '{"job":7}' }];
  const messages: EngineMessage[] = [
    { role: 'user', content: [{ text: 'Is it done?' }, { image: 'aGk=' }] },
    { role: 'assistant', content: [], calls: calls('a') },
    { role: 'tool', content: [{ text: 'yes' }], toolCallId: 'a' },
    { role: 'assistant', content: [], calls: calls('b') },
    { role: 'tool', content: [{ text: 'yes' }], toolCallId: 'b' },
  ];
  const words = { text: '\n\nResult of status({"job":7}):\nyes' };
  assert.deepEqual(resultsInWords(messages), [
    { role: 'user', content: [{ text: 'Is it done?' }, { image: 'aGk=' }, words] },
  ]);
});
