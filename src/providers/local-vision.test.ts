/** Pictures of every format, as data and by URL, shown to a real model that sees. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { callContext, startLocal, type TestLocal } from '../../test/support/local-provider.ts';
import type { ImagePart, Message } from '../core/chat.ts';

const model = 'qwen-vision';
const folder = join(import.meta.dirname, 'local/__fixtures__/images');
const server = createServer((request, reply) => reply.end(readFileSync(join(folder, (request.url ?? '').slice(1)))));
let local: TestLocal;
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  local = await startLocal([model]);
});
after(async () => {
  server.close();
  await local?.close();
});

const show = (source: ImagePart['source']): Message[] => [
  {
    role: 'user',
    parts: [
      { type: 'image', source },
      { type: 'text', text: 'Repeat the description above word for word.' },
    ],
  },
];

for (const name of ['red-circle.png', 'red-circle.jpg', 'red-circle.gif', 'red-circle.webp'])
  test(`${name} is seen`, async () => {
    const data = readFileSync(join(folder, name)).toString('base64');
    const { text } = await local.ask({
      model,
      temperature: 0,
      maxTokens: 24,
      messages: show({ data, mediaType: 'image/png' }),
    });
    assert.match(text, /red circle/i);
  });

test('a picture by URL is seen, and counted', async () => {
  const messages = show({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/red-circle.webp` });
  const { text, finish } = await local.ask({ model, temperature: 0, maxTokens: 24, messages, stop: ['.'] });
  assert.match(text, /red circle/i);
  assert.equal(
    await local.provider.countTokens?.({ model, stream: false, messages }, callContext()),
    finish.usage.input,
  );
});
