/** Anthropic's two clients, unchanged but for base URL, key and model, against a real server with real weights. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { runPython } from '../support/python.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { type Colour, colours, drawShape, type Shape, shapes } from '../support/shapes.ts';

const model = 'qwen2.5-coder:0.5b';
const vision = 'qwen-vision';
const ask = { model, max_tokens: 40, messages: [{ role: 'user' as const, content: 'Say this is a test' }] };
/** The clients' types have no sampling fields any more; older clients send them. */
const exact = { temperature: 0 } as object;
let server: TestServer;
let client: Anthropic;

before(async () => {
  server = await startTestServer({ models: [model, vision, 'smollm2:135m'] });
  client = new Anthropic({ baseURL: server.url, apiKey: 'any', maxRetries: 0 });
});
after(() => server?.close());

const textOf = ({ content }: Anthropic.Message) =>
  content.map((block) => (block.type === 'text' ? block.text : '')).join('');

describe('messages', () => {
  test('a whole answer, counted as count_tokens said', async () => {
    const { messages } = ask;
    const reply = await client.messages.create({ ...ask, system: 'You are a test.' });
    assert.ok(textOf(reply));
    assert.match(String(reply.stop_reason), /^(end_turn|max_tokens)$/);
    const { input_tokens } = await client.messages.countTokens({ model, messages, system: 'You are a test.' });
    const { usage } = reply;
    assert.equal(usage.input_tokens + (usage.cache_read_input_tokens ?? 0), input_tokens);
    assert.ok(usage.output_tokens > 0);
  });

  test('a stream says the same as a whole answer', async () => {
    const whole = await client.messages.create({ ...ask, ...exact });
    const stream = client.messages.stream({ ...ask, ...exact });
    let text = '';
    stream.on('text', (delta) => {
      text += delta;
    });
    const message = await stream.finalMessage();
    assert.equal(text, textOf(whole));
    assert.equal(textOf(message), text);
    assert.equal(message.usage.output_tokens, whole.usage.output_tokens);
  });

  test('max_tokens and stop_sequences end it, and say so', async () => {
    const cut = await client.messages.create({ ...ask, max_tokens: 3 });
    assert.deepEqual([cut.stop_reason, cut.usage.output_tokens], ['max_tokens', 3]);
    const content = 'Count: 1, 2, 3, 4, 5, 6. Repeat exactly.';
    const stopped = await client.messages.create({
      ...ask,
      ...exact,
      messages: [{ role: 'user', content }],
      stop_sequences: ['3'],
    });
    assert.equal(stopped.stop_reason, 'stop_sequence');
    assert.equal(stopped.stop_sequence, '3');
    assert.ok(!textOf(stopped).includes('3'));
  });

  test('a tool loop, forced and streamed', async () => {
    const tools: Anthropic.Tool[] = [
      {
        name: 'get_weather',
        description: 'Weather of a city',
        input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
      },
    ];
    const messages: Anthropic.MessageParam[] = [{ role: 'user', content: 'What is the weather in Paris?' }];
    const stream = client.messages.stream({ model, max_tokens: 200, messages, tools, tool_choice: { type: 'any' } });
    const first = await stream.finalMessage();
    assert.equal(first.stop_reason, 'tool_use');
    const call = first.content.find((block) => block.type === 'tool_use');
    assert.ok(call);
    assert.equal(call.name, 'get_weather');
    assert.equal(typeof (call.input as { city: unknown }).city, 'string');
    const second = await client.messages.create({
      model,
      max_tokens: 60,
      tools,
      messages: [
        ...messages,
        { role: 'assistant', content: first.content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: '21 °C and sunny' }] },
      ],
    });
    assert.ok(second.content.length > 0);
  });

  test('structured output is what its schema says', async () => {
    const schema = {
      type: 'object',
      properties: { name: { type: 'string' }, age: { type: 'integer' } },
      required: ['name', 'age'],
      additionalProperties: false,
    };
    const reply = await client.messages.create({
      model,
      max_tokens: 200,
      messages: [{ role: 'user', content: 'Ada is 36 years old.' }],
      output_config: { format: { type: 'json_schema', schema } },
    });
    const { name, age } = JSON.parse(textOf(reply)) as { name: unknown; age: unknown };
    assert.deepEqual([typeof name, Number.isInteger(age)], ['string', true]);
  });

  test('pictures are seen: colour and shape in at least 20 of 21', async () => {
    const pictures = (Object.keys(colours) as Colour[]).flatMap((colour) =>
      shapes.map((shape): [Colour, Shape] => [colour, shape]),
    );
    let right = 0;
    for (const [colour, shape] of pictures) {
      const data = drawShape(colour, shape).toString('base64');
      const reply = await client.messages.create({
        model: vision,
        max_tokens: 40,
        ...exact,
        messages: [
          {
            role: 'user',
            content: [
              { type: 'image', source: { type: 'base64', media_type: 'image/png', data } },
              { type: 'text', text: 'Repeat the description above word for word.' },
            ],
          },
        ],
      });
      if (textOf(reply).includes(colour) && textOf(reply).includes(shape)) right++;
    }
    assert.ok(right >= 20, `${right} of ${pictures.length}`);
  });

  test('failures raise the classes of the SDK', async () => {
    await assert.rejects(client.messages.create({ ...ask, model: 'nobody:1b' }), Anthropic.NotFoundError);
    await assert.rejects(client.messages.create({ ...ask, model: 'claude-haiku-4-5' }), /Anthropic/);
    const long = 'word '.repeat(60_000);
    await assert.rejects(client.messages.create({ ...ask, messages: [{ role: 'user', content: long }] }), (error) => {
      assert.ok(error instanceof Anthropic.BadRequestError);
      assert.match(error.message, /context/);
      return true;
    });
    const image = {
      type: 'image' as const,
      source: {
        type: 'base64' as const,
        media_type: 'image/png' as const,
        data: drawShape('red', 'circle').toString('base64'),
      },
    };
    await assert.rejects(
      client.messages.create({ ...ask, model: 'smollm2:135m', messages: [{ role: 'user', content: [image] }] }),
      Anthropic.BadRequestError,
    );
  });
});

test("Anthropic's Python client", async () => {
  const { code, stdout, stderr } = await runPython(
    `
import anthropic, asyncio, json, os
client = anthropic.Anthropic(base_url=os.environ["URL"], api_key="any", max_retries=0)
model = os.environ["MODEL"]
messages = [{"role": "user", "content": "Say this is a test"}]
reply = client.messages.create(model=model, max_tokens=20, messages=messages)
assert reply.content[0].type == "text" and reply.content[0].text
with client.messages.stream(model=model, max_tokens=20, messages=messages) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
assert text == final.content[0].text
assert client.messages.count_tokens(model=model, messages=messages).input_tokens > 0
try:
    client.messages.create(model="nobody:1b", max_tokens=20, messages=messages)
    raise SystemExit("no error")
except anthropic.NotFoundError as error:
    assert error.body["error"]["type"] == "not_found_error"
async def many():
    client = anthropic.AsyncAnthropic(base_url=os.environ["URL"], api_key="any")
    return await asyncio.gather(*(client.messages.create(model=model, max_tokens=8, messages=messages) for _ in range(3)))
print(json.dumps([reply.stop_reason for reply in asyncio.run(many())]))
`,
    { URL: server.url, MODEL: model },
  );
  assert.equal(code, 0, stderr);
  assert.equal((JSON.parse(stdout) as string[]).length, 3);
});
