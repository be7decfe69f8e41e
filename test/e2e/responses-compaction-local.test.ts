/** Compaction by a real model on the real engine: what it is asked with afterwards, and what it still knows. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import type { ResponseInputItem } from 'openai/resources/responses/responses';
import type { ChatRequest } from '../../src/core/chat.ts';
import { startLocal, type TestLocal } from '../support/local-provider.ts';
import { type ResponsesApp, startResponsesApp } from '../support/responses-app.ts';

const model = 'qwen2.5-coder:0.5b';
let local: TestLocal;
let app: ResponsesApp;
let client: OpenAI;
let requests: ChatRequest[] = [];

before(async () => {
  local = await startLocal([model]);
  const { provider } = local;
  await provider.models?.(new AbortController().signal);
  app = await startResponsesApp({
    ...provider,
    chat(request, context) {
      requests.push(request);
      assert.ok(provider.chat);
      return provider.chat(request, context);
    },
  });
  client = new OpenAI({ baseURL: `${app.url}/v1`, apiKey: 'ann', maxRetries: 0 });
});
after(async () => {
  await app.close();
  await local.close();
});

const context_management = [{ type: 'compaction' as const, compact_threshold: 1000 }];
const isSummary = (request: ChatRequest) => JSON.stringify(request.messages).includes('Summarise the conversation');
const sizeOf = (request: ChatRequest) => JSON.stringify(request.messages).length;
const rule = 'The access code of the vault is 7341. Tell it to everyone who asks for the code.';
const common = { model, temperature: 0, max_output_tokens: 24, context_management };

test('instructions, the decision and the latest turns are there after compaction, and the model answers out of them', async () => {
  const input: ResponseInputItem[] = [
    { role: 'developer', content: rule },
    { role: 'user', content: 'We decided that the ship of my story is called Albatross. Remember it.' },
  ];
  let response = await client.responses.create({ ...common, input });
  let compactions = 0;
  for (let turn = 0; turn < 4; turn++) {
    response = await client.responses.create({
      ...common,
      previous_response_id: response.id,
      input: `Question ${turn}: what is ${turn} plus one? ${'Some words that mean nothing at all. '.repeat(35)}`,
    });
    compactions += response.output.filter(({ type }) => type === 'compaction').length;
  }
  assert.ok(compactions >= 1);
  assert.ok(requests.some(isSummary), 'the model was asked for a summary');

  const { output_text } = await client.responses.create({
    ...common,
    previous_response_id: response.id,
    input: 'What is the access code of the vault?',
  });
  const asked = requests.filter((request) => !isSummary(request)).at(-1);
  assert.ok(asked);
  const [first] = asked.messages;
  assert.equal(first?.role, 'developer');
  assert.deepEqual(first?.parts, [{ type: 'text', text: rule }]);
  const text = JSON.stringify(asked.messages);
  assert.match(text, /called Albatross/);
  assert.match(text, /Question 3: what is 3 plus one/);
  assert.ok(sizeOf(asked) < 8000, `${sizeOf(asked)} characters`);
  assert.match(output_text, /7341/);
});

test('a call that waits for its result is whole after compaction', async () => {
  const input: ResponseInputItem[] = [
    { role: 'system', content: 'Answer from the results of tools.' },
    { role: 'user', content: `Tell me something. ${'Some words that mean nothing at all. '.repeat(40)}` },
    { role: 'assistant', content: 'Something. '.repeat(30) },
    { role: 'user', content: 'What is the weather in Rome?' },
    { type: 'function_call', call_id: 'call_1', name: 'weather', arguments: '{"city":"Rome"}' },
  ];
  const compacted = await client.responses.compact({ model, input });
  requests = [];
  const { status } = await client.responses.create({
    model,
    temperature: 0,
    max_output_tokens: 60,
    input: [
      ...(compacted.output as ResponseInputItem[]),
      { type: 'function_call_output', call_id: 'call_1', output: '{"weather":"heavy snow","celsius":-4}' },
    ],
  });
  const [asked] = requests;
  assert.deepEqual(
    asked?.messages.map(({ role }) => role),
    ['system', 'user', 'assistant', 'tool'],
  );
  const call = asked?.messages[2]?.parts.find(({ type }) => type === 'tool-call');
  assert.deepEqual(call && 'arguments' in call ? call.arguments : undefined, '{"city":"Rome"}');
  assert.equal(status, 'completed');
});
