/** OpenAI's two clients, unchanged but for base URL, key and model, against a real server with real weights. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { runPython } from '../support/python.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const model = 'smollm2:brief';
const question = [{ role: 'user' as const, content: 'Say this is a test' }];
let server: TestServer;
let client: OpenAI;

before(async () => {
  server = await startTestServer({ models: [model, 'all-minilm'] });
  client = new OpenAI({ baseURL: `${server.url}/v1/`, apiKey: 'ollama', maxRetries: 0 });
});
after(() => server?.close());

async function textOf(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  return text;
}

describe('chat', () => {
  test("the article's example", async () => {
    const reply = await client.chat.completions.create({ model, messages: question });
    const [choice] = reply.choices;
    assert.ok(choice?.message.content);
    assert.equal(choice.message.role, 'assistant');
    assert.match(choice.finish_reason, /^(stop|length)$/);
    assert.equal(reply.model, model);
    assert.ok(reply.usage);
    assert.equal(reply.usage.prompt_tokens + reply.usage.completion_tokens, reply.usage.total_tokens);
  });

  test('a stream says the same as a whole answer, and counts when asked', async () => {
    const request = { model, messages: question, temperature: 0, seed: 1, max_tokens: 24 };
    const whole = await client.chat.completions.create(request);
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole.choices[0]?.message.content);
    assert.equal(usage?.completion_tokens, whole.usage?.completion_tokens);
    assert.equal(usage?.prompt_tokens, whole.usage?.prompt_tokens);
  });

  for (const stream of [true, false])
    test(`a client that leaves in the middle of a long prompt, stream: ${stream}: it is not read to its end`, async () => {
      const isBusy = async () => {
        const { models } = (await (await fetch(`${server.url}/api/ps`)).json()) as { models: { busy: number }[] };
        return models.some(({ busy }) => busy > 0);
      };
      const content = `${stream ? 'apple' : 'river'} and more of it, `.repeat(100);
      const request = { model, messages: [{ role: 'user' as const, content }], max_tokens: 1 };
      const leaving = new AbortController();
      const left = assert.rejects(async () => {
        const reply = await client.chat.completions.create({ ...request, stream }, { signal: leaving.signal });
        if (Symbol.asyncIterator in reply) for await (const _ of reply);
        leaving.signal.throwIfAborted();
      });
      while (!(await isBusy())) await sleep(5);
      await sleep(50);
      leaving.abort();
      await left;
      while (await isBusy()) await sleep(5);
      const { usage } = await client.chat.completions.create(request);
      const { prompt_tokens: total = 0, prompt_tokens_details: details } = usage ?? {};
      assert.ok(total > 500 && (details?.cached_tokens ?? 0) < total * 0.8, JSON.stringify(usage));
    });

  test('several at once do not mix', async () => {
    const replies = await Promise.all(
      ['red', 'blue', 'green', 'white'].map(async (word) => {
        const content = `Repeat this word and nothing else: ${word}`;
        const request = { model, messages: [{ role: 'user' as const, content }], temperature: 0, max_tokens: 12 };
        const [alone, streamed] = await Promise.all([
          client.chat.completions.create(request),
          client.chat.completions.create({ ...request, stream: true }).then(textOf),
        ]);
        return [alone.choices[0]?.message.content, streamed];
      }),
    );
    for (const [alone, streamed] of replies) {
      assert.ok(alone);
      assert.ok(streamed);
    }
  });

  test('max_completion_tokens ends with length, stop is never emitted', async () => {
    const cut = await client.chat.completions.create({ model, messages: question, max_completion_tokens: 3 });
    assert.equal(cut.choices[0]?.finish_reason, 'length');
    assert.equal(cut.usage?.completion_tokens, 3);
    const whole = await client.chat.completions.create({ model, messages: question, temperature: 0, max_tokens: 30 });
    const stop = whole.choices[0]?.message.content?.split(' ')[2] ?? 'x';
    const stopped = await client.chat.completions.create({
      model,
      messages: question,
      temperature: 0,
      max_tokens: 30,
      stop,
    });
    assert.equal(stopped.choices[0]?.finish_reason, 'stop');
    assert.ok(!stopped.choices[0]?.message.content?.includes(stop));
  });

  test('the same seed gives the same text; n gives different ones', async () => {
    const request = { model, messages: question, seed: 7, temperature: 1, max_tokens: 20 };
    const [one, two] = [await client.chat.completions.create(request), await client.chat.completions.create(request)];
    assert.equal(one.choices[0]?.message.content, two.choices[0]?.message.content);
    const many = await client.chat.completions.create({ ...request, n: 3 });
    assert.deepEqual(
      many.choices.map(({ index }) => index),
      [0, 1, 2],
    );
    assert.equal(new Set(many.choices.map(({ message }) => message.content)).size > 1, true);
  });

  test('log-probabilities', async () => {
    const reply = await client.chat.completions.create({
      model,
      messages: question,
      logprobs: true,
      top_logprobs: 3,
      max_tokens: 4,
      temperature: 0,
    });
    const content = reply.choices[0]?.logprobs?.content;
    assert.equal(content?.length, 4);
    for (const entry of content ?? []) {
      assert.equal(entry.top_logprobs.length, 3);
      assert.ok(entry.logprob <= 0);
    }
  });

  test('an unknown model, a hosted one, a prompt that is too long', async () => {
    const ask = (fields: object) =>
      client.chat.completions.create({
        model,
        messages: question,
        ...fields,
      } as OpenAI.ChatCompletionCreateParamsNonStreaming);
    await assert.rejects(
      ask({ model: 'nothing:1b' }),
      (error) =>
        error instanceof OpenAI.NotFoundError &&
        error.code === 'model_not_found' &&
        /smollm2:brief/.test(error.message) &&
        /pull/.test(error.message),
    );
    await assert.rejects(
      ask({ model: 'gpt-5' }),
      (error) => error instanceof OpenAI.NotFoundError && /OpenAI/.test(error.message),
    );
    const long = [{ role: 'user', content: 'word '.repeat(5000) }];
    await assert.rejects(
      ask({ messages: long, options: { num_ctx: 512 } }),
      (error) =>
        error instanceof OpenAI.BadRequestError &&
        error.code === 'context_length_exceeded' &&
        /512/.test(error.message),
    );
  });

  test('a kept completion comes back', async () => {
    const reply = await client.chat.completions.create({
      model,
      messages: question,
      store: true,
      max_tokens: 5,
      metadata: { a: 'b' },
    });
    const again = await client.chat.completions.retrieve(reply.id);
    assert.equal(again.choices[0]?.message.content, reply.choices[0]?.message.content);
  });
});

test('completions continue the text', async () => {
  const request = { model, prompt: 'The capital of France is', max_tokens: 8, temperature: 0 };
  const reply = await client.completions.create(request);
  assert.match(reply.choices[0]?.text ?? '', /Paris/);
  let text = '';
  for await (const chunk of await client.completions.create({ ...request, stream: true }))
    text += chunk.choices[0]?.text ?? '';
  assert.equal(text, reply.choices[0]?.text);
});

test('completions of a prompt in tokens', async () => {
  const ask = (prompt: string | number[]) =>
    client.completions.create({ model, prompt, max_tokens: 6, temperature: 0 });
  const tokens = await ask([1, 2, 1]);
  assert.equal(tokens.usage?.prompt_tokens, 3);
  assert.equal(tokens.usage?.completion_tokens, 6);
});

test('embeddings', async () => {
  const base64 = await client.embeddings.create({ model: 'all-minilm', input: ['a cat', 'a kitten', 'tax law'] });
  const float = await client.embeddings.create({ model: 'all-minilm', input: ['a cat'], encoding_format: 'float' });
  const [cat = [], kitten = [], tax = []] = base64.data.map(({ embedding }) => embedding);
  assert.equal(cat.length, 384);
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
  assert.ok(Math.abs(dot(cat, cat) - 1) < 1e-3);
  assert.ok(dot(cat, kitten) > dot(cat, tax));
  assert.ok(dot(cat, float.data[0]?.embedding ?? []) > 0.999);
  const short = await client.embeddings.create({ model: 'all-minilm', input: 'a cat', dimensions: 64 });
  const vector = short.data[0]?.embedding ?? [];
  assert.equal(vector.length, 64);
  assert.ok(Math.abs(dot(vector, vector) - 1) < 1e-3);
});

test('models', async () => {
  const { data } = await client.models.list();
  assert.ok(data.some(({ id }) => id === model));
  const entry = (await client.models.retrieve(model)) as OpenAI.Model & { context_length?: number };
  assert.equal(entry.id, model);
  assert.ok((entry.context_length ?? 0) > 0);
});

test("Python: the article's example, stream, async, several at once, errors", async () => {
  const { code, stdout, stderr } = await runPython(program, { BASE_URL: `${server.url}/v1/`, MODEL: model });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /all is well/);
});

const program = `
import asyncio, os
import openai
from openai import AsyncOpenAI, OpenAI

base_url, model = os.environ["BASE_URL"], os.environ["MODEL"]
client = OpenAI(base_url=base_url, api_key="ollama", max_retries=0)
messages = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Say this is a test"},
]
reply = client.chat.completions.create(model=model, messages=messages)
assert reply.choices[0].message.content, reply
assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens

text, usage = "", None
for chunk in client.chat.completions.create(
    model=model, messages=messages, stream=True, stream_options={"include_usage": True}
):
    if chunk.choices:
        text += chunk.choices[0].delta.content or ""
    usage = chunk.usage or usage
assert text and usage.completion_tokens > 0

async def several():
    asynchronous = AsyncOpenAI(base_url=base_url, api_key="ollama")
    replies = await asyncio.gather(*(
        asynchronous.chat.completions.create(model=model, messages=messages, max_tokens=8) for _ in range(4)
    ))
    assert all(reply.choices[0].message.content for reply in replies)
asyncio.run(several())

assert model in [entry.id for entry in client.models.list()]
assert client.models.retrieve(model).id == model
assert client.completions.create(model=model, prompt="Once upon", max_tokens=4).choices[0].text
vectors = client.embeddings.create(model="all-minilm", input=["a", "b"])
assert [len(item.embedding) for item in vectors.data] == [384, 384]

try:
    client.chat.completions.create(model="nothing:1b", messages=messages)
    raise SystemExit("no error")
except openai.NotFoundError as error:
    assert error.code == "model_not_found", error.code
try:
    client.chat.completions.create(model=model, messages=messages, temperature=9)
    raise SystemExit("no error")
except openai.BadRequestError as error:
    assert error.param == "temperature", error.param
print("all is well")
`;
