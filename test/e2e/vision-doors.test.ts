/**
 * Pictures of coloured shapes through every door, inline and by URL: the model names colour and shape, bad pictures are
 * refused.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { startTestServer, type TestServer } from '../support/server.ts';
import { type Colour, colours, drawShape, type Shape, shapes } from '../support/shapes.ts';

const model = 'qwen-vision';
const textOnly = 'smollm2:135m';
const text = 'Repeat the description above word for word.';
const limit = 40;
const pictures = (Object.keys(colours) as Colour[]).flatMap((colour) =>
  shapes.map((shape): [Colour, Shape] => [colour, shape]),
);
const fixture = (name: string) =>
  readFileSync(join(import.meta.dirname, '../../src/providers/local/__fixtures__/images', name));

let server: TestServer;
let images: Server;
/** Somebody else's server on this machine, from which no image may come. */
let inner: Server;
let innerAsked = 0;
let imageUrl: string;
let openai: OpenAI;
let anthropic: Anthropic;
let ollama: Ollama;

before(async () => {
  inner = await serve((_path, reply) => {
    innerAsked++;
    reply.end(drawShape('red', 'circle'));
  });
  images = await serve((path, reply) => {
    const [, colour, shape] = path.split('/') as [string, Colour, Shape];
    if (path === '/inner') reply.writeHead(302, { location: `${urlOf(inner)}/picture.png` }).end();
    else if (path === '/missing') reply.writeHead(404).end();
    else if (path === '/page') reply.end('<html></html>');
    else reply.setHeader('content-type', 'image/png').end(drawShape(colour, shape));
  });
  imageUrl = urlOf(images);
  server = await startTestServer({
    models: [model, textOnly],
    config: `engine: { image_hosts: ['${new URL(imageUrl).host}'] }\n`,
  });
  openai = new OpenAI({ baseURL: `${server.url}/v1/`, apiKey: 'ollama', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: server.url, apiKey: 'any', maxRetries: 0 });
  ollama = new Ollama({ host: server.url });
});
after(async () => {
  images?.close();
  inner?.close();
  await server?.close();
});

async function serve(answer: (path: string, reply: import('node:http').ServerResponse) => void): Promise<Server> {
  const made = createServer((request, reply) => answer(request.url ?? '/', reply));
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  return made;
}
const urlOf = (of: Server) => `http://127.0.0.1:${(of.address() as AddressInfo).port}`;
const dataUrl = (bytes: Buffer, type = 'png') => `data:image/${type};base64,${bytes.toString('base64')}`;

/** What the model says of the image behind an http or data URL, by door. */
async function throughChat(url: string, which = model) {
  const reply = await openai.chat.completions.create({
    model: which,
    temperature: 0,
    max_tokens: limit,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url } },
          { type: 'text', text },
        ],
      },
    ],
  });
  return reply.choices[0]?.message.content ?? '';
}

async function throughResponses(url: string, which = model) {
  const reply = await openai.responses.create({
    model: which,
    temperature: 0,
    max_output_tokens: limit,
    store: false,
    input: [
      {
        role: 'user',
        content: [
          { type: 'input_image', image_url: url, detail: 'auto' },
          { type: 'input_text', text },
        ],
      },
    ],
  });
  return reply.output_text;
}

async function throughMessages(url: string, which = model) {
  const [, mediaType = '', data = ''] = /^data:([^;]+);base64,(.*)$/.exec(url) ?? [];
  const source = data
    ? { type: 'base64' as const, media_type: mediaType as 'image/png', data }
    : { type: 'url' as const, url };
  const reply = await anthropic.messages.create({
    model: which,
    max_tokens: limit,
    // The client's types have no sampling fields any more; older clients send them.
    ...({ temperature: 0 } as object),
    messages: [
      {
        role: 'user',
        content: [
          { type: 'image', source },
          { type: 'text', text },
        ],
      },
    ],
  });
  return reply.content.map((block) => (block.type === 'text' ? block.text : '')).join('');
}

async function throughOllama(url: string, which = model) {
  const images = [url.slice(url.indexOf(',') + 1)];
  const options = { temperature: 0, num_predict: limit };
  const { message } = await ollama.chat({ model: which, options, messages: [{ role: 'user', content: text, images }] });
  return message.content;
}

/** All pictures, a few at a time; asserts that 20 of 21 are named right. */
async function assertSeen(see: (url: string) => Promise<string>, url: (colour: Colour, shape: Shape) => string) {
  const wrong: string[] = [];
  const left = [...pictures];
  const lane = async () => {
    for (let next = left.pop(); next; next = left.pop()) {
      const [colour, shape] = next;
      const said = await see(url(colour, shape));
      if (!said.includes(colour) || !said.includes(shape)) wrong.push(`${colour} ${shape}: ${said}`);
    }
  };
  await Promise.all([lane(), lane()]);
  assert.ok(wrong.length <= 1, wrong.join('\n'));
}

const inline = (colour: Colour, shape: Shape) => dataUrl(drawShape(colour, shape));
const remote = (colour: Colour, shape: Shape) => `${imageUrl}/${colour}/${shape}`;

describe('colour and shape of at least 20 of 21', () => {
  test('chat completions, inline', () => assertSeen(throughChat, inline));
  test('chat completions, by URL', () => assertSeen(throughChat, remote));
  test('Responses, inline', () => assertSeen(throughResponses, inline));
  test('Responses, by URL', () => assertSeen(throughResponses, remote));
  test('Messages, inline', () => assertSeen(throughMessages, inline));
  test('Messages, by URL', () => assertSeen(throughMessages, remote));
  test('Ollama', () => assertSeen(throughOllama, inline));
});

describe('formats', () => {
  for (const [name, type] of [
    ['red-circle.png', 'png'],
    ['red-circle.jpg', 'jpeg'],
    ['red-circle.webp', 'webp'],
    ['red-circle.gif', 'gif'],
  ] as const)
    test(type, async () => assert.match(await throughChat(dataUrl(fixture(name), type)), /red circle/));

  test('two pictures in one message', async () => {
    const reply = await openai.chat.completions.create({
      model,
      temperature: 0,
      max_tokens: limit,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url: inline('red', 'circle') } },
            { type: 'image_url', image_url: { url: inline('blue', 'square') } },
            { type: 'text', text },
          ],
        },
      ],
    });
    assert.match(reply.choices[0]?.message.content ?? '', /red circle|blue square/);
  });

  test('a stream says the same', async () => {
    const stream = openai.chat.completions.stream({
      model,
      temperature: 0,
      max_tokens: limit,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url: inline('green', 'triangle') } },
            { type: 'text', text },
          ],
        },
      ],
    });
    assert.match((await stream.finalMessage()).content ?? '', /green triangle/);
  });
});

test('the lists say that the model sees', async () => {
  const entry = (await openai.models.retrieve(model)) as OpenAI.Model & { capabilities?: string[] };
  assert.ok(entry.capabilities?.includes('vision'));
  assert.ok((await ollama.show({ model })).capabilities.includes('vision'));
});

describe('refused', () => {
  /** A refusal of the request, not of the server: 4xx, with a sentence that says why. */
  const refused = async (asked: Promise<unknown>, why: RegExp) => {
    await assert.rejects(asked, (error: Error & { status?: number; status_code?: number }) => {
      const status = error.status ?? error.status_code ?? 0;
      assert.ok(status >= 400 && status < 500, `${status}: ${error.message}`);
      assert.match(error.message, why);
      return true;
    });
  };
  const doors = {
    'chat completions': throughChat,
    Responses: throughResponses,
    Messages: throughMessages,
    Ollama: throughOllama,
  };

  for (const [door, see] of Object.entries(doors))
    test(`a text-only model, ${door}`, () => refused(see(inline('red', 'circle'), textOnly), /cannot see images/));

  test('what is not base64, not an image, or broken off', async () => {
    await refused(throughChat('data:image/png;base64,@@@@'), /base64/);
    await refused(throughOllama('data:,@@@@'), /base64/);
    await refused(throughChat(dataUrl(Buffer.from('hello'))), /not a PNG/);
    await refused(throughChat(dataUrl(fixture('red-circle.png').subarray(0, 100))), /image/);
    await refused(throughChat(dataUrl(fixture('red-circle.jpg').subarray(0, 300))), /image/);
  });

  test('more than 40 million pixels', async () => {
    const huge = Buffer.from(fixture('red-circle.png'));
    huge.writeUInt32BE(8000, 16);
    huge.writeUInt32BE(5001, 20);
    for (const see of Object.values(doors)) await refused(see(dataUrl(huge)), /pixels/);
  });

  test('private addresses, also behind a redirect', async () => {
    for (const see of [throughChat, throughResponses, throughMessages]) {
      await refused(see(`${urlOf(inner)}/picture.png`), /private/);
      await refused(see(`${imageUrl}/inner`), /private/);
    }
    await refused(throughChat('http://169.254.169.254/latest/meta-data'), /private/);
    await refused(throughChat('http://[::ffff:10.0.0.1]/a.png'), /private/);
    assert.equal(innerAsked, 0);
  });

  test('what cannot be had', async () => {
    await refused(throughChat(`${imageUrl}/missing`), /404/);
    await refused(throughChat(`${imageUrl}/page`), /not a PNG/);
    await refused(throughChat('ftp://example.com/a.png'), /http/);
    await refused(throughChat('file:///etc/passwd'), /http/);
  });

  test('the server answers after all this', async () => {
    assert.match(await throughChat(inline('red', 'circle')), /red circle/);
  });
});
