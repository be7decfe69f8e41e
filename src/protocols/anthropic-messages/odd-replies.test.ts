/** Replies of kinds that are rare, as public recordings show them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatEvent } from '../../core/chat.ts';
import { createFolder } from '../../core/collect.ts';
import type { JsonObject } from '../../core/json.ts';
import { createRelayScanner, createStreamDecoder, decodeResponse } from '../anthropic-messages.ts';

function result(events: ChatEvent[]) {
  const folder = createFolder();
  for (const event of events) folder.push(event);
  return folder.result();
}

const decode = (events: JsonObject[]): ChatEvent[] => {
  const decoder = createStreamDecoder();
  return [...events.flatMap((event) => decoder.push({ data: JSON.stringify(event) })), ...decoder.end()];
};

const relay = (events: JsonObject[]) => {
  const scanner = createRelayScanner();
  scanner.push(Buffer.from(events.map((event) => `event: x\ndata: ${JSON.stringify(event)}\n\n`).join('')));
  scanner.end();
  return scanner;
};

/** A turn that a program of the model's own goes on with: everything is in the first event. */
const givenAtOnce: JsonObject[] = [
  {
    type: 'message_start',
    message: {
      id: 'msg_1',
      model: 'm',
      role: 'assistant',
      content: [
        { type: 'code_execution_tool_result', tool_use_id: 'srvtoolu_1', content: { stdout: 'x' } },
        { type: 'thinking', thinking: 'hm', signature: 'sig' },
        { type: 'text', text: 'Looking it up.' },
        { type: 'tool_use', id: 'toolu_1', name: 'lookup', input: { id: 7 }, caller: { type: 'code_execution' } },
      ],
      stop_reason: 'tool_use',
      stop_sequence: null,
      usage: { input_tokens: 4, output_tokens: 2 },
    },
  },
  { type: 'message_stop' },
];

test('content that stands in the first event is part of the answer', () => {
  const { parts, finish } = result(decode(givenAtOnce));
  assert.deepEqual(parts, [
    { type: 'reasoning', text: 'hm', signature: 'sig', origin: 'anthropic-messages' },
    { type: 'text', text: 'Looking it up.' },
    { type: 'tool-call', id: 'toolu_1', name: 'lookup', arguments: '{"id":7}' },
  ]);
  assert.deepEqual(
    [finish.reason, finish.rawReason, finish.usage],
    ['tool-calls', 'tool_use', { input: 4, output: 2 }],
  );
  const { contentSeen, finish: relayed, usage, error } = relay(givenAtOnce);
  assert.deepEqual([contentSeen, relayed, usage, error], [true, 'tool_use', { input: 4, output: 2 }, undefined]);
});

test('what compaction read and wrote is billed beside the counts of the message', () => {
  const usage = {
    input_tokens: 682,
    output_tokens: 1320,
    cache_read_input_tokens: 0,
    iterations: [
      { type: 'compaction', input_tokens: 60_385, output_tokens: 592, cache_read_input_tokens: 100 },
      { type: 'message', input_tokens: 682, output_tokens: 1320 },
    ],
  };
  const content = [
    { type: 'compaction', content: 'Earlier: …' },
    { type: 'text', text: 'On it.' },
  ];
  const { parts, finish } = result(
    decodeResponse({ id: 'msg_1', model: 'm', content, stop_reason: 'end_turn', usage }),
  );
  assert.deepEqual(parts, [{ type: 'text', text: 'On it.' }]);
  assert.deepEqual(finish.usage, { input: 61_167, output: 1912, cacheRead: 100 });
});

test('a refusal without a word, a change of the model in mid-answer, counts that grow', () => {
  const { parts, finish } = result(
    decode([
      {
        type: 'message_start',
        message: { id: 'msg_1', model: 'a', content: [], usage: { input_tokens: 43, output_tokens: 1 } },
      },
      { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'thinking_delta', thinking: 'one' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'signature_delta', signature: 'A' } },
      { type: 'content_block_stop', index: 0 },
      {
        type: 'content_block_start',
        index: 1,
        content_block: { type: 'fallback', from: { model: 'a' }, to: { model: 'b' } },
      },
      { type: 'content_block_stop', index: 1 },
      { type: 'content_block_start', index: 2, content_block: { type: 'thinking', thinking: '', signature: '' } },
      { type: 'content_block_delta', index: 2, delta: { type: 'thinking_delta', thinking: 'two' } },
      { type: 'content_block_delta', index: 2, delta: { type: 'signature_delta', signature: 'B' } },
      { type: 'content_block_stop', index: 2 },
      {
        type: 'message_delta',
        delta: { stop_reason: 'refusal', stop_details: { type: 'refusal', category: 'cyber' } },
        usage: { input_tokens: 61, output_tokens: 70, iterations: [{ type: 'fallback_message', input_tokens: 12 }] },
      },
      { type: 'message_stop' },
    ]),
  );
  assert.deepEqual(parts, [
    { type: 'reasoning', text: 'one', signature: 'A', origin: 'anthropic-messages' },
    { type: 'reasoning', text: 'two', signature: 'B', origin: 'anthropic-messages' },
  ]);
  assert.deepEqual(
    [finish.reason, finish.rawReason, finish.usage],
    ['content-filter', 'refusal', { input: 61, output: 70 }],
  );
});
