/**
 * The Anthropic door with Anthropic's own client, before any model: shapes, errors, streams. anthropic-local.test.ts
 * has the real models.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import Anthropic from '@anthropic-ai/sdk';
import type { ChatEvent, ChatRequest } from '../../src/core/chat.ts';
import { type ErrorCode, ViaductError } from '../../src/core/errors.ts';
import type { RelayRequest } from '../../src/core/provider.ts';
import { createRelayScanner } from '../../src/protocols/anthropic-messages.ts';
import { say, startScriptedApp } from '../support/scripted-app.ts';

type Events = AsyncIterable<readonly ChatEvent[]>;
let app: Awaited<ReturnType<typeof startScriptedApp>>;
let client: Anthropic;
let answer: (request: ChatRequest) => Events;
let lastRequest: ChatRequest;
let aborted = 0;

before(async () => {
  app = await startScriptedApp({
    async *chat(request, { signal }) {
      lastRequest = request;
      signal.addEventListener('abort', () => aborted++);
      yield* answer(request);
    },
    countTokens: async ({ messages }) => messages.length * 10,
  });
  client = new Anthropic({ baseURL: app.url, apiKey: 'any', maxRetries: 0 });
});
after(() => app.close());
beforeEach(() => {
  answer = () => say('Hello', ' there');
});

const hi = [{ role: 'user' as const, content: 'hi' }];
const ask = { model: 'm', max_tokens: 50, messages: hi };
const finish = (reason: 'stop' | 'tool-calls' = 'stop'): ChatEvent => ({
  type: 'finish',
  reason,
  usage: { input: 7, output: 2, cacheRead: 3 },
});

async function* give(...events: ChatEvent[]): Events {
  yield [{ type: 'start', id: 'x', model: 'm' }];
  for (const event of events) yield [event];
}

test('a whole answer', async () => {
  const { data, response, request_id } = await client.messages.create({ ...ask, system: 'Be brief.' }).withResponse();
  assert.deepEqual(data.content, [{ type: 'text', text: 'Hello there', citations: null }]);
  assert.deepEqual([data.type, data.role, data.model, data.stop_reason], ['message', 'assistant', 'm', 'end_turn']);
  assert.deepEqual([data.usage.input_tokens, data.usage.output_tokens], [7, 2]);
  assert.match(data.id, /^msg_/);
  assert.equal(response.headers.get('x-viaduct-provider'), 'local');
  assert.match(String(request_id), /^req_/);
  assert.deepEqual(lastRequest.messages[0], { role: 'system', parts: [{ type: 'text', text: 'Be brief.' }] });
});

test('a stream, through the helper that checks its order', async () => {
  answer = () =>
    give(
      { type: 'reasoning', text: 'hm' },
      { type: 'text', text: 'Hel' },
      { type: 'text', text: 'lo' },
      { type: 'tool-call', index: 0, id: 'toolu_1', name: 'weather' },
      { type: 'tool-input', index: 0, json: '{"city":' },
      { type: 'tool-input', index: 0, json: '"Rome"}' },
      finish('tool-calls'),
    );
  const texts: string[] = [];
  const stream = client.messages.stream(ask).on('text', (text) => texts.push(text));
  const message = await stream.finalMessage();
  assert.deepEqual(texts, ['Hel', 'lo']);
  assert.deepEqual(message.content, [
    { type: 'thinking', thinking: 'hm', signature: '' },
    { type: 'text', text: 'Hello' },
    { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Rome' } },
  ]);
  assert.equal(message.stop_reason, 'tool_use');
  assert.deepEqual(
    [message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens],
    [4, 3, 2],
  );
});

test('a tool loop: the call goes out, its result comes back', async () => {
  answer = ({ messages }) =>
    messages.at(-1)?.role === 'tool'
      ? say('Sunny.')
      : give(
          { type: 'tool-call', index: 0, id: 'toolu_1', name: 'weather' },
          { type: 'tool-input', index: 0, json: '{}' },
          finish('tool-calls'),
        );
  const tools = [{ name: 'weather', input_schema: { type: 'object' as const } }];
  const first = await client.messages.create({ ...ask, tools, tool_choice: { type: 'any' } });
  assert.equal(lastRequest.toolChoice, 'required');
  const result = { type: 'tool_result' as const, tool_use_id: 'toolu_1', content: 'sun', is_error: false };
  const second = await client.messages.create({
    ...ask,
    tools,
    messages: [...hi, { role: 'assistant', content: first.content }, { role: 'user', content: [result] }],
  });
  assert.deepEqual(second.content, [{ type: 'text', text: 'Sunny.', citations: null }]);
  assert.deepEqual(lastRequest.messages.at(-1), {
    role: 'tool',
    toolCallId: 'toolu_1',
    parts: [{ type: 'text', text: 'sun' }],
    isError: false,
  });
});

test('counting tokens', async () => {
  const { input_tokens } = await client.messages.countTokens({ model: 'm', messages: hi, system: 's' });
  assert.equal(input_tokens, 20);
});

test('failures raise the classes of the SDK', async () => {
  const cases: [ErrorCode, number, new (...args: never[]) => Error, string][] = [
    ['context_length_exceeded', 400, Anthropic.BadRequestError, 'invalid_request_error'],
    ['invalid_api_key', 401, Anthropic.AuthenticationError, 'authentication_error'],
    ['privacy_restricted', 403, Anthropic.PermissionDeniedError, 'permission_error'],
    ['model_not_found', 404, Anthropic.NotFoundError, 'not_found_error'],
    ['rate_limit_exceeded', 429, Anthropic.RateLimitError, 'rate_limit_error'],
    ['runner_crashed', 502, Anthropic.InternalServerError, 'api_error'],
    ['queue_full', 529, Anthropic.InternalServerError, 'overloaded_error'],
  ];
  for (const [code, status, Class, type] of cases)
    for (const stream of [false, true]) {
      // biome-ignore lint/correctness/useYield: it fails before the first event
      answer = async function* () {
        throw new ViaductError(code, 'because', { retryAfter: 3 });
      };
      await assert.rejects(client.messages.create({ ...ask, stream }), (error) => {
        assert.ok(error instanceof Class, code);
        assert.ok(error instanceof Anthropic.APIError);
        assert.deepEqual([error.status, error.type], [status, type]);
        assert.match(error.message, /because/);
        assert.equal(error.headers?.get('retry-after'), '3');
        assert.match(String(error.requestID), /^req_/);
        return true;
      });
    }
});

test('bad requests are refused by name, unknown models by what they are', async () => {
  await assert.rejects(client.messages.create({ ...ask, temperature: 7 } as typeof ask), /temperature/);
  await assert.rejects(client.messages.create({ ...ask, max_tokens: undefined as never }), /max_tokens: .*required/);
  await assert.rejects(client.messages.create({ ...ask, model: 'missing' }), Anthropic.NotFoundError);
  await assert.rejects(
    client.messages.create({ ...ask, tools: [{ type: 'web_search_20250305', name: 'web_search' }] }),
    /web_search_20250305/,
  );
  const broken = await fetch(`${app.url}/v1/messages`, { method: 'POST', body: '{"model":' });
  assert.equal(broken.status, 400);
  assert.equal(((await broken.json()) as { type: string }).type, 'error');
});

test('a failure after the beginning ends the stream with an error event', async () => {
  answer = async function* () {
    yield [
      { type: 'start', id: 'x', model: 'm' },
      { type: 'text', text: 'Hel' },
    ];
    throw new ViaductError('provider_overloaded', 'busy');
  };
  await assert.rejects(client.messages.stream(ask).finalMessage(), (error) => {
    assert.ok(error instanceof Anthropic.APIError);
    assert.equal(error.type, 'overloaded_error');
    return true;
  });
});

test('a client that leaves aborts the call', async () => {
  answer = async function* () {
    yield [
      { type: 'start', id: 'x', model: 'm' },
      { type: 'text', text: 'Hel' },
    ];
    await sleep(60_000, undefined, { ref: false });
  };
  const before = aborted;
  const stream = client.messages.stream(ask);
  stream.on('text', () => stream.abort());
  await assert.rejects(stream.done(), Anthropic.APIUserAbortError);
  const deadline = Date.now() + 5000;
  while (aborted === before && Date.now() < deadline) await sleep(10);
  assert.equal(aborted, before + 1);
});

test('what a provider of the same protocol answers is passed through untouched', async () => {
  const events = [
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_9","type":"message","role":"assistant","model":"up","content":[],"usage":{"input_tokens":1,"output_tokens":0}}}\n\n',
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}\n\n',
    'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
    'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4},"future":true}\n\n',
    'event: message_stop\ndata: {"type":"message_stop"}\n\n',
  ];
  let relayed: RelayRequest | undefined;
  const upstream = await startScriptedApp({
    relays: (protocol) => protocol === 'anthropic-messages',
    async relay(request) {
      relayed = request;
      async function* body() {
        for (const event of events) yield Buffer.from(event);
      }
      return {
        status: 200,
        headers: { 'content-type': 'text/event-stream' },
        body: body(),
        scanner: createRelayScanner(),
      };
    },
  });
  try {
    const body = {
      ...ask,
      stream: true,
      tools: [{ type: 'web_search_20250305', name: 'web_search' }],
      new_field: { a: 1 },
    };
    const headers = { 'anthropic-beta': 'files-api-2025-04-14' };
    const response = await fetch(`${upstream.url}/v1/messages`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers,
    });
    assert.equal(await response.text(), events.join(''));
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    assert.deepEqual(relayed?.body['new_field'], { a: 1 });
    assert.deepEqual(relayed?.body['tools'], body.tools);
    assert.deepEqual(relayed?.headers, headers);
  } finally {
    await upstream.close();
  }
});

test('a body that is nested without end is refused at once', async () => {
  const input = `${'{"a":'.repeat(1e6)}1${'}'.repeat(1e6)}`;
  const body = `{"model":"m","max_tokens":5,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":${input}}]}]}`;
  const response = await fetch(`${app.url}/v1/messages`, { method: 'POST', body });
  assert.equal(response.status, 400);
  assert.match(await response.text(), /nested/);
});
