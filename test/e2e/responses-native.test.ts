/**
 * A provider that speaks the Responses API itself, replayed from a recording of OpenAI: nothing of its own is lost,
 * state is kept here.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import type { Caller } from '../../src/gateway/gateway.ts';
import type { Item } from '../../src/protocols/openai-responses.ts';
import { openai } from '../../src/providers/openai.ts';
import { compactsItself } from '../../src/responses/native.ts';
import { type ResponsesApp, startResponsesApp } from '../support/responses-app.ts';
import { checkEvents } from '../support/responses-contract.ts';
import { lastOf, openSocket } from '../support/responses-socket.ts';

type Wire = { [field: string]: unknown };
const fixtures = join(import.meta.dirname, '../../src/protocols/openai-responses/__fixtures__');
const recorded = (file: string, folder = fixtures) =>
  (JSON.parse(readFileSync(join(folder, file), 'utf8')) as { response: { body: string } }).response.body;
const search = recorded('openai-openai-responses-model-web-search-tool.json');
const tools = recorded('openai-sse-responses-tool-use-streaming.json');

let upstream: Server;
let app: ResponsesApp;
let client: OpenAI;
let reply: { type: string; body: string; later?: string; without?: string; unknown?: string; refused?: string };
let known = false;
let asked: Wire[] = [];
let paths: string[] = [];

before(async () => {
  upstream = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    paths.push(request.url ?? '');
    asked.push(JSON.parse(Buffer.concat(chunks).toString()) as Wire);
    if (reply.without === request.url) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"message":"Not Found"}}');
      return;
    }
    const unknown = reply.unknown !== undefined && reply.unknown in (asked.at(-1) ?? {}) ? reply.unknown : undefined;
    const param = unknown ?? reply.refused;
    if (param !== undefined) {
      const code = unknown ? 'unknown_parameter' : 'invalid_value';
      const message = unknown ? `Unknown parameter: '${param}'.` : `Invalid value for '${param}'.`;
      const error = { message, type: 'invalid_request_error', param, code };
      response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
      return;
    }
    response.setHeader('content-type', reply.type);
    response.write(reply.body);
    if (reply.later) await sleep(50);
    response.end(reply.later);
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  const provider = openai.create('local', { api_key: 'sk-test', base_url: `http://127.0.0.1:${port}/v1` });
  app = await startResponsesApp({ ...provider, describe: (id) => ({ id }) });
  client = new OpenAI({ baseURL: `${app.url}/v1`, apiKey: 'ann', maxRetries: 0 });
});
after(async () => {
  await app.close();
  upstream.close();
});
beforeEach(() => {
  asked = [];
  paths = [];
});

const json = (body: string) => ({ type: 'application/json', body });
const stream = (body: string) => ({ type: 'text/event-stream', body });
const typesOf = (output: readonly { type: string }[]) => output.map(({ type }) => type);

test("searches and citations of the provider are in the answer, stored, and part of the next turn's input", async () => {
  reply = json(search);
  const wire = JSON.parse(search) as { output: { type: string }[]; usage: { input_tokens: number } };
  const first = await client.responses.create({ model: 'm', input: 'News?', tools: [{ type: 'web_search' }] });
  assert.match(first.id, /^resp_[0-9a-f]{32}$/);
  assert.deepEqual(typesOf(first.output), typesOf(wire.output));
  assert.equal(first.usage?.input_tokens, wire.usage.input_tokens);
  assert.deepEqual(asked[0]?.['tools'], [{ type: 'web_search' }]);
  assert.equal(asked[0]?.['store'], false);

  const found = await client.responses.retrieve(first.id);
  assert.deepEqual(typesOf(found.output), typesOf(wire.output));
  const second = {
    model: 'm',
    input: 'More?',
    previous_response_id: first.id,
    tools: [{ type: 'web_search' as const }],
  };
  await client.responses.create(second);
  const input = asked[1]?.['input'] as Wire[];
  assert.ok(!('previous_response_id' in (asked[1] ?? {})));
  assert.ok(input.some(({ type }) => type === 'web_search_call'));
  assert.deepEqual([input[0]?.['role'], input.at(-1)?.['role']], ['user', 'user']);
});

test('a stream becomes ours: numbers, id, places; over WebSocket and in the background too', async () => {
  reply = stream(tools);
  const body = { model: 'm', input: 'Multiply.', reasoning: { effort: 'low' as const } };
  const http: Wire[] = [];
  for await (const event of await client.responses.create({ ...body, stream: true })) http.push({ ...event });
  checkEvents(http);
  assert.deepEqual(asked[0]?.['include'], ['reasoning.encrypted_content']);
  assert.ok(!JSON.stringify(http).includes('encrypted_content'), 'nobody asked for the seals');

  await using socket = await openSocket(app.url);
  const turn = await socket.turn(body);
  checkEvents(turn);
  assert.deepEqual(
    turn.map(({ type }) => type),
    http.map(({ type }) => type),
  );

  const { id } = await client.responses.create({ ...body, background: true });
  for (let found = await client.responses.retrieve(id); found.status !== 'completed'; )
    found = await client.responses.retrieve(id);
  const again: Wire[] = [];
  for await (const event of await client.responses.retrieve(id, { stream: true })) again.push({ ...event });
  checkEvents(again);
});

test('what is not stored and stands alone passes through untouched', async () => {
  reply = stream(tools);
  const body = { model: 'm', input: 'Multiply.', store: false, stream: true, new_field: { kept: true } };
  const passed = await fetch(`${app.url}/v1/responses`, { method: 'POST', body: JSON.stringify(body) });
  assert.equal(await passed.text(), tools);
  assert.deepEqual(asked[0]?.['new_field'], { kept: true });
  reply = json(search);
  const unary = await fetch(`${app.url}/v1/responses`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', input: 'x', store: false }),
  });
  assert.equal(await unary.text(), search);
});

test('what only the provider keeps or does is left to it', async () => {
  reply = json(search);
  const prompt = { id: 'pmpt_1', variables: { city: 'Paris' } };
  const moderation = { model: 'omni-moderation-latest' };
  for (const store of [false, true]) await client.responses.create({ model: 'm', prompt, moderation, store });
  for (const body of asked) assert.deepEqual([body['prompt'], body['moderation']], [prompt, moderation]);
});

test('its failure in the middle is ours', async () => {
  const half = tools.slice(0, tools.indexOf('event: response.completed'));
  const failed = { type: 'response.failed', response: { error: { code: 'server_error', message: 'inner words' } } };
  reply = { ...stream(half), later: `event: response.failed\ndata: ${JSON.stringify(failed)}\n\n` };
  const passed = await fetch(`${app.url}/v1/responses`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', input: 'x', stream: true }),
  });
  const text = await passed.text();
  assert.match(text, /event: error\n.*\n\nevent: response\.failed\n/);
  assert.doesNotMatch(text, /inner words/);
});

/** The user's messages, then one item that only OpenAI can open. */
const compaction = recorded('openai-responses-compact.json', join(import.meta.dirname, '__fixtures__'));
const { output: window, usage } = JSON.parse(compaction) as { output: Wire[]; usage: Wire };
const sealed = window.at(-1) as Wire;
const answer = {
  type: 'message',
  id: 'msg_a',
  status: 'completed',
  role: 'assistant',
  content: [{ type: 'output_text', text: 'Yes.', annotations: [], logprobs: [] }],
};
const compacted = {
  id: 'resp_x',
  object: 'response',
  status: 'completed',
  model: 'm',
  output: [sealed, answer],
  usage,
};
const compactedAnswer = JSON.stringify(compacted);
const compactedStream = [
  { type: 'response.created', response: { ...compacted, status: 'in_progress', output: [] } },
  { type: 'response.output_item.added', output_index: 0, item: sealed },
  { type: 'response.output_item.done', output_index: 0, item: sealed },
  { type: 'response.output_item.added', output_index: 1, item: answer },
  { type: 'response.output_item.done', output_index: 1, item: answer },
  { type: 'response.completed', response: compacted },
]
  .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  .join('');
const compactionIn = (items: unknown) => (items as Wire[]).find(({ type }) => type === 'compaction');
const withoutIds = (items: unknown) =>
  (items as Wire[]).map(({ id, status: _status, ...rest }) => (rest['type'] === 'compaction' ? { id, ...rest } : rest));

test("compaction is the provider's own: its reply comes back as it is, and its window goes back to it unchanged", async () => {
  reply = json(compaction);
  const body = { model: 'm', input: [{ role: 'user', content: 'Teal.' }], prompt_cache_key: 'k', new_field: 1 };
  const made = await fetch(`${app.url}/v1/responses/compact`, { method: 'POST', body: JSON.stringify(body) });
  assert.equal(await made.text(), compaction);
  assert.deepEqual(paths, ['/v1/responses/compact']);
  assert.deepEqual(asked[0], body);
  const { usage: billed } = app.ledger.at(-1) ?? {};
  assert.deepEqual(
    { input: billed?.input, output: billed?.output },
    { input: usage['input_tokens'], output: usage['output_tokens'] },
  );

  reply = json(compactedAnswer);
  const input = [...window, { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Which?' }] }];
  for (const store of [false, true]) {
    asked = [];
    const next = await fetch(`${app.url}/v1/responses`, {
      method: 'POST',
      body: JSON.stringify({ model: 'm', input, store }),
    });
    assert.equal(next.status, 200);
    assert.deepEqual(withoutIds(asked[0]?.['input']), withoutIds(input));
  }
});

test('a stored chain is compacted by the provider with the whole context', async () => {
  reply = json(search);
  const { id } = await client.responses.create({ model: 'm', input: 'News?' });
  reply = json(compaction);
  const made = await client.responses.compact({ model: 'm', previous_response_id: id, instructions: 'Keep colours.' });
  assert.deepEqual(typesOf(made.output), ['message', 'message', 'compaction']);
  const { input, ...rest } = asked.at(-1) ?? {};
  assert.deepEqual(rest, { model: 'm', instructions: 'Keep colours.' });
  assert.equal((input as Wire[])[0]?.['role'], 'user');
  assert.ok((input as Wire[]).length > 1);
});

test('a server that speaks its protocol but cannot compact is asked for a summary', async () => {
  reply = { ...json(search), without: '/v1/responses/compact' };
  const input: OpenAI.Responses.ResponseInput = [
    { role: 'user', content: 'Teal.' },
    { role: 'assistant', content: 'Teal it is.' },
  ];
  const { output } = await client.responses.compact({ model: 'm', input });
  assert.deepEqual(typesOf(output), ['compaction']);
  assert.deepEqual([...new Set(paths)], ['/v1/responses/compact', '/v1/chat/completions']);
});

test('a server that does not know context_management is asked without it, and compacted for here from then on', async () => {
  const body = { model: 'old', input: 'Old news. '.repeat(800), max_output_tokens: 100 };
  const context_management = [{ type: 'compaction' as const, compact_threshold: 1000 }];
  const managed = (wire: Wire) => 'context_management' in wire;
  for (const store of [false, true, false]) {
    asked = [];
    reply = { ...json(search), unknown: 'context_management' };
    const { output } = await client.responses.create({ ...body, store, context_management });
    assert.equal(output.at(-1)?.type, 'message');
    const first = asked[0] ?? {};
    assert.equal(managed(first), !known, 'it is told once');
    known = true;
    assert.ok(!managed(asked.at(-1) ?? first));
  }
  reply = json(search);
  asked = [];
  await client.responses.create({ ...body, model: 'm', context_management });
  assert.ok(managed(asked[0] ?? {}), 'other models are as they were');
});

test('what a provider says against the values of context_management is told', async () => {
  reply = { ...json(search), refused: 'context_management[0].compact_threshold' };
  const asking = client.responses.create({ model: 'm', input: 'x', context_management: [{ type: 'compaction' }] });
  await assert.rejects(asking, { status: 400, param: 'context_management[0].compact_threshold' });
});

test('context_management goes to the provider; what it compacted stands for the chain from then on', async () => {
  const context_management = [{ type: 'compaction' as const, compact_threshold: 1000 }];
  reply = json(compactedAnswer);
  const untouched = await fetch(`${app.url}/v1/responses`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', input: 'x', store: false, context_management }),
  });
  assert.equal(await untouched.text(), compactedAnswer);
  assert.deepEqual(asked[0]?.['context_management'], context_management);

  reply = json(search);
  const first = await client.responses.create({ model: 'm', input: 'Old news. '.repeat(800), context_management });
  assert.deepEqual(paths, ['/v1/responses', '/v1/responses'], 'nobody was asked for a summary');
  reply = json(compactedAnswer);
  const second = await client.responses.create({
    model: 'm',
    input: 'And now?',
    previous_response_id: first.id,
    context_management,
  });
  assert.deepEqual(typesOf(second.output), ['compaction', 'message']);
  assert.deepEqual(asked[2]?.['context_management'], context_management);
  await client.responses.create({ model: 'm', input: 'Go on.', previous_response_id: second.id });
  assert.deepEqual(compactionIn(asked[3]?.['input']), sealed);
  assert.doesNotMatch(JSON.stringify(asked[3]), /Old news/);

  reply = stream(compactedStream);
  await using socket = await openSocket(app.url);
  const turn = await socket.turn({ model: 'm', store: false, input: 'Old news.', context_management });
  checkEvents(turn);
  const previous_response_id = lastOf(turn, 'response')['id'];
  await socket.turn({ model: 'm', store: false, input: 'Go on.', previous_response_id });
  assert.deepEqual(compactionIn(asked.at(-1)?.['input']), sealed);
});

test('a route that mixes providers with and without compaction is compacted here', async () => {
  const conversation = { instructions: [], summary: '', requests: [], latest: [] };
  const theirs = { ...conversation, latest: [sealed as Item] };
  const asking = (able: 'all' | 'some' | 'none') => ({ speaks: async () => able }) as Partial<Caller> as Caller;
  const settings = { model: 'm' };
  assert.equal(await compactsItself(conversation, settings, asking('all')), true);
  assert.equal(await compactsItself(conversation, settings, asking('some')), false);
  assert.equal(await compactsItself(theirs, settings, asking('some')), true);
  assert.equal(await compactsItself(theirs, settings, asking('none')), false);
});
