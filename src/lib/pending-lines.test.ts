import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PendingLines } from './pending-lines.ts';

test('what was pushed is there until it is cleared, however much it is', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.string({ unit: 'grapheme', maxLength: 5_000 })), { maxLength: 4 }), (rounds) => {
      const pending = new PendingLines();
      for (const texts of rounds) {
        for (const text of texts) assert.equal(pending.push(text).toString(), text);
        assert.equal(pending.bytes.toString(), texts.join(''));
        assert.equal(pending.size, Buffer.byteLength(texts.join('')));
        pending.clear();
      }
    }),
  );
});

test('more than it had room for', () => {
  const pending = new PendingLines();
  const long = 'é'.repeat(100_000);
  pending.push('a');
  assert.equal(pending.push(long).toString(), long);
  assert.equal(pending.bytes.toString(), `a${long}`);
});
