import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHealth } from './breaker.ts';

const fail = (health: ReturnType<typeof createHealth>, times: number, now = 0) => {
  for (let n = 0; n < times; n++) {
    health.begin(now);
    health.failed(now);
  }
};

test('three faults in a row open it, a success in between does not', () => {
  const health = createHealth();
  fail(health, 2);
  health.begin(0);
  health.succeeded(10);
  fail(health, 2);
  assert.equal(health.rank(0), 0);
  fail(health, 1);
  assert.equal(health.open, true);
  assert.equal(health.rank(0), 1);
});

test('after its rest one probe is let through; it closes or opens again for longer', () => {
  const health = createHealth();
  fail(health, 3);
  assert.equal(health.rank(10_000), 0);
  health.begin(10_000);
  assert.equal(health.rank(10_000), 2);
  health.failed(10_000);
  assert.equal(health.rank(25_000), 1);
  assert.equal(health.rank(30_000), 0);
  health.begin(30_000);
  health.succeeded(5);
  assert.equal(health.open, false);
  assert.equal(health.rank(30_000), 0);
});

test('a probe whose client left frees its place', () => {
  const health = createHealth();
  fail(health, 3);
  health.begin(10_000);
  health.ended();
  assert.equal(health.rank(10_000), 0);
  assert.equal(health.busy, 0);
});

test('a cooldown passes by itself', () => {
  const health = createHealth();
  health.cool(0, 500);
  assert.equal(health.rank(499), 1);
  assert.equal(health.rank(500), 0);
});
