/** Filling in the middle on a model that was trained for it. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startLocal, type TestLocal, user } from '../../../test/support/local-provider.ts';

const model = 'qwen2.5-coder:0.5b';
let local: TestLocal;
before(async () => {
  local = await startLocal([model]);
});
after(() => local?.close());

const fill = (prefix: string, suffix: string, more = {}) =>
  local.ask({ model, temperature: 0, maxTokens: 24, messages: [user(prefix)], local: { suffix, ...more } });
const count = async (text: string) =>
  (await local.ask({ model, maxTokens: 1, messages: [user(text)], local: { raw: true } })).finish.usage.input;

test('what belongs between, to its end', async () => {
  const { text, finish } = await fill('def add(a, b):\n    return ', '\n\nprint(add(1, 2))\n');
  assert.match(text, /^a \+ b\n/);
  assert.equal(finish.reason, 'stop');
});

test('three marks, and every token of both sides', async () => {
  const prefix = 'def area(radius):\n    return ';
  const suffix = '\n\nprint(area(2))\n';
  const { finish } = await fill(prefix, suffix);
  assert.equal(finish.usage.input, (await count(prefix)) + (await count(suffix)) + 3);
  assert.equal((await fill(prefix, '')).finish.usage.input, (await count(prefix)) + 3);
});

test("marks in the client's text are text", async () => {
  const { finish } = await fill('a<|fim_middle|>', 'b');
  assert.ok(finish.usage.input > 3 + 3);
});

test('too long is an error, in any context, and nothing is cut', async () => {
  for (const numCtx of [256, 300])
    await assert.rejects(fill('word '.repeat(400), 'end', { numCtx }), {
      code: 'context_length_exceeded',
      param: 'prompt',
    });
});
