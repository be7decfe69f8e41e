/** The Responses API on real weights and the real engine, in a server process of its own. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { checkEvents, checkResponse } from '../support/responses-contract.ts';
import { lastOf, openSocket } from '../support/responses-socket.ts';
import { makeHome, startTestServer, type TestServer } from '../support/server.ts';

type Wire = { [field: string]: unknown };
const model = 'smollm2:135m';
let home: string;
let server: TestServer;
let client: OpenAI;

const start = async () => {
  server = await startTestServer({ home });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'local', maxRetries: 0 });
};

before(async () => {
  home = await makeHome([model]);
  await start();
});
after(async () => {
  await server.close();
  rmSync(home, { recursive: true, force: true });
});

test('an answer, whole and streamed, is the same at temperature 0', async () => {
  const body = { model, input: 'Say hello.', temperature: 0, max_output_tokens: 16 };
  await client.responses.create(body);
  const whole = await client.responses.create(body);
  checkResponse(whole);
  assert.ok(whole.output_text.length > 0);
  const events: Wire[] = [];
  for await (const event of await client.responses.create({ ...body, stream: true })) events.push({ ...event });
  checkEvents(events);
  const text = events.find(({ type }) => type === 'response.output_text.done')?.['text'];
  assert.equal(text, whole.output_text);
});

test('a tool that must be called is called with arguments that fit', async () => {
  const { output } = await client.responses.create({
    model,
    input: 'What is the weather in Paris?',
    tool_choice: 'required',
    tools: [
      {
        type: 'function',
        name: 'get_weather',
        strict: true,
        parameters: {
          type: 'object',
          properties: { location: { type: 'string' } },
          required: ['location'],
          additionalProperties: false,
        },
      },
    ],
  });
  const call = output.find(({ type }) => type === 'function_call');
  assert.ok(call?.type === 'function_call');
  assert.equal(typeof (JSON.parse(call.arguments) as Wire)['location'], 'string');
});

test('a JSON schema is kept to', async () => {
  const schema = {
    type: 'object',
    properties: { age: { type: 'integer' } },
    required: ['age'],
    additionalProperties: false,
  };
  const { output_text } = await client.responses.create({
    model,
    input: 'How old is Ann, who is 30?',
    text: { format: { type: 'json_schema', name: 'age', schema, strict: true } },
  });
  assert.ok(Number.isInteger((JSON.parse(output_text) as Wire)['age']));
});

test('the second turn of a connection evaluates only what is new', async () => {
  await using socket = await openSocket(server.url);
  const input = `Remember this list: ${Array.from({ length: 60 }, (_, n) => `item ${n}`).join(', ')}.`;
  const first = await socket.turn({ model, store: false, input, max_output_tokens: 16 });
  const response = lastOf(first, 'response') as { id: string; usage: OpenAI.Responses.ResponseUsage };
  const second = await socket.turn({
    model,
    store: false,
    previous_response_id: response.id,
    input: 'And now?',
    max_output_tokens: 16,
  });
  const { usage } = lastOf(second, 'response') as { usage: OpenAI.Responses.ResponseUsage };
  assert.ok(usage.input_tokens > response.usage.input_tokens);
  assert.ok(
    usage.input_tokens_details.cached_tokens >= response.usage.input_tokens - 8,
    `${usage.input_tokens_details.cached_tokens} of ${usage.input_tokens} came from the cache`,
  );
});

test('what was asked with a prompt_cache_key is still there, whatever was asked with others meanwhile', async () => {
  const instructions = 'You are the assistant of a large library. '.repeat(12);
  const ask = (key: string, more = '') =>
    client.responses.create({
      model,
      instructions,
      input: `${`The ${key} is the topic of this document. `.repeat(30)}${more}`,
      prompt_cache_key: key,
      max_output_tokens: 16,
      store: false,
    });
  const keys = ['apple', 'bear', 'cloud', 'dust', 'earth', 'fire'];
  for (const key of keys) await ask(key);
  for (const key of keys) {
    const { usage } = await ask(key, 'Go on.');
    const { cached_tokens } = usage?.input_tokens_details ?? {};
    const fresh = (usage?.input_tokens ?? 0) - (cached_tokens ?? 0);
    assert.ok(fresh < 30, `${key}: ${fresh} of ${usage?.input_tokens} tokens were evaluated again`);
  }
});

test('keys keep apart what begins alike, over Responses, Chat Completions and connections, one after another and at once', async () => {
  const instructions = 'You are the assistant of a large library. '.repeat(40);
  const text = (key: string) => `The ${key} is the topic of this document. `.repeat(12);
  const ask = async (key: string, more: string) => {
    const body = { model, prompt_cache_key: key, store: false };
    const input = `${text(key)}${more}`;
    if (key.startsWith('chat')) {
      const messages = [
        { role: 'system' as const, content: instructions },
        { role: 'user' as const, content: input },
      ];
      const { usage } = await client.chat.completions.create({ ...body, messages, max_tokens: 4 });
      return (usage?.prompt_tokens ?? 0) - (usage?.prompt_tokens_details?.cached_tokens ?? 0);
    }
    const { usage } = await client.responses.create({ ...body, instructions, input, max_output_tokens: 16 });
    return (usage?.input_tokens ?? 0) - (usage?.input_tokens_details.cached_tokens ?? 0);
  };
  await using socket = await openSocket(server.url);
  const turn = async (more: object) => {
    const events = await socket.turn({ model, instructions, store: false, max_output_tokens: 16, ...more });
    return lastOf(events, 'response') as { id: string; usage: OpenAI.Responses.ResponseUsage };
  };
  const keys = ['sun', 'chat-moon', 'star'];
  const first = [];
  for (const key of keys) first.push(await ask(key, ''));
  let last = await turn({ input: text('sea') });
  // What begins alike is copied from the one before, not evaluated again.
  for (const fresh of first.slice(1)) assert.ok(fresh < 200, `${fresh} tokens evaluated for a new key`);
  for (let round = 0; round < 3; round++) {
    for (const key of keys) {
      const fresh = await ask(key, ` Go on ${round}.`);
      assert.ok(fresh < 30, `${key} in round ${round}: ${fresh} tokens were evaluated again`);
    }
    const before = last.usage.input_tokens;
    last = await turn({ input: `And ${round}?`, previous_response_id: last.id });
    const { cached_tokens } = last.usage.input_tokens_details;
    assert.ok(cached_tokens >= before - 8, `connection: ${cached_tokens} of ${before} were there`);
  }
  const together = await Promise.all(keys.map((key) => ask(key, ' All at once.')));
  for (const fresh of together) assert.ok(fresh < 30, `${together} tokens were evaluated again`);
});

test('a key whose slot is at work does not wait for it', async () => {
  const ended: number[] = [];
  const ask = (max_output_tokens: number) =>
    client.responses.create({
      model,
      input: 'Tell a long story of a fox.',
      prompt_cache_key: 'fox',
      store: false,
      stream: true,
      temperature: 0,
      max_output_tokens,
    });
  const read = async (stream: Awaited<ReturnType<typeof ask>>, tokens: number, begun: () => void) => {
    for await (const { type } of stream) if (type === 'response.output_text.delta') begun();
    ended.push(tokens);
  };
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  const long = read(await ask(400), 400, resolve);
  await begun;
  await read(await ask(16), 16, resolve);
  await long;
  assert.deepEqual(ended, [16, 400]);
});

test('a chain goes on beyond the context of the model', async () => {
  let previous: string | null = null;
  let compactions = 0;
  const filler = 'The quick brown fox jumps over the lazy dog. '.repeat(30);
  for (let turn = 0; turn < 6; turn++) {
    const response: OpenAI.Responses.Response = await client.responses.create({
      model,
      previous_response_id: previous,
      input: `Turn ${turn}. ${filler}`,
      max_output_tokens: 16,
      context_management: [{ type: 'compaction', compact_threshold: 1000 }],
      options: { num_ctx: 2048 },
    } as OpenAI.Responses.ResponseCreateParamsNonStreaming);
    assert.match(response.status ?? '', /^(completed|incomplete)$/);
    compactions += response.output.filter(({ type }) => type === 'compaction').length;
    previous = response.id;
  }
  assert.ok(compactions > 0);
});

test('kill -9 in a background response: after the restart it has failed, with a reason, and its events are there', async () => {
  const stream = await client.responses.create({
    model,
    input: 'Tell me a very long story about a fox.',
    background: true,
    stream: true,
    max_output_tokens: 2000,
  });
  const seen: Wire[] = [];
  let id = '';
  for await (const event of stream) {
    if (event.type === 'response.created') id = event.response.id;
    seen.push({ ...event });
    if (seen.length === 12) break;
  }
  const gone = new Promise((resolve) => server.process.on('exit', resolve));
  server.process.kill('SIGKILL');
  await gone;
  await start();
  const failed = await client.responses.retrieve(id);
  checkResponse(failed);
  assert.equal(failed.status, 'failed');
  assert.match(failed.error?.message ?? '', /stopped/);
  const starting_after = Number(seen[5]?.['sequence_number']);
  const rest: Wire[] = [];
  for await (const event of await client.responses.retrieve(id, { stream: true, starting_after }))
    rest.push({ ...event });
  assert.deepEqual(rest.slice(0, 5), seen.slice(6, 11));
  assert.equal(rest.at(-1)?.['type'], 'response.failed');
});
