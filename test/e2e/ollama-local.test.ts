/** Ollama's two clients, unchanged but for the host, against a real server with real weights. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Ollama } from 'ollama';
import { contract } from '../support/contract.ts';
import { runPython } from '../support/python.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { drawShape } from '../support/shapes.ts';

const model = 'qwen2.5-coder:0.5b';
const small = 'smollm2:135m';
const hi = [{ role: 'user', content: 'Say this is a test' }];
let server: TestServer;
let client: Ollama;

before(async () => {
  server = await startTestServer({ models: [model, small, 'qwen-vision', 'all-minilm'] });
  client = new Ollama({ host: server.url });
});
after(() => server?.close());

async function all<Item>(stream: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

const counts = [
  'total_duration',
  'load_duration',
  'prompt_eval_count',
  'prompt_eval_duration',
  'eval_count',
  'eval_duration',
] as const;

describe('chat and generate', () => {
  test('chat, whole and streamed, says the same and counts', async () => {
    const request = { model: small, messages: hi, options: { temperature: 0, seed: 1, num_predict: 20 } };
    for (const _warmth of ['cold', 'warm']) {
      const whole = await client.chat(request);
      contract('ollama').check('ChatResponse', whole);
      const parts = await all(await client.chat({ ...request, stream: true }));
      for (const part of parts.slice(0, -1)) contract('ollama').check('ChatStreamEvent', part);
      assert.equal(parts.map(({ message }) => message.content).join(''), whole.message.content);
      for (const last of [whole, parts.at(-1)]) {
        contract('ollama').check('ChatResponse', last);
        assert.equal(last?.model, small);
        assert.ok(last?.done_reason);
        for (const name of counts) assert.ok(Number.isInteger(last?.[name]) && (last?.[name] ?? 0) > 0, name);
      }
    }
  });

  test('generate goes on from its context', async () => {
    const options = { temperature: 0, num_predict: 24 };
    const first = await client.generate({ model, prompt: 'My favourite colour is green. Say ok.', options });
    contract('ollama').check('GenerateResponse', first);
    assert.ok(first.context.length > 0);
    const prompt = 'What is my favourite colour? Answer with one word.';
    const second = await client.generate({ model, prompt, context: first.context, options });
    assert.match(String(second.response), /green/i);
    assert.ok(second.prompt_eval_count > first.prompt_eval_count);
  });

  test('raw, template, system and suffix', async () => {
    const options = { temperature: 0, num_predict: 8 };
    const raw = await client.generate({ model: small, prompt: 'Once upon a', raw: true, options });
    assert.ok(raw.response);
    assert.ok(raw.prompt_eval_count <= 8, 'nothing but the prompt was read');
    const templated = await client.generate({
      model: small,
      prompt: 'Once upon a',
      template: '{{ .Prompt }}',
      options,
    });
    assert.equal(templated.response, raw.response);
    const filled = await client.generate({
      model,
      prompt: 'def add(a, b):\n    ',
      suffix: '\n',
      options,
    });
    assert.match(String(filled.response), /return a \+ b/);
  });

  test('formats: JSON, and a schema', async () => {
    const json = await client.chat({
      model,
      messages: [{ role: 'user', content: 'Give me a JSON object with the keys name and age.' }],
      format: 'json',
      options: { temperature: 0, num_predict: 200 },
    });
    assert.deepEqual(Object.keys(JSON.parse(json.message.content)), ['name', 'age']);
    const format = {
      type: 'object',
      properties: { city: { type: 'string', maxLength: 20 }, big: { type: 'boolean' } },
      required: ['city', 'big'],
    };
    const parts = await all(
      await client.chat({ model: small, messages: [{ role: 'user', content: 'Is Rome big?' }], format, stream: true }),
    );
    const { city, big } = JSON.parse(parts.map(({ message }) => message.content).join('')) as {
      city: unknown;
      big: unknown;
    };
    assert.deepEqual([typeof city, typeof big], ['string', 'boolean']);
  });

  test('tools: a call is an object, and its result comes back', async () => {
    const tools = [
      {
        type: 'function',
        function: {
          name: 'get_weather',
          description: 'Get the weather of a city',
          parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
        },
      },
    ];
    const messages = [{ role: 'user', content: 'What is the weather in Paris? Use the tool.' }];
    const { message } = await client.chat({ model, messages, tools, options: { temperature: 0 } });
    const [call] = message.tool_calls ?? [];
    assert.equal(call?.function.name, 'get_weather');
    assert.match(String(call?.function.arguments['city']), /Paris/);
    const reply = await client.chat({
      model,
      messages: [...messages, message, { role: 'tool', content: '21 degrees', tool_name: 'get_weather' }],
      tools,
      options: { temperature: 0, num_predict: 60 },
    });
    assert.ok(reply.message.content || reply.message.tool_calls);
  });

  test('log-probabilities: an entry for each token', async () => {
    const request = {
      model: small,
      messages: hi,
      logprobs: true,
      top_logprobs: 3,
      options: { num_predict: 6, temperature: 0 },
    };
    const parts = await all(await client.chat({ ...request, stream: true }));
    const entries = parts.flatMap(({ logprobs }) => logprobs ?? []);
    assert.equal(entries.length, parts.at(-1)?.eval_count);
    for (const { logprob, top_logprobs = [] } of entries) {
      assert.ok(logprob <= 0);
      assert.ok(top_logprobs.length > 0 && top_logprobs.length <= 3);
      assert.deepEqual(
        top_logprobs.map((top) => top.logprob),
        top_logprobs.map((top) => top.logprob).sort((a, b) => b - a),
      );
    }
  });

  test('a picture is seen', async () => {
    const images = [drawShape('red', 'circle').toString('base64')];
    const messages = [{ role: 'user', content: 'Repeat the description above word for word.', images }];
    const { message } = await client.chat({
      model: 'qwen-vision',
      messages,
      options: { temperature: 0, num_predict: 40 },
    });
    assert.match(message.content, /red circle/);
    const { response } = await client.generate({
      model: 'qwen-vision',
      prompt: 'Repeat the description above word for word.',
      images,
      options: { temperature: 0, num_predict: 40 },
    });
    assert.match(String(response), /red circle/);
  });

  test('a prompt beyond num_ctx is an error that says context', async () => {
    const messages = [{ role: 'user', content: 'word '.repeat(400) }];
    await assert.rejects(client.chat({ model: small, messages, options: { num_ctx: 256 } }), /context/);
  });
});

describe('models', () => {
  const names = async () => (await client.ps()).models.map(({ name }) => name);

  test('an empty prompt loads, keep_alive 0 unloads, ps tells', async () => {
    const loaded = await client.generate({ model: small, prompt: '', keep_alive: '10m' });
    assert.equal(loaded.done_reason, 'load');
    contract('ollama').check('PsResponse', await client.ps());
    assert.ok((await names()).includes(small));
    // Longer than a date can say.
    await client.generate({ model: small, prompt: '', keep_alive: 1e15 });
    contract('ollama').check('PsResponse', await client.ps());
    const gone = await client.generate({ model: small, prompt: '', keep_alive: 0 });
    assert.equal(gone.done_reason, 'unload');
    const deadline = Date.now() + 10_000;
    while ((await names()).includes(small) && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(!(await names()).includes(small));
  });

  test('list, show, copy, delete', async () => {
    assert.ok((await client.list()).models.some(({ name }) => name === small));
    assert.ok((await client.show({ model: 'qwen-vision' })).capabilities.includes('vision'));
    await client.copy({ source: small, destination: 'mine' });
    assert.ok((await client.list()).models.some(({ name }) => name === 'mine:latest'));
    await client.delete({ model: 'mine' });
    await assert.rejects(client.show({ model: 'mine' }), /mine/);
    await assert.rejects(client.chat({ model: 'nobody:1b', messages: hi }), /nobody/);
  });

  test('embeddings have length one; what is too long is cut or refused', async () => {
    const { embeddings, prompt_eval_count } = await client.embed({
      model: 'all-minilm',
      input: ['red', 'a blue circle'],
    });
    for (const vector of embeddings) {
      assert.equal(vector.length, 384);
      assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-3);
    }
    assert.ok(prompt_eval_count > 4, 'special tokens count');
    const input = 'word '.repeat(3000);
    assert.equal((await client.embed({ model: 'all-minilm', input })).embeddings.length, 1);
    await assert.rejects(
      client.embed({ model: 'all-minilm', input, truncate: false }),
      /the input length exceeds the context length/,
    );
    assert.equal((await client.embed({ model: 'all-minilm', input: 'red', dimensions: 64 })).embeddings[0]?.length, 64);
    assert.equal((await client.embeddings({ model: 'all-minilm', prompt: 'red' })).embedding.length, 384);
  });
});

test("Ollama's Python client", async () => {
  const { code, stderr } = await runPython(
    `
import os, ollama
client = ollama.Client(host=os.environ["URL"])
small, model = "smollm2:135m", "qwen2.5-coder:0.5b"
messages = [{"role": "user", "content": "Say this is a test"}]
options = {"temperature": 0, "num_predict": 16}
whole = client.chat(model=small, messages=messages, options=options)
assert whole.message.content and whole.done and whole.eval_count > 0
parts = list(client.chat(model=small, messages=messages, options=options, stream=True))
assert "".join(part.message.content for part in parts) == whole.message.content
assert client.generate(model=small, prompt="Hello", options=options).context
def add(a: int, b: int) -> int:
    """Add two numbers"""
    return a + b
reply = client.chat(model=model, messages=[{"role": "user", "content": "What is 3 + 4? Use the tool."}], tools=[add], options={"temperature": 0})
assert reply.message.tool_calls[0].function.name == "add"
assert len(client.embed(model="all-minilm", input="red").embeddings[0]) == 384
assert any(entry.model == small for entry in client.list().models)
assert client.show(small).details
assert client.ps().models
try:
    client.chat(model="nobody:1b", messages=messages)
    raise SystemExit("no error")
except ollama.ResponseError as error:
    assert error.status_code == 404
`,
    { URL: server.url },
  );
  assert.equal(code, 0, stderr);
});
