import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
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
    frame(third.slice(30), 0),
  ]);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 4000 }), { minLength: 1, maxLength: 40 }), (sizes) => {
      const meter = createSocketMeter();
      let at = 0;
      for (let n = 0; at < sent.length; n++) {
        const until = at + (sizes[n % sizes.length] ?? 1);
        meter.push(sent.subarray(at, until));
        at = until;
      }
      assert.deepEqual(meter.usage, { input: 111, output: 222 });
    }),
    { numRuns: 50 },
  );
});
