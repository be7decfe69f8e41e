/** The built program: what the bundle must find at run time, its workers and what it requires by name, is there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { startTestServer, type TestServer } from '../support/server.ts';

const root = join(import.meta.dirname, '../..');
const picture = readFileSync(join(root, 'src/providers/local/__fixtures__/images/red-circle.webp'));
let server: TestServer;
let client: OpenAI;

before(async () => {
  execFileSync('npm', ['run', 'build'], { cwd: root, stdio: 'pipe' });
  server = await startTestServer({ models: ['qwen-vision'], program: join(root, 'dist/main.js') });
  client = new OpenAI({ baseURL: `${server.url}/v1/`, apiKey: 'ollama', maxRetries: 0 });
});
after(() => server?.close());

test('a forced tool call is checked against its schema', async () => {
  const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
  const { choices } = await client.chat.completions.create({
    model: 'qwen-vision',
    messages: [{ role: 'user', content: 'The weather in Paris?' }],
    tools: [{ type: 'function', function: { name: 'weather', parameters } }],
    tool_choice: 'required',
    max_tokens: 60,
  });
  const [call] = choices[0]?.message.tool_calls ?? [];
  assert.ok(call?.type === 'function');
  assert.equal(typeof JSON.parse(call.function.arguments).city, 'string');
});

test('a WebP picture is decoded', async () => {
  const { choices } = await client.chat.completions.create({
    model: 'qwen-vision',
    temperature: 0,
    max_tokens: 40,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: `data:image/webp;base64,${picture.toString('base64')}` } },
          { type: 'text', text: 'Repeat the description above word for word.' },
        ],
      },
    ],
  });
  assert.match(choices[0]?.message.content ?? '', /red circle/);
});

test('a response is stored and found again', async () => {
  const made = await client.responses.create({ model: 'qwen-vision', input: 'Hello', max_output_tokens: 16 });
  const found = await client.responses.retrieve(made.id);
  assert.equal(found.output_text, made.output_text);
});

test('a model is asked for at its address', async () => {
  const asked: (string | undefined)[] = [];
  const site = createServer(({ url }, response) => {
    asked.push(url);
    response.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(site, 'listening');
  try {
    const address = `http://127.0.0.1:${(site.address() as AddressInfo).port}/models/none.gguf?download=true`;
    const reply = await fetch(`${server.url}/api/pull`, {
      method: 'POST',
      body: JSON.stringify({ model: address, stream: false }),
    });
    assert.match(await reply.text(), /does not have none\.gguf/);
    assert.equal(asked[0], '/models/none.gguf?download=true');
  } finally {
    site.close();
  }
});
