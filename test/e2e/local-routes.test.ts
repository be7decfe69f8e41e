/** Routes over local models: who can take a request is known before it is sent, and privacy holds for pictures too. */
import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { startTestServer, type TestServer } from '../support/server.ts';
import { drawShape } from '../support/shapes.ts';

let server: TestServer;
let images: Server;
/** Connections to the machine that the client's picture lies on. */
let connections = 0;
let imageUrl: string;

before(async () => {
  images = createServer((_request, reply) => reply.end(drawShape('red', 'circle')));
  images.on('connection', () => connections++);
  await new Promise<void>((resolve) => images.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(images.address() as AddressInfo).port}`;
  imageUrl = `http://${host}/circle.png`;
  server = await startTestServer({
    models: ['smollm2:135m', 'qwen-vision'],
    config: `
engine: { image_hosts: ['${host}'] }
models:
  both: { targets: [local/smollm2:135m, local/qwen-vision] }
  secret: { targets: [local/qwen-vision], privacy: local }
`,
  });
});
after(async () => {
  images?.close();
  await server?.close();
});

type Body = {
  error: { type: string; code: string; param: string; message: string };
  data: { id: string; capabilities: string[]; context_length: number }[];
};

async function post(path: string, body: object, headers: Record<string, string> = {}) {
  const reply = await fetch(server.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { reply, body: (await reply.json()) as Body };
}

const dataUrl = `data:image/png;base64,${drawShape('red', 'circle').toString('base64')}`;
const picture = (url: string) => ({
  max_tokens: 4,
  messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
});

test('a text-only model is passed over by a picture, a small context by a long prompt', async () => {
  const text = await post('/v1/chat/completions', {
    model: 'both',
    max_tokens: 1,
    messages: [{ role: 'user', content: 'Hi' }],
  });
  assert.equal(text.reply.headers.get('x-viaduct-model'), 'smollm2:135m');
  const seen = await post('/v1/chat/completions', { model: 'both', ...picture(dataUrl) });
  assert.equal(seen.reply.status, 200, JSON.stringify(seen.body));
  assert.equal(seen.reply.headers.get('x-viaduct-model'), 'qwen-vision');
  assert.equal(seen.reply.headers.get('x-viaduct-attempts'), '1');
  // Not asked at all: 20,000 tokens are beyond the 8,192 that it was trained for.
  const long = await post('/v1/messages/count_tokens', {
    model: 'both',
    messages: [{ role: 'user', content: 'word '.repeat(20_000) }],
  });
  assert.equal(long.reply.headers.get('x-viaduct-model'), 'qwen-vision');
});

test('the list and a single model say what is behind a name', async () => {
  const { data } = (await (await fetch(`${server.url}/v1/models`)).json()) as Body;
  const secret = data.find(({ id }) => id === 'secret');
  assert.ok(secret?.capabilities.includes('vision'));
  assert.equal(secret?.context_length, 32768);
});

test('a private request fetches no picture, whoever asks for privacy', async () => {
  const body = { model: 'qwen-vision', ...picture(imageUrl) };
  const open = await post('/v1/chat/completions', body);
  assert.equal(open.reply.status, 200, JSON.stringify(open.body));
  assert.ok(connections > 0, 'without privacy the picture is fetched');
  connections = 0;
  const refusals = [
    await post('/v1/chat/completions', body, { 'x-viaduct-privacy': 'local' }),
    await post('/v1/chat/completions', { ...body, model: 'secret' }),
    await post('/v1/responses', {
      model: 'secret',
      input: [{ role: 'user', content: [{ type: 'input_image', image_url: imageUrl }] }],
    }),
  ];
  for (const { reply, body } of refusals) {
    assert.equal(reply.status, 403, JSON.stringify(body));
    assert.equal(body.error.code, 'privacy_restricted');
    assert.match(body.error.message, /base64/);
  }
  assert.equal(refusals[0]?.body.error.param, 'messages[0].content[0]');
  const anthropic = await post('/v1/messages', {
    model: 'secret',
    max_tokens: 4,
    messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'url', url: imageUrl } }] }],
  });
  assert.equal(anthropic.reply.status, 403);
  assert.equal(anthropic.body.error.type, 'permission_error');
  assert.match(anthropic.body.error.message, /^messages\.0\.content\.0: /);
  assert.equal(connections, 0);
  const inline = await post('/v1/chat/completions', { model: 'secret', ...picture(dataUrl) });
  assert.equal(inline.reply.status, 200, JSON.stringify(inline.body));
});
