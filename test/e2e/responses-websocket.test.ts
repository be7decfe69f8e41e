/** The Responses API over WebSocket: OpenAI's Node and Python clients, side-by-side turns, bad messages, limits, leaving. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { ResponsesWS } from 'openai/resources/responses/ws';
import { WebSocket } from 'ws';
import type { ChatEvent, ChatRequest } from '../../src/core/chat.ts';
import { ViaductError } from '../../src/core/errors.ts';
import { runPython } from '../support/python.ts';
import { type ResponsesApp, startResponsesApp } from '../support/responses-app.ts';
import { checkEvents } from '../support/responses-contract.ts';
import { lastOf, openSocket } from '../support/responses-socket.ts';
import { say } from '../support/scripted-app.ts';

type Answer = (request: ChatRequest, signal: AbortSignal) => AsyncIterable<readonly ChatEvent[]>;
let answer: Answer;
let requests: ChatRequest[] = [];
let app: ResponsesApp;

before(async () => {
  app = await startResponsesApp({
    chat(request, { signal }) {
      requests.push(request);
      return answer(request, signal);
    },
  });
});
after(() => app.close());
beforeEach(() => {
  answer = (request) => say(`answer ${request.messages.length}`);
  requests = [];
});

const create = (input: string, more: object = {}) => ({
  type: 'response.create',
  model: 'm',
  input,
  store: false,
  ...more,
});

test("OpenAI's Node client", async () => {
  const client = new OpenAI({ baseURL: `${app.url}/v1`, apiKey: 'ann' });
  const socket = new ResponsesWS(client);
  let previous = '';
  const texts: string[] = [];
  socket.send({ type: 'response.create', model: 'm', store: false, input: 'one' });
  for await (const record of socket) {
    if (record.type !== 'message') continue;
    const event = record.message;
    if (event.type === 'response.output_text.done') texts.push(event.text);
    if (event.type !== 'response.completed') continue;
    previous = event.response.id;
    if (texts.length === 2) break;
    socket.send({ type: 'response.create', model: 'm', store: false, input: 'two', previous_response_id: previous });
  }
  socket.close();
  assert.deepEqual(texts, ['answer 1', 'answer 3']);
});

test("OpenAI's Python client", async () => {
  const program = `
import os
from openai import OpenAI
client = OpenAI()
with client.responses.connect() as connection:
    previous = None
    for text in ["one", "two"]:
        connection.response.create(model="m", store=False, input=text, previous_response_id=previous)
        for event in connection:
            if event.type == "response.output_text.done": print(event.text)
            if event.type == "error": raise SystemExit(event.error.message)
            if event.type == "response.completed":
                previous = event.response.id
                break
`;
  const env = { OPENAI_BASE_URL: `${app.url}/v1`, OPENAI_API_KEY: 'ann' };
  const { code, stdout, stderr } = await runPython(program, env);
  assert.equal(code, 0, stderr);
  assert.deepEqual(stdout.trim().split('\n'), ['answer 1', 'answer 3']);
});

test('turns run one after another, in the order in which they were asked', async () => {
  answer = async function* (request) {
    await sleep(
      request.messages[0]?.parts[0]?.type === 'text' && request.messages[0].parts[0].text === 'slow' ? 60 : 1,
    );
    yield* say('done');
  };
  await using socket = await openSocket(app.url);
  for (const input of ['slow', 'fast']) socket.send(create(input));
  const ids: unknown[] = [];
  while (ids.length < 2) {
    const event = await socket.next();
    if (event?.['type'] === 'response.created') assert.equal(event['sequence_number'], 0);
    if (event?.['type'] === 'response.completed') ids.push(lastOf([event], 'response')['id']);
  }
  assert.equal(requests[0]?.messages[0]?.parts[0]?.type === 'text' && requests[0].messages[0].parts[0].text, 'slow');
});

test('different streams run side by side, and may fork from one response', async () => {
  await using socket = await openSocket(app.url);
  const root = lastOf(await socket.turn({ model: 'm', store: false, input: 'root' }), 'response')['id'];
  let running = 0;
  let most = 0;
  answer = async function* () {
    most = Math.max(most, ++running);
    await sleep(50);
    running--;
    yield* say('forked');
  };
  for (const stream_id of ['a', 'b']) socket.send(create(stream_id, { stream_id, previous_response_id: root }));
  const events = new Map<unknown, object[]>([
    ['a', []],
    ['b', []],
  ]);
  for (let over = 0; over < 2; ) {
    const { stream_id, ...event } = (await socket.next()) ?? {};
    events.get(stream_id)?.push(event);
    if (event['type'] === 'response.completed') over++;
  }
  for (const own of events.values()) checkEvents(own);
  assert.equal(most, 2);
  assert.deepEqual(
    requests.slice(1).map(({ messages }) => messages.length),
    [3, 3],
  );
});

test('stored responses can be continued over HTTP, also when their chain began in memory', async () => {
  await using socket = await openSocket(app.url);
  const first = lastOf(await socket.turn({ model: 'm', store: false, input: 'one' }), 'response')['id'];
  const second = lastOf(await socket.turn({ model: 'm', input: 'two', previous_response_id: first }), 'response')['id'];
  const reply = await fetch(`${app.url}/v1/responses`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', input: 'three', previous_response_id: second }),
  });
  assert.equal(reply.status, 200);
  assert.equal(requests.at(-1)?.messages.length, 5);
});

test('generate: false prepares a response without asking the model', async () => {
  await using socket = await openSocket(app.url);
  const events = await socket.turn({ model: 'm', store: false, input: 'prepare', generate: false });
  checkEvents(events);
  assert.equal(requests.length, 0);
  const previous_response_id = lastOf(events, 'response')['id'];
  checkEvents(await socket.turn({ model: 'm', store: false, input: 'go', previous_response_id }));
  assert.equal(requests[0]?.messages.length, 2);
});

for (const [name, message, code, status] of [
  ['not JSON', 'hello', 'invalid_json', 400],
  ['not an object', '[1]', 'invalid_request', 400],
  ['an unknown type', '{"type":"response.dance"}', 'invalid_request', 400],
  ['no type', '{}', 'invalid_request', 400],
  ['background', JSON.stringify(create('x', { background: true })), 'unsupported_parameter', 400],
  ['a stream_id of a wrong type', JSON.stringify(create('x', { stream_id: 7 })), 'invalid_request', 400],
  ['no model', '{"type":"response.create","input":"x"}', 'invalid_request', 400],
  ['an unknown model', JSON.stringify(create('x', { model: 'missing' })), 'model_not_found', 404],
  [
    'a forged compaction',
    JSON.stringify(create('x', { input: [{ type: 'compaction', encrypted_content: 'vd1.forged' }] })),
    'invalid_encrypted_content',
    400,
  ],
  ['21 MB', JSON.stringify(create('x'.repeat(21 * 2 ** 20))), 'payload_too_large', 413],
  [
    'deep nesting',
    `{"type":"response.create","model":"m","input":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    'invalid_request',
    400,
  ],
] as const)
  test(`a bad message is answered, and the connection goes on: ${name}`, async () => {
    await using socket = await openSocket(app.url);
    socket.send(message);
    const error = (await socket.next()) ?? {};
    assert.equal(error['type'], 'error');
    assert.equal(lastOf([error], 'error')['code'], code);
    assert.equal(error['status'], status);
    checkEvents(await socket.turn({ model: 'm', store: false, input: 'still here' }));
  });

test('a binary message is refused', async () => {
  await using socket = await openSocket(app.url);
  socket.socket.send(Buffer.from(JSON.stringify(create('x'))), { binary: true });
  assert.equal(lastOf([(await socket.next()) ?? {}], 'error')['code'], 'invalid_request');
});

test('a failure in the middle is a failed response; the turn is forgotten, the connection goes on', async () => {
  await using socket = await openSocket(app.url);
  const previous_response_id = lastOf(await socket.turn({ model: 'm', store: false, input: 'one' }), 'response')['id'];
  answer = async function* () {
    yield [{ type: 'start', id: 'x', model: 'm' }];
    yield [{ type: 'text', text: 'half' }];
    throw new ViaductError('runner_crashed', 'The engine stopped.');
  };
  const failed = await socket.turn({ model: 'm', store: false, previous_response_id, input: 'two' });
  assert.equal(failed.at(-1)?.['type'], 'response.failed');
  const gone = await socket.turn({ model: 'm', store: false, previous_response_id, input: 'three' });
  assert.equal(lastOf(gone, 'error')['code'], 'previous_response_not_found');
});

test('a closed connection cancels the running turn', async () => {
  const stopped = Promise.withResolvers<void>();
  answer = async function* (_request, signal) {
    signal.addEventListener('abort', () => stopped.resolve());
    yield [{ type: 'start', id: 'x', model: 'm' }];
    for (;;) {
      await sleep(5, undefined, { signal });
      yield [{ type: 'text', text: 'on and on ' }];
    }
  };
  const socket = await openSocket(app.url);
  socket.send(create('x'));
  while ((await socket.next())?.['type'] !== 'response.output_text.delta');
  socket.socket.terminate();
  await stopped.promise;
});

test('a client that does not read holds the model back', async () => {
  let words = 0;
  const stopped = Promise.withResolvers<void>();
  answer = async function* (_request, signal) {
    signal.addEventListener('abort', () => stopped.resolve());
    yield [{ type: 'start', id: 'x', model: 'm' }];
    for (; !signal.aborted; words++) yield [{ type: 'text', text: 'x'.repeat(200_000) }];
  };
  const socket = await openSocket(app.url);
  socket.socket.pause();
  socket.send(create('x'));
  let before = -1;
  for (let waited = 0; waited < 100 && words !== before; waited++) {
    before = words;
    await sleep(100);
  }
  assert.equal(words, before);
  socket.socket.terminate();
  await stopped.promise;
});

test('every turn has its own request id and entry in the ledger', async () => {
  const before = app.ledger.length;
  await using socket = await openSocket(app.url, { authorization: 'Bearer ann' });
  for (const input of ['one', 'two']) await socket.turn({ model: 'm', store: false, input });
  const entries = app.ledger.slice(before);
  assert.equal(new Set(entries.map(({ requestId }) => requestId)).size, 2);
  assert.ok(entries.every(({ endpoint }) => endpoint === '/v1/responses'));
});

test('a connection ends after its time', async () => {
  const short = await startResponsesApp({ chat: () => say('x') }, { connectionMs: 50 });
  const socket = await openSocket(short.url);
  assert.equal(lastOf([(await socket.next()) ?? {}], 'error')['code'], 'websocket_connection_limit_reached');
  await socket.closed;
  await short.close();
});

test('other paths do not take the upgrade', async () => {
  const socket = new WebSocket(`${app.url.replace('http', 'ws')}/v1/chat/completions`);
  await assert.rejects(once(socket, 'open'));
});
