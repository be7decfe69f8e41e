/** Two instances that share limits and budgets: real Redis or Valkey, real PostgreSQL. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask, credentials, estimate, type TestBoundary, testBoundary } from '../../test/support/boundary.ts';
import { startPostgres } from '../../test/support/postgres.ts';
import { startRedis } from '../../test/support/redis.ts';
import { unavailable } from '../../test/support/unavailable.ts';

const postgres = await startPostgres();
const redis = await startRedis();
after(() => Promise.all([postgres?.stop(), redis?.stop()]));

const twoInstances = async (t: { after(work: () => Promise<void>): void }) => {
  const database = (await postgres?.createDatabase()) ?? '';
  const one = await testBoundary(t, { database, redis: redis?.url });
  const other = await testBoundary(t, { database, redis: redis?.url });
  return [one, other] as const;
};
const keyWith = async ([one, other]: readonly [TestBoundary, TestBoundary], policy = {}) => {
  const created = await one.administration.keys.create({ name: 'app', createdBy: 'test', policy });
  await other.directory.refresh();
  return created;
};
const enter = async (boundary: TestBoundary, secret: string) =>
  boundary.admit(await boundary.authenticate(credentials(secret)), estimate());

describe('two instances', () => {
  if (!postgres || !redis) {
    test('suite', (t) => unavailable(t, postgres ? 'redis-server' : 'postgresql'));
    return;
  }

  for (const [title, guess] of [
    ['guessed right', 1],
    ['guessed ten times too high', 10],
    ['guessed at nothing', 0],
  ] as const)
    test(`200 at once on a budget for 10, cost ${title}: 10 pass`, async (t) => {
      const instances = await twoInstances(t);
      const { key, secret } = await keyWith(instances);
      const budget = await instances[0].administration.budgets.create({
        scope: 'key',
        scopeId: key.id,
        period: 'month',
        amount: 10,
      });
      await instances[1].directory.refresh();
      const outcomes = await Promise.allSettled(
        Array.from({ length: 200 }, (_, n) => ask(instances[n % 2 === 0 ? 0 : 1], secret, { cost: 1, guess })),
      );
      const passed = outcomes.filter(({ status }) => status === 'fulfilled').length;
      // An instance learns what a model costs from its own requests: each may have one on its way that was guessed too low.
      assert.ok(passed >= 10 && passed <= 11, `${passed} passed`);
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'insufficient_quota', outcome.reason);
      for (const { counters } of instances) assert.equal(await counters.spent(budget), passed * 1e9);
    });

  test('requests per minute are shared, with the same headers', async (t) => {
    const instances = await twoInstances(t);
    const { secret } = await keyWith(instances, { limits: { rpm: 3 } });
    assert.equal((await enter(instances[0], secret)).headers['x-ratelimit-remaining-requests'], '2');
    assert.equal((await enter(instances[1], secret)).headers['x-ratelimit-remaining-requests'], '1');
    await enter(instances[0], secret);
    await assert.rejects(enter(instances[1], secret), (error: Error & { retryAfter?: number }) => {
      assert.ok(error.retryAfter !== undefined && error.retryAfter > 15 && error.retryAfter <= 20);
      return true;
    });
  });

  test('tokens per minute and places are given back across instances', async (t) => {
    const instances = await twoInstances(t);
    const { secret } = await keyWith(instances, { limits: { tpm: 1000, concurrent: 2 } });
    const first = await enter(instances[0], secret);
    const second = await enter(instances[1], secret);
    assert.equal(second.headers['x-ratelimit-remaining-tokens'], '980');
    await assert.rejects(enter(instances[0], secret), { code: 'rate_limit_exceeded' });
    first.settle({ input: 500, output: 100 }, undefined);
    await sleep(50);
    const third = await enter(instances[1], secret);
    const left = Number(third.headers['x-ratelimit-remaining-tokens']);
    assert.ok(left >= 380 && left <= 400, String(left));
    second.release();
    third.release();
  });

  test('what a dead instance held is free after a while, and its place is not given back twice', async (t) => {
    const instances = await twoInstances(t);
    const { secret } = await keyWith(instances, { limits: { concurrent: 1 } });
    await enter(instances[0], secret);
    await assert.rejects(enter(instances[1], secret), { code: 'rate_limit_exceeded' });
    await instances[0].counters.close();
    await (await enter(instances[1], secret)).release();
  });

  test('while Redis is away each instance counts for itself, and together again afterwards', async (t) => {
    const own = await startRedis();
    assert.ok(own);
    const database = await postgres.createDatabase();
    const boundary = await testBoundary(t, { database, redis: own.url });
    const { key, secret } = await boundary.administration.keys.create({
      name: 'app',
      createdBy: 'test',
      policy: { limits: { rpm: 1000 } },
    });
    const budget = await boundary.administration.budgets.create({
      scope: 'key',
      scopeId: key.id,
      period: 'day',
      amount: 3,
    });
    await ask(boundary, secret, { cost: 1 });
    await own.stop();
    await ask(boundary, secret, { cost: 1 });
    await ask(boundary, secret, { cost: 1 });
    await assert.rejects(ask(boundary, secret, { cost: 1 }), { code: 'insufficient_quota' });
    assert.ok(boundary.warnings.length >= 1);
    const again = await startRedis(Number(new URL(own.url).port));
    t.after(() => again?.stop());
    for (let i = 0; i < 100 && (await boundary.counters.spent(budget)) !== 3e9; i++) await sleep(50);
    await sleep(2500);
    await assert.rejects(ask(boundary, secret, { cost: 1 }), { code: 'insufficient_quota' });
    assert.equal(await boundary.counters.spent(budget), 3e9);
  });
});
