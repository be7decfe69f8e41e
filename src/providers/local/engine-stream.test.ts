import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Json } from '../../core/json.ts';
import { createEngineReader } from './engine-stream.ts';

const facts = { created: 1790000000, id: 'chatcmpl-a', model: 'm', object: 'chat.completion.chunk' };
const chunk = (choice: Json, more: Record<string, Json> = {}) =>
  Buffer.from(`data: ${JSON.stringify({ choices: [choice], ...facts, ...more })}\n\n`);
const piece = (delta: Record<string, Json>) => chunk({ finish_reason: null, index: 0, delta });
const read = (...chunks: Buffer[]) => chunks.flatMap(createEngineReader(undefined));

test('a piece of text is what JSON says it is, whatever stands in it', () => {
  const tricky = fc.constantFrom('"', '\\', '\\"', '\n', '"}}],', 'é', '�', '\u0000', 'content":"');
  fc.assert(
    fc.property(fc.array(fc.oneof(tricky, fc.string({ unit: 'binary' }))), (parts) => {
      const text = parts.join('');
      assert.deepEqual(read(piece({ content: text })), text === '' ? [] : [{ kind: 'text', text }]);
    }),
  );
});

test('an event that says more than text is heard whole', () => {
  assert.deepEqual(read(piece({ role: 'assistant', content: null })), []);
  assert.deepEqual(read(piece({ content: 'a', reasoning_content: 'b' })), [
    { kind: 'reasoning', text: 'b' },
    { kind: 'text', text: 'a' },
  ]);
  const listed = { content: [{ token: 'a', logprob: -1, bytes: [97], top_logprobs: [] }] };
  const [delta] = [chunk({ finish_reason: null, index: 0, delta: { content: 'a' }, logprobs: listed })].flatMap(
    createEngineReader(0),
  );
  assert.deepEqual(delta, {
    kind: 'text',
    text: 'a',
    logprobs: [{ token: 'a', logprob: -1, bytes: [97], top: [] }],
  });
});

test('the end comes with what it cost', () => {
  const timings = { cache_n: 2, prompt_n: 3, predicted_n: 4, prompt_ms: 5, predicted_ms: 6 };
  assert.deepEqual(
    read(
      piece({ content: 'a' }),
      chunk({ finish_reason: 'length', index: 0, delta: {} }),
      Buffer.from(`data: ${JSON.stringify({ choices: [], ...facts, timings })}\n\ndata: [DONE]\n\n`),
    ).at(-1),
    {
      kind: 'end',
      end: { reason: 'length', promptTokens: 5, cachedTokens: 2, outputTokens: 4, promptMs: 5, outputMs: 6 },
    },
  );
});
