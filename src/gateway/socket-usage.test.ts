import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Usage } from '../core/usage.ts';
import { createModelReader } from './socket-model.ts';
import { createSocketMeter } from './socket-usage.ts';

function frame(content: string | Buffer, code = 1, last = true): Buffer {
  const bytes = Buffer.from(content);
  const { length } = bytes;
  const head =
    length < 126
      ? Buffer.from([0, length])
      : length < 65_536
        ? Buffer.from([0, 126, length >> 8, length & 255])
        : Buffer.from([0, 127, 0, 0, 0, 0, 0, (length >> 16) & 255, (length >> 8) & 255, length & 255]);
  head[0] = (last ? 0x80 : 0) | code;
  return Buffer.concat([head, bytes]);
}

const done = (input: number, output: number) =>
  JSON.stringify({
    type: 'response.done',
    response: {
      output: [{ content: [{ transcript: 'They said "input_tokens": 9999' }] }],
      usage: { total_tokens: input + output, input_tokens: input, output_tokens: output },
    },
  });

/** Answers as they are told, the bytes cut into pieces of these sizes. */
function heard(sent: Buffer, sizes: number[]) {
  const answers: Usage[] = [];
  const meter = createSocketMeter(({ usage }) => answers.push(usage));
  let at = 0;
  for (let n = 0; at < sent.length; n++) {
    const until = at + (sizes[n % sizes.length] ?? 1);
    meter.push(sent.subarray(at, until));
    at = until;
  }
  assert.ok(meter.between());
  return { answers, rest: meter.rest() };
}
const sizes = fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 40 });

test('every answer of a connection counts, wherever the bytes are cut', () => {
  const third = done(1, 2);
  const sent = Buffer.concat([
    frame(JSON.stringify({ type: 'session.created', usage: { input_tokens: 500 } })),
    frame('x'.repeat(70_000)),
    frame(done(10, 20)),
    frame(Buffer.alloc(300, 7), 2),
    frame('', 9),
    frame(done(100, 200)),
    frame(third.slice(0, 30), 1, false),
    frame('ping', 9),
    frame(third.slice(30), 0),
  ]);
  fc.assert(
    fc.property(sizes, (cuts) => {
      assert.deepEqual(heard(sent, cuts), {
        answers: [
          { input: 10, output: 20 },
          { input: 100, output: 200 },
          { input: 1, output: 2 },
        ],
        rest: undefined,
      });
    }),
    { numRuns: 50 },
  );
});

test('Gemini Live: the last counts of a turn count, in frames of either kind', () => {
  const content = (text: string, more: object = {}) => ({
    serverContent: { modelTurn: { parts: [{ text }] } },
    ...more,
  });
  const counts = (prompt: number, response: number) => ({
    usageMetadata: {
      promptTokenCount: prompt,
      responseTokenCount: response,
      toolUsePromptTokenCount: 3,
      thoughtsTokenCount: 1,
      responseTokensDetails: [{ modality: 'AUDIO', tokenCount: response }],
    },
  });
  const over = { serverContent: { turnComplete: true } };
  const messages: [object, code?: number][] = [
    [{ setupComplete: {} }, 2],
    [content('They said "usageMetadata" and "promptTokenCount": 999'), 2],
    [{ ...over, ...counts(10, 20) }, 2],
    // Counts that grow with the content.
    [content('a', counts(5, 1))],
    [content('b', counts(5, 2))],
    [{ ...over, ...counts(5, 4) }],
    // Counts alone, after the end of their turn.
    [over],
    [counts(7, 8)],
    [content('next')],
    [{ toolCall: { functionCalls: [] }, ...counts(100, 200) }],
  ];
  const sent = Buffer.concat(messages.map(([message, code = 1]) => frame(JSON.stringify(message), code)));
  const usage = (prompt: number, response: number) => ({ input: prompt + 3, output: response + 1, reasoning: 1 });
  fc.assert(
    fc.property(sizes, (cuts) => {
      assert.deepEqual(heard(sent, cuts), {
        answers: [usage(10, 20), usage(5, 4), usage(7, 8)],
        rest: usage(100, 200),
      });
    }),
    { numRuns: 50 },
  );
});

test('the model is read off the client’s first message, however it is cut', () => {
  const masked = (content: string) => {
    const bytes = Buffer.from(content);
    const mask = Buffer.from([1, 2, 3, 4]);
    const head =
      bytes.length < 126 ? [0x81, 0x80 | bytes.length] : [0x81, 0x80 | 126, bytes.length >> 8, bytes.length & 255];
    return Buffer.concat([Buffer.from(head), mask, bytes.map((byte, at) => byte ^ (mask[at & 3] ?? 0))]);
  };
  const read = (content: string, size: number) => {
    const reader = createModelReader();
    const bytes = Buffer.concat([masked(content), masked('{"model":"models/later"}')]);
    let found: string | undefined;
    for (let at = 0; at < bytes.length; at += size) found ??= reader(bytes.subarray(at, at + size));
    return found;
  };
  const vertex = 'projects/p/locations/l/publishers/google/models/gemini-live';
  for (const size of [1, 7, 1000]) {
    assert.equal(read(JSON.stringify({ setup: { model: 'models/gemini-live' } }), size), 'gemini-live');
    assert.equal(read(JSON.stringify({ setup: { tools: 'x'.repeat(200), model: vertex } }), size), 'gemini-live');
    assert.equal(read(JSON.stringify({ setup: {} }), size), undefined);
  }
});
