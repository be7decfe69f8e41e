/**
 * The Ollama door with Ollama's own client, before any model: shapes, errors, streams. ollama-local.test.ts has the
 * real models.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Ollama } from 'ollama';
import type { ChatEvent, ChatRequest } from '../../src/core/chat.ts';
import { ViaductError } from '../../src/core/errors.ts';
import type { EmbedRequest } from '../../src/core/provider.ts';
import type { ModelStore } from '../../src/models/store.ts';
import { type Script, say, startScriptedApp } from '../support/scripted-app.ts';

type Events = AsyncIterable<readonly ChatEvent[]>;
let app: Awaited<ReturnType<typeof startScriptedApp>>;
let client: Ollama;
let answer: (request: ChatRequest) => Events;
let lastRequest: ChatRequest;
let lastEmbed: EmbedRequest;

before(async () => {
  const script: Script = {
    async *chat(request, { report }) {
      lastRequest = request;
      report.loadMs = 12;
      yield* answer(request);
    },
    async embed(request) {
      lastEmbed = request;
      if (request.truncate === false) throw new ViaductError('context_length_exceeded', '9 tokens where 8 fit.');
      const vectors = request.input.map(() => Float32Array.from([0.6, 0.8]));
      return { model: 'm', vectors, usage: { input: 4, output: 0 } };
    },
  };
  const models = {
    async resolve(name: string) {
      if (name !== 'plain') throw new ViaductError('model_not_found', name);
      return { capabilities: ['completion'] };
    },
  };
  app = await startScriptedApp(script, { models: models as unknown as ModelStore });
  client = new Ollama({ host: app.url });
});
after(() => app.close());
beforeEach(() => {
  answer = () => say('Hello', ' there');
});

const hi = [{ role: 'user', content: 'hi' }];

const counts = [
  'total_duration',
  'load_duration',
  'prompt_eval_count',
  'prompt_eval_duration',
  'eval_count',
  'eval_duration',
] as const;

async function all<Item>(stream: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

test('chat, whole and streamed, with its counts', async () => {
  const whole = await client.chat({ model: 'm', messages: hi });
  assert.deepEqual(whole.message, { role: 'assistant', content: 'Hello there' });
  assert.deepEqual(
    [whole.model, whole.done, whole.done_reason, whole.prompt_eval_count, whole.eval_count],
    ['m', true, 'stop', 7, 2],
  );
  assert.equal(whole.load_duration, 12e6);

  const parts = await all(await client.chat({ model: 'm', messages: hi, stream: true }));
  assert.equal(parts.map(({ message }) => message.content).join(''), 'Hello there');
  assert.deepEqual(
    parts.map(({ done }) => done),
    [false, false, true],
  );
  for (const last of [whole, parts.at(-1)]) for (const name of counts) assert.ok((last?.[name] ?? 0) > 0, name);
});

test('streaming is the default', async () => {
  const response = await fetch(`${app.url}/api/chat`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', messages: hi }),
  });
  assert.equal(response.headers.get('content-type'), 'application/x-ndjson');
  assert.equal((await response.text()).trim().split('\n').length, 3);
});

test('generate, and its context taken up again', async () => {
  const first = await client.generate({ model: 'm', prompt: 'I am Ada.', system: 'Be kind.' });
  assert.equal(first.response, 'Hello there');
  const parts = await all(
    await client.generate({ model: 'm', prompt: 'Who am I?', context: first.context, stream: true }),
  );
  assert.deepEqual(
    lastRequest.messages.map(({ role, parts: [part] }) => [role, part?.type === 'text' && part.text]),
    [
      ['system', 'Be kind.'],
      ['user', 'I am Ada.'],
      ['assistant', 'Hello there'],
      ['user', 'Who am I?'],
    ],
  );
  assert.ok((parts.at(-1)?.context.length ?? 0) > 0);
  const raw = await client.generate({ model: 'm', prompt: 'x', raw: true });
  assert.equal(raw.context, undefined);
});

test('tools, thoughts and formats reach the model and come back', async () => {
  answer = async function* () {
    yield [
      { type: 'start', id: 'x', model: 'm' },
      { type: 'reasoning', text: 'hm' },
      { type: 'tool-call', index: 0, id: 'call_a', name: 'weather' },
      { type: 'tool-input', index: 0, json: '{"city":"Rome"}' },
      { type: 'finish', reason: 'tool-calls', usage: { input: 5, output: 5 } },
    ];
  };
  const parameters = { type: 'object', properties: { city: { type: 'string' } } };
  const { message } = await client.chat({
    model: 'm',
    messages: hi,
    think: 'low',
    format: { type: 'object' },
    tools: [{ type: 'function', function: { name: 'weather', description: 'd', parameters } }],
    options: { num_ctx: 512, temperature: 0 },
    keep_alive: '5m',
  });
  assert.equal(message.thinking, 'hm');
  assert.deepEqual(message.tool_calls?.[0]?.function, { index: 0, name: 'weather', arguments: { city: 'Rome' } });
  assert.deepEqual(lastRequest.tools, [{ name: 'weather', description: 'd', parameters }]);
  assert.deepEqual(lastRequest.local, { numCtx: 512, keepAlive: 300 });
  assert.equal(lastRequest.reasoning?.effort, 'low');
  assert.equal(lastRequest.responseFormat?.type, 'json-schema');
});

test('an empty prompt loads and unloads', async () => {
  answer = async function* () {
    yield [
      { type: 'start', id: 'x', model: 'm' },
      { type: 'finish', reason: 'stop', usage: { input: 0, output: 0 } },
    ];
  };
  assert.equal((await client.generate({ model: 'm', prompt: '' })).done_reason, 'load');
  assert.deepEqual(lastRequest.messages, []);
  assert.equal((await client.generate({ model: 'm', prompt: '', keep_alive: '0s' })).done_reason, 'unload');
  const chat = await client.chat({ model: 'm', messages: [], keep_alive: 0 });
  assert.deepEqual([chat.message, chat.done_reason], [{ role: 'assistant', content: '' }, 'unload']);
  const [streamed] = await all(await client.chat({ model: 'm', messages: [], stream: true }));
  assert.equal(streamed?.done_reason, 'load');
});

test('embed and embeddings', async () => {
  const one = await client.embed({ model: 'm', input: 'a' });
  assert.deepEqual(
    one.embeddings.map((vector) => vector.map((value) => value.toFixed(1))),
    [['0.6', '0.8']],
  );
  assert.equal(one.prompt_eval_count, 4);
  assert.equal(lastEmbed.truncate, true);
  assert.equal((await client.embed({ model: 'm', input: ['a', 'b'] })).embeddings.length, 2);
  assert.deepEqual((await client.embed({ model: 'm', input: [] })).embeddings, []);
  assert.equal((await client.embeddings({ model: 'm', prompt: 'a' })).embedding.length, 2);
  assert.deepEqual((await client.embeddings({ model: 'm', prompt: '' })).embedding, []);
  await assert.rejects(
    client.embed({ model: 'm', input: 'a', truncate: false }),
    /the input length exceeds the context length/,
  );
});

test('failures are sentences with the right status', async () => {
  const post = async (path: string, body: string) => {
    const response = await fetch(`${app.url}${path}`, { method: 'POST', body });
    return [response.status, ((await response.json()) as { error: string }).error] as const;
  };
  assert.equal((await post('/api/chat', '{"model":"missing","messages":[{"role":"user","content":"x"}]}'))[0], 404);
  assert.match((await post('/api/generate', '{}'))[1], /model/);
  assert.deepEqual((await post('/api/generate', '{"model":'))[0], 400);
  const [status, error] = await post(
    '/api/chat',
    '{"model":"m","messages":[{"role":"user","content":"x"}],"options":{"num_ctx":"x"},"stream":false}',
  );
  assert.equal(status, 400);
  assert.match(error, /num_ctx/);
  await assert.rejects(client.chat({ model: 'missing', messages: hi }), { name: 'ResponseError' });
});

test('a failure after the beginning is a line of its own', async () => {
  answer = async function* () {
    yield [
      { type: 'start', id: 'x', model: 'm' },
      { type: 'text', text: 'Hel' },
    ];
    throw new ViaductError('runner_crashed', 'The runner died.');
  };
  await assert.rejects(
    async () => all(await client.chat({ model: 'm', messages: hi, stream: true })),
    /The runner died/,
  );
});

test('there is a sign of life for tools that ask for one', async () => {
  assert.equal(await (await fetch(app.url)).text(), 'Ollama is running');
  assert.equal((await fetch(app.url, { method: 'HEAD' })).status, 200);
});

test('a local model that cannot think says so', async () => {
  await assert.rejects(client.chat({ model: 'plain', messages: hi, think: true }), /"plain" does not support thinking/);
  await assert.rejects(client.generate({ model: 'plain', prompt: 'x', think: 'high' }), /does not support thinking/);
  assert.ok(await client.chat({ model: 'plain', messages: hi, think: false }));
});
