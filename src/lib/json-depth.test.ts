import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isDeeperThan } from './json-depth.ts';

const depthOf = (value: unknown): number =>
  value === null || typeof value !== 'object' ? 0 : 1 + Math.max(0, ...Object.values(value).map(depthOf));

test('any JSON is as deep as it is, whatever its strings hold', () => {
  const value = fc.jsonValue({ maxDepth: 8, stringUnit: fc.constantFrom('"', '\\', '[', '{', '}', ']', 'a', 'é') });
  fc.assert(
    fc.property(value, fc.integer({ min: 0, max: 9 }), (json, limit) => {
      assert.equal(isDeeperThan(Buffer.from(JSON.stringify(json)), limit), depthOf(json) > limit);
    }),
  );
});

test('a million levels are seen at once, and a string of any length is skipped', () => {
  assert.ok(isDeeperThan(Buffer.from('{"a":'.repeat(1e6)), 256));
  assert.ok(!isDeeperThan(Buffer.from(JSON.stringify({ a: '['.repeat(1e6) })), 256));
  assert.ok(!isDeeperThan(Buffer.from(`"${'\\"'.repeat(1e5)}`), 256));
});
