import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ViaductError } from '../core/errors.ts';
import { createQueue } from './queue.ts';

const never = new AbortController().signal;

test('nobody enters before the runner is open, then in order, as slots become free', async () => {
  const queue = createQueue(10);
  const entered: number[] = [];
  const tickets = [1, 2, 3].map(async (id) => {
    const ticket = await queue.enter(true, never);
    entered.push(id);
    return ticket;
  });
  await Promise.resolve();
  assert.deepEqual(entered, []);
  queue.open(2);
  const first = await tickets[0];
  await tickets[1];
  assert.deepEqual(entered, [1, 2]);
  assert.equal(queue.waiting(), 1);
  assert.equal(first?.leave(), true);
  assert.equal(first?.leave(), false, 'twice is harmless');
  await tickets[2];
  assert.deepEqual(entered, [1, 2, 3]);
  assert.equal(queue.busy(), 2);
});

test('calls that need no slot pass by', async () => {
  const queue = createQueue(10);
  queue.open(1);
  await queue.enter(true, never);
  const beside = await queue.enter(false, never);
  assert.equal(queue.busy(), 2);
  assert.equal(beside?.leave(), true);
});

test('beyond the limit: queue_full with a time to come back', async () => {
  const queue = createQueue(1);
  queue.open(1);
  await queue.enter(true, never);
  void queue.enter(true, never);
  await assert.rejects(queue.enter(true, never), (error: ViaductError) => {
    assert.equal(error.code, 'queue_full');
    assert.equal(error.status, 503);
    assert.ok((error.retryAfter ?? 0) >= 1);
    return true;
  });
});

test('who gives up while waiting leaves the line', async () => {
  const queue = createQueue(10);
  queue.open(1);
  const first = await queue.enter(true, never);
  const leaver = new AbortController();
  const second = queue.enter(true, leaver.signal);
  const third = queue.enter(true, never);
  leaver.abort(new Error('gone'));
  await assert.rejects(second, /gone/);
  first?.leave();
  assert.ok(await third);
  assert.equal(queue.waiting(), 0);
});

test('the end of a runner sends those who wait to another, or tells them why', async () => {
  const crashed = createQueue(10);
  const waiting = crashed.enter(true, never);
  crashed.close();
  assert.equal(await waiting, undefined);
  assert.equal(await crashed.enter(true, never), undefined);
  const failed = createQueue(10);
  const told = failed.enter(true, never);
  failed.close(new ViaductError('model_load_failed', 'no'));
  await assert.rejects(told, /no/);
});

test('the expected wait grows with the line', async () => {
  const queue = createQueue(10);
  queue.open(1);
  assert.equal(queue.expectedWaitMs(), 0);
  const first = await queue.enter(true, never);
  await new Promise((resolve) => setTimeout(resolve, 20));
  first?.leave();
  await queue.enter(true, never);
  const one = queue.expectedWaitMs();
  assert.ok(one > 0);
  void queue.enter(true, never);
  assert.equal(queue.expectedWaitMs(), one * 2);
});
