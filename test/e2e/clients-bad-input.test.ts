/** Input that is hostile or broken, at every door: a clear 4xx in the door's own shape, and the server goes on. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { startTestServer, type TestServer } from '../support/server.ts';
import { pngOf } from '../support/shapes.ts';

const model = 'smollm2:135m';
const seeing = 'qwen-vision';
let server: TestServer;

before(async () => {
  server = await startTestServer({ models: [model, seeing] });
});
after(() => server?.close());

const hi = [{ role: 'user', content: 'hi' }];

/** How each door takes messages, tools, schemas and pictures. */
const doors = {
  chat: {
    path: '/v1/chat/completions',
    base: { model, messages: hi, max_tokens: 4 },
    tools: (parameters: object[]) => ({
      tools: parameters.map((schema, i) => ({ type: 'function', function: { name: `t${i}`, parameters: schema } })),
      tool_choice: 'required',
    }),
    schema: (schema: object) => ({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } }),
    picture: (data: string) => ({
      model: seeing,
      messages: [
        { role: 'user', content: [{ type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } }] },
      ],
    }),
  },
  responses: {
    path: '/v1/responses',
    base: { model, input: 'hi', max_output_tokens: 16 },
    tools: (parameters: object[]) => ({
      tools: parameters.map((schema, i) => ({ type: 'function', name: `t${i}`, strict: false, parameters: schema })),
      tool_choice: 'required',
    }),
    schema: (schema: object) => ({ text: { format: { type: 'json_schema', name: 'x', schema } } }),
    picture: (data: string) => ({
      model: seeing,
      input: [{ role: 'user', content: [{ type: 'input_image', image_url: `data:image/png;base64,${data}` }] }],
    }),
  },
  messages: {
    path: '/v1/messages',
    base: { model, messages: hi, max_tokens: 4 },
    tools: (parameters: object[]) => ({
      tools: parameters.map((schema, i) => ({ name: `t${i}`, input_schema: schema })),
      tool_choice: { type: 'any' },
    }),
    schema: (schema: object) => ({ output_config: { format: { type: 'json_schema', schema } } }),
    picture: (data: string) => ({
      model: seeing,
      messages: [
        { role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data } }] },
      ],
    }),
  },
  ollama: {
    path: '/api/chat',
    base: { model, messages: hi, stream: false, options: { num_predict: 4 } },
    tools: (parameters: object[]) => ({
      tools: parameters.map((schema, i) => ({ type: 'function', function: { name: `t${i}`, parameters: schema } })),
    }),
    schema: (format: object) => ({ format }),
    picture: (data: string) => ({ model: seeing, messages: [{ role: 'user', content: 'hi', images: [data] }] }),
  },
};

async function post(path: string, body: string | Buffer) {
  const response = await fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'anthropic-version': '2023-06-01' },
    body: body as string,
  });
  const text = await response.text();
  return { status: response.status, text };
}

/** A 4xx whose body has a sentence, and no trace of our insides. */
async function assertRefused(path: string, body: object | string | Buffer, why: RegExp) {
  const { status, text } = await post(
    path,
    typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
  );
  assert.ok(status >= 400 && status < 500, `${status} ${text.slice(0, 300)}`);
  const { error } = JSON.parse(text) as { error: string | { message: string } };
  const message = typeof error === 'string' ? error : error.message;
  assert.match(message, why);
  assert.doesNotMatch(message, /\bat \w+ \(|node:|\.ts:/);
  assert.ok(message.length < 1000);
}

const emptySchema = { type: 'object', properties: {} };
const nested = (levels: number) => {
  let schema: object = { type: 'string' };
  for (let i = 0; i < levels; i++) schema = { type: 'object', properties: { a: schema }, required: ['a'] };
  return schema;
};
const wide = (bytes: number) => {
  const name = 'a'.repeat(80);
  const count = Math.ceil(bytes / 110);
  return {
    type: 'object',
    properties: Object.fromEntries(Array.from({ length: count }, (_, i) => [`${name}${i}`, { type: 'string' }])),
  };
};
const manyWords = (bytes: number) => ({
  type: 'object',
  properties: { a: { enum: Array.from({ length: Math.ceil(bytes / 20) }, (_, i) => `some-long-word-${i}`) } },
});

for (const [door, { path, base, tools, schema, picture }] of Object.entries(doors))
  describe(door, () => {
    test('a schema of 5 MB', async () => {
      await assertRefused(path, { ...base, ...schema(wide(5e6)) }, /schema/i);
      await assertRefused(path, { ...base, ...schema(manyWords(5e6)) }, /schema/i);
      await assertRefused(path, { ...base, ...tools([wide(5e6)]) }, /schema/i);
    });

    test('10,000 tools', () => {
      const many = Array.from({ length: 10_000 }, () => emptySchema);
      return assertRefused(path, { ...base, ...tools(many) }, /tools/);
    });

    test('deep nesting', async () => {
      await assertRefused(path, { ...base, ...schema(nested(100)) }, /deep|nest/i);
      await assertRefused(path, `{"model": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`, /deep|nest/i);
      await assertRefused(path, `${'{"a":'.repeat(5_000_000)}`, /deep|nest|JSON/i);
    });

    test('invalid UTF-8, half a body, no body, another type', async () => {
      const [before = '', after = ''] = JSON.stringify({ ...base, user: '@' }).split('@');
      await assertRefused(
        path,
        Buffer.concat([Buffer.from(before), Buffer.from([0xc3, 0x28]), Buffer.from(after)]),
        /JSON|UTF-8/,
      );
      await assertRefused(path, JSON.stringify(base).slice(0, -5), /JSON/);
      await assertRefused(path, '', /body|JSON/i);
      await assertRefused(path, '[]', /object/);
      await assertRefused(path, '"text"', /object/);
    });

    test('a picture of 40 megapixels, and one that is no base64', async () => {
      // A real one: 5 MB of white, a few kilobytes once compressed.
      const huge = pngOf({ width: 8008, height: 5000, bits: 1, colour: 0 }, deflateSync(Buffer.alloc(5000 * 1002, 0)));
      await assertRefused(path, { ...base, ...picture(huge.toString('base64')) }, /pixels/);
      await assertRefused(path, { ...base, ...picture('@@@@') }, /base64/);
    });

    test('more than the body may be', () =>
      assertRefused(path, JSON.stringify({ ...base, user: 'x'.repeat(33 * 2 ** 20) }), /large/));
  });

test('wrong types name their field', async () => {
  const cases: [object, string][] = [
    [{ messages: 'hi' }, 'messages'],
    [{ messages: [{ role: 'nobody', content: 'hi' }] }, 'messages[0]'],
    [{ temperature: 'hot' }, 'temperature'],
    [{ max_tokens: 'many' }, 'max_tokens'],
    [{ tools: [{ type: 'function', function: {} }] }, 'tools[0]'],
    [{ tool_choice: { type: 'function', function: { name: 'nothing' } } }, 'tool_choice'],
    [{ response_format: { type: 'json_schema' } }, 'response_format'],
    [{ stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
    [{ n: 0 }, 'n'],
    [{ logit_bias: { x: 'y' } }, 'logit_bias'],
  ];
  for (const [fields, param] of cases) {
    const { status, text } = await post(doors.chat.path, JSON.stringify({ ...doors.chat.base, ...fields }));
    assert.equal(status, 400, `${param}: ${text}`);
    const { error } = JSON.parse(text) as { error: { param: string | null } };
    assert.ok(error.param?.startsWith(param), `${param}: ${text}`);
  }
});

test('the server answers after all this', async () => {
  const { status } = await post(doors.chat.path, JSON.stringify(doors.chat.base));
  assert.equal(status, 200);
  assert.equal(server.process.exitCode, null);
});
