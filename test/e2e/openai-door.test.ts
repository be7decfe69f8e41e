/**
 * The OpenAI door with OpenAI's own client, before any model: shapes, errors, streams. openai-local.test.ts has the
 * real models.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import type { ChatEvent, ChatRequest } from '../../src/core/chat.ts';
import { ViaductError } from '../../src/core/errors.ts';
import { openStore, type Store } from '../../src/store/open.ts';
import { storedChatStore } from '../../src/store/stored-chats.ts';
import { contract, eventsOf } from '../support/contract.ts';
import { say, startScriptedApp } from '../support/scripted-app.ts';

type App = Awaited<ReturnType<typeof startScriptedApp>>;
let app: App;
let store: Store;
let client: OpenAI;
let answer: (request: ChatRequest) => AsyncIterable<readonly ChatEvent[]> = () => say('Hello', ' there');
let lastRequest: ChatRequest;
let aborted = 0;

before(async () => {
  store = await openStore({ database: 'sqlite::memory:', home: '' });
  app = await startScriptedApp(
    {
      async *chat(request, { signal }) {
        lastRequest = request;
        signal.addEventListener('abort', () => aborted++);
        yield* answer(request);
      },
      async embed({ input, dimensions = 3 }) {
        const vectors = input.map((_, at) => Float32Array.from({ length: dimensions }, (_, i) => at + i / 4));
        return { model: 'm', vectors, usage: { input: 5, output: 0 } };
      },
      async rerank({ documents }) {
        const results = documents.map((_, index) => ({ index, score: index / 10 }));
        return { model: 'm', results, usage: { input: 9, output: 0 } };
      },
    },
    { storedChats: storedChatStore(store) },
  );
  client = new OpenAI({ baseURL: `${app.url}/v1`, apiKey: 'ollama', maxRetries: 0 });
});
after(async () => {
  await app.close();
  await store.destroy();
});

const hi = [{ role: 'user' as const, content: 'hi' }];
const chat = (fields: object = {}) =>
  client.chat.completions.create({
    model: 'm',
    messages: hi,
    ...fields,
  } as OpenAI.ChatCompletionCreateParamsNonStreaming);
const chatStream = (fields: object = {}) =>
  client.chat.completions.create({
    model: 'm',
    messages: hi,
    stream: true,
    ...fields,
  } as OpenAI.ChatCompletionCreateParamsStreaming);

async function chunksOf(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

test('a unary answer', async () => {
  answer = () => say('Hello', ' there');
  const reply = await chat();
  assert.match(reply.id, /^chatcmpl-/);
  assert.equal(reply.choices[0]?.message.content, 'Hello there');
  assert.equal(reply.choices[0]?.finish_reason, 'stop');
  assert.deepEqual(reply.usage, {
    prompt_tokens: 7,
    completion_tokens: 2,
    total_tokens: 9,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0 },
  });
});

test('a stream: the role first and once, one id and time, usage only when asked', async () => {
  const chunks = await chunksOf(await chatStream());
  assert.deepEqual(
    chunks.map((chunk) => chunk.choices[0]?.delta),
    [{ role: 'assistant', content: '', refusal: null }, { content: 'Hello' }, { content: ' there' }, {}],
  );
  assert.equal(new Set(chunks.map(({ id, created, model }) => `${id} ${created} ${model}`)).size, 1);
  assert.ok(chunks.every((chunk) => !('usage' in chunk)));

  const counted = await chunksOf(await chatStream({ stream_options: { include_usage: true } }));
  assert.equal(counted.at(-1)?.usage?.total_tokens, 9);
  assert.deepEqual(counted.at(-1)?.choices, []);
  assert.ok(counted.slice(0, -1).every((chunk) => chunk.usage === null));
});

test('the raw stream ends with [DONE]', async () => {
  const response = await fetch(`${app.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', messages: hi, stream: true }),
  });
  assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
  assert.equal(response.headers.get('x-viaduct-provider'), 'local');
  assert.match(response.headers.get('x-request-id') ?? '', /^req_/);
  assert.ok((await response.text()).endsWith('data: [DONE]\n\n'));
});

test('tool calls, thoughts, refusals and log-probabilities reach the client', async () => {
  answer = async function* () {
    yield [{ type: 'start', id: '', model: 'm' }];
    yield [
      { type: 'reasoning', text: 'hm' },
      { type: 'reasoning-end', signature: 'sig', origin: 'anthropic-messages' },
    ];
    const top = [{ token: 'Hi', logprob: -0.1, bytes: [72, 105] }];
    yield [{ type: 'text', text: 'Hi', logprobs: [{ token: 'Hi', logprob: -0.1, bytes: [72, 105], top }] }];
    yield [{ type: 'tool-call', index: 0, id: 'c1', name: 'f' }];
    yield [
      { type: 'tool-input', index: 0, json: '{"a"' },
      { type: 'tool-input', index: 0, json: ':1}' },
    ];
    yield [
      { type: 'tool-call', index: 1, id: 'c2', name: 'g' },
      { type: 'tool-input', index: 1, json: '{}' },
    ];
    yield [{ type: 'finish', reason: 'tool-calls', usage: { input: 1, output: 2, reasoning: 1 } }];
  };
  const unary = (await chat()).choices[0];
  const stream = client.chat.completions.stream({ model: 'm', messages: hi });
  const streamed = (await stream.finalChatCompletion()).choices[0];
  for (const choice of [unary, streamed]) {
    assert.equal(choice?.finish_reason, 'tool_calls');
    assert.equal(choice?.message.content, 'Hi');
    assert.deepEqual(
      choice?.message.tool_calls?.map((call) =>
        call.type === 'function' ? [call.id, call.function.name, call.function.arguments] : [],
      ),
      [
        ['c1', 'f', '{"a":1}'],
        ['c2', 'g', '{}'],
      ],
    );
    assert.equal(choice?.logprobs?.content?.[0]?.token, 'Hi');
  }
  const message = unary?.message as { reasoning_content?: string; reasoning_details?: unknown };
  assert.equal(message.reasoning_content, 'hm');
  assert.deepEqual(message.reasoning_details, [
    { type: 'reasoning.text', text: 'hm', signature: 'sig', format: 'anthropic-claude-v1', index: 0 },
  ]);

  answer = async function* () {
    yield [
      { type: 'start', id: '', model: 'm' },
      { type: 'refusal', text: 'No.' },
    ];
    yield [{ type: 'finish', reason: 'content-filter', usage: { input: 1, output: 2 } }];
  };
  const refused = (await chat()).choices[0];
  assert.equal(refused?.message.refusal, 'No.');
  assert.equal(refused?.message.content, null);
  assert.equal(refused?.finish_reason, 'content_filter');
});

test('the deprecated functions are answered as function_call', async () => {
  answer = async function* () {
    yield [
      { type: 'start', id: '', model: 'm' },
      { type: 'tool-call', index: 0, id: 'c1', name: 'f' },
    ];
    yield [
      { type: 'tool-input', index: 0, json: '{}' },
      { type: 'finish', reason: 'tool-calls', usage: { input: 1, output: 1 } },
    ];
  };
  const reply = await chat({ functions: [{ name: 'f', parameters: { type: 'object' } }] });
  assert.deepEqual(reply.choices[0]?.message.function_call, { name: 'f', arguments: '{}' });
  assert.equal(reply.choices[0]?.finish_reason, 'function_call');
});

test('a call of a custom tool is answered as its text', async () => {
  answer = async function* () {
    yield [
      { type: 'start', id: '', model: 'm' },
      { type: 'tool-call', index: 0, id: 'c1', name: 'sql' },
    ];
    yield [
      { type: 'tool-input', index: 0, json: '{"input":"sel' },
      { type: 'tool-input', index: 0, json: 'ect 1"}' },
    ];
    yield [{ type: 'finish', reason: 'tool-calls', usage: { input: 1, output: 1 } }];
  };
  const tools = [{ type: 'custom', custom: { name: 'sql' } }];
  const expected = { id: 'c1', type: 'custom', custom: { name: 'sql', input: 'select 1' } };
  assert.deepEqual((await chat({ tools })).choices[0]?.message.tool_calls, [expected]);
  const response = await fetch(`${app.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', messages: hi, tools, stream: true }),
  });
  assert.ok((await response.text()).includes(JSON.stringify({ tool_calls: [{ index: 0, ...expected }] })));
});

test('n answers: right indices, prompt counted once, a seed each', async () => {
  const seeds: (number | undefined)[] = [];
  answer = (request) => {
    seeds.push(request.seed);
    return say('a', 'b');
  };
  const reply = await chat({ n: 3, seed: 5 });
  assert.deepEqual(
    reply.choices.map(({ index }) => index),
    [0, 1, 2],
  );
  assert.deepEqual([reply.usage?.prompt_tokens, reply.usage?.completion_tokens], [7, 6]);
  assert.deepEqual(seeds.sort(), [5, 6, 7]);

  const chunks = await chunksOf(await chatStream({ n: 2, stream_options: { include_usage: true } }));
  for (const index of [0, 1]) {
    const own = chunks.flatMap((chunk) => chunk.choices).filter((choice) => choice.index === index);
    assert.equal(own.map((choice) => choice.delta.content ?? '').join(''), 'ab');
    assert.equal(own.filter((choice) => choice.delta.role).length, 1);
    assert.equal(own.at(-1)?.finish_reason, 'stop');
  }
  assert.equal(chunks.at(-1)?.usage?.completion_tokens, 4);
});

test("errors raise the client's own classes and name the field", async () => {
  answer = () => say('x');
  await assert.rejects(chat({ model: 'missing' }), (error: InstanceType<typeof OpenAI.NotFoundError>) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, 'model_not_found');
    return true;
  });
  await assert.rejects(chat({ temperature: 5 }), (error: InstanceType<typeof OpenAI.BadRequestError>) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, 'temperature');
    return true;
  });
  await assert.rejects(chat({ messages: 'hi' }), { param: 'messages', status: 400 });
  await assert.rejects(chat({ n: 200 }), { param: 'n', status: 400 });
  for (const [code, kind] of [
    ['rate_limit_exceeded', OpenAI.RateLimitError],
    ['invalid_api_key', OpenAI.AuthenticationError],
    ['permission_denied', OpenAI.PermissionDeniedError],
    ['queue_full', OpenAI.InternalServerError],
    ['context_length_exceeded', OpenAI.BadRequestError],
  ] as const) {
    // biome-ignore lint/correctness/useYield: it fails before it says anything
    answer = async function* () {
      throw new ViaductError(code, 'no', { retryAfter: 3 });
    };
    await assert.rejects(chatStream(), (error) => error instanceof kind && (error as { code?: string }).code === code);
  }
});

test('a stream that breaks off ends with an error that the client throws', async () => {
  answer = async function* () {
    yield [
      { type: 'start', id: '', model: 'm' },
      { type: 'text', text: 'Hel' },
    ];
    await sleep(10);
    throw new ViaductError('runner_crashed', 'The model crashed.');
  };
  const seen: string[] = [];
  await assert.rejects(
    (async () => {
      for await (const chunk of await chatStream()) seen.push(chunk.choices[0]?.delta.content ?? '');
    })(),
    (error) => error instanceof OpenAI.APIError && error.code === 'runner_crashed',
  );
  assert.equal(seen.join(''), 'Hel');
});

test('a client that leaves aborts the call', async () => {
  answer = async function* () {
    yield [
      { type: 'start', id: '', model: 'm' },
      { type: 'text', text: 'a' },
    ];
    await sleep(5000, undefined, { ref: false });
    yield [{ type: 'text', text: 'b' }];
  };
  const before = aborted;
  const controller = new AbortController();
  const response = await fetch(`${app.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', messages: hi, stream: true }),
    signal: controller.signal,
  });
  await response.body?.getReader().read();
  controller.abort();
  for (let wait = 0; wait < 100 && aborted === before; wait++) await sleep(20);
  assert.equal(aborted, before + 1);
});

test('completions that are kept: found, listed, changed, removed', async () => {
  answer = () => say('kept');
  const first = await chat({ store: true, metadata: { topic: 'a' } });
  const stream = await chatStream({
    store: true,
    metadata: { topic: 'b' },
    messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }],
  });
  const second = (await chunksOf(stream))[0]?.id ?? '';
  await chat();

  const { completions } = client.chat;
  assert.equal((await completions.retrieve(second)).choices[0]?.message.content, 'kept');
  const page = await completions.list({ limit: 1 });
  assert.deepEqual(
    page.data.map(({ id }) => id),
    [first.id],
  );
  assert.ok(page.has_more);
  const all: string[] = [];
  for await (const { id } of completions.list({ limit: 1, order: 'desc' })) all.push(id);
  assert.deepEqual(all, [second, first.id]);
  assert.deepEqual(
    (await completions.list({ metadata: { topic: 'b' } })).data.map(({ id }) => id),
    [second],
  );
  assert.deepEqual((await completions.list({ model: 'other' })).data, []);

  const messages = (await completions.messages.list(second)).data;
  assert.deepEqual(
    messages.map(({ id, content, content_parts }) => ({ id, content, content_parts })),
    [{ id: `${second}-0`, content: null, content_parts: [{ type: 'text', text: 'hi' }] }],
  );
  const updated = await completions.update(second, { metadata: { topic: 'c' } });
  assert.deepEqual((updated as { metadata?: unknown }).metadata, { topic: 'c' });
  assert.deepEqual(await completions.delete(second), { object: 'chat.completion.deleted', id: second, deleted: true });
  await assert.rejects(completions.retrieve(second), OpenAI.NotFoundError);
  await assert.rejects(completions.delete(second), OpenAI.NotFoundError);
});

test('completions: prompts, n, echo, best_of, log-probabilities, stream', async () => {
  answer = () => say('a', 'b');
  const reply = await client.completions.create({
    model: 'm',
    prompt: ['p', 'q'],
    n: 2,
    echo: true,
    suffix: 's',
    max_tokens: 3,
  });
  assert.deepEqual(
    reply.choices.map(({ index, text }) => [index, text]),
    [
      [0, 'pab'],
      [1, 'pab'],
      [2, 'qab'],
      [3, 'qab'],
    ],
  );
  assert.deepEqual([reply.usage?.prompt_tokens, reply.usage?.completion_tokens], [14, 8]);
  assert.equal(lastRequest.local?.suffix, 's');
  assert.equal(lastRequest.maxTokens, 3);

  answer = async function* (request) {
    const at = request.seed ?? 0;
    const token = { token: `t${at}`, logprob: -at, bytes: null, top: [{ token: 'x', logprob: -9, bytes: null }] };
    yield [
      { type: 'start', id: '', model: 'm' },
      { type: 'text', text: token.token, logprobs: [token] },
    ];
    yield [{ type: 'finish', reason: 'length', usage: { input: 3, output: 1 } }];
  };
  const best = await client.completions.create({ model: 'm', prompt: 'p', best_of: 3, seed: 1, logprobs: 1 });
  assert.equal(best.choices[0]?.text, 't1');
  assert.deepEqual(best.choices[0]?.logprobs, {
    tokens: ['t1'],
    token_logprobs: [-1],
    top_logprobs: [{ x: -9 }],
    text_offset: [0],
  });
  assert.deepEqual([best.usage?.prompt_tokens, best.usage?.completion_tokens], [3, 3]);

  answer = () => say('a', 'b');
  let text = '';
  let total = 0;
  const stream = await client.completions.create({
    model: 'm',
    prompt: [1, 2],
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.text ?? '';
    total = chunk.usage?.total_tokens ?? total;
  }
  assert.equal(text, 'ab');
  assert.equal(total, 9);
  assert.deepEqual(lastRequest.local?.promptTokens, [1, 2]);
  assert.equal(lastRequest.maxTokens, 16);
});

test('embeddings: base64 that the client asks for, floats, lists, dimensions', async () => {
  const one = await client.embeddings.create({ model: 'm', input: 'a' });
  assert.deepEqual(one.data[0]?.embedding, [0, 0.25, 0.5]);
  const many = await client.embeddings.create({
    model: 'm',
    input: ['a', 'b'],
    encoding_format: 'float',
    dimensions: 2,
  });
  assert.deepEqual(
    many.data.map((item) => item.embedding),
    [
      [0, 0.25],
      [1, 1.25],
    ],
  );
  assert.deepEqual(many.usage, { prompt_tokens: 5, total_tokens: 5 });
  await assert.rejects(client.embeddings.create({ model: 'm', input: [] }), { status: 400, param: 'input' });
  await assert.rejects(client.embeddings.create({ model: 'm', input: Array(2049).fill('a') }), {
    status: 400,
    param: 'input',
  });
});

test('models are listed, and found by names with colons and slashes', async () => {
  const list = await client.models.list();
  assert.deepEqual(
    list.data.map(({ id, owned_by }) => [id, owned_by]),
    [['m', 'library']],
  );
  const model = await client.models.retrieve('m');
  assert.equal(model.created, 1_700_000_000);
  contract('openai').check('Model', { ...model });
  assert.equal((await client.models.retrieve('hf.co/a/b:q4')).id, 'hf.co/a/b:q4');
  await assert.rejects(client.models.retrieve('missing'), /There is no model "missing"[\s\S]*viaduct pull missing/);
});

test('rerank, and images without a provider', async () => {
  const response = await fetch(`${app.url}/v1/rerank`, {
    method: 'POST',
    body: JSON.stringify({
      model: 'm',
      query: 'q',
      documents: ['a', { text: 'b' }, 'c'],
      top_n: 2,
      return_documents: true,
    }),
  });
  const body = (await response.json()) as { results: unknown };
  assert.deepEqual(body.results, [
    { index: 2, relevance_score: 0.2, document: { text: 'c' } },
    { index: 1, relevance_score: 0.1, document: { text: 'b' } },
  ]);
  await assert.rejects(client.images.generate({ prompt: 'a cat' }), { status: 501, code: 'not_implemented' });
});

test("unknown paths and wrong methods are refused in OpenAI's shape", async () => {
  for (const [method, path, status, code] of [
    ['GET', '/v1/nothing', 404, 'not_found'],
    ['GET', '/v1/chat/nothing', 404, 'not_found'],
    ['PUT', '/v1/chat/completions', 405, 'method_not_allowed'],
    ['POST', '/v1/models/a/b', 405, 'method_not_allowed'],
  ] as const) {
    const response = await fetch(`${app.url}${path}`, { method });
    const body = (await response.json()) as { error: { code: string } };
    contract('openai').check('ErrorResponse', body);
    assert.deepEqual([response.status, body.error.code], [status, code], path);
  }
  const broken = await fetch(`${app.url}/v1/chat/completions`, { method: 'POST', body: '{"model":' });
  assert.equal(broken.status, 400);
  contract('openai').check('ErrorResponse', await broken.json());
});

test('/openapi.json has every endpoint and the schemas that check its requests', async () => {
  const response = await fetch(`${app.url}/openapi.json`);
  type Schema = { properties: Record<string, { maximum?: number }>; required: string[] };
  type Operation = { requestBody: { content: { 'application/json': { schema: Schema } } } };
  const { openapi, paths } = (await response.json()) as {
    openapi: string;
    paths: Record<string, Record<string, Operation>>;
  };
  assert.equal(openapi, '3.1.0');
  const schema = paths['/v1/chat/completions']?.['post']?.requestBody.content['application/json'].schema;
  assert.deepEqual(schema?.required, ['model', 'messages']);
  assert.ok(schema?.properties['temperature']);
  assert.ok(paths['/v1/models/{rest}']?.['get']);
  assert.ok(!JSON.stringify(paths).includes('"$ref"'));
});

test('every chunk of our stream is of the contract', () => {
  assert.deepEqual(eventsOf('data: {"a":1}\n\ndata: [DONE]\n\n'), [{ a: 1 }]);
});
