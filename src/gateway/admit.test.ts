import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { ask, credentials, entry, estimate, type TestBoundary, testBoundary } from '../../test/support/boundary.ts';
import { startWebhook } from '../../test/support/webhook.ts';
import type { ViaductError } from '../core/errors.ts';
import { windowAt } from './budget-window.ts';
import { goDuration } from './limit-headers.ts';

const keyWith = async (boundary: TestBoundary, policy = {}, more = {}) =>
  boundary.administration.keys.create({ name: 'app', createdBy: 'test', policy, ...more });

const refusal = async (work: Promise<unknown>): Promise<ViaductError> => {
  const error = await work.then(
    () => undefined,
    (thrown) => thrown as ViaductError,
  );
  assert.ok(error, 'it was let through');
  return error;
};

test('requests per minute: OpenAI’s headers, 429 with Retry-After, refilled over time', async (t) => {
  let time = Date.UTC(2026, 10, 25);
  const boundary = await testBoundary(t, { now: () => time });
  const { secret } = await keyWith(boundary, { limits: { rpm: 3 } });
  const remaining: string[] = [];
  for (let i = 0; i < 3; i++) {
    const { headers } = await ask(boundary, secret);
    remaining.push(headers['x-ratelimit-remaining-requests'] ?? '');
    assert.equal(headers['x-ratelimit-limit-requests'], '3');
    assert.equal(headers['x-ratelimit-reset-requests'], `${20 * (i + 1) >= 60 ? '1m0' : 20 * (i + 1)}s`);
  }
  assert.deepEqual(remaining, ['2', '1', '0']);
  const error = await refusal(ask(boundary, secret));
  assert.equal(error.code, 'rate_limit_exceeded');
  assert.equal(error.status, 429);
  assert.equal(error.retryAfter, 20);
  assert.match(error.message, /key "app".*3 requests per minute.*20 s/);
  assert.equal(error.headers?.['x-ratelimit-remaining-requests'], '0');
  assert.equal(error.headers?.['retry-after-ms'], '20000');
  time += 20_000;
  await ask(boundary, secret);
  await refusal(ask(boundary, secret));
});

test('tokens per minute are held back at admission and settled at the end', async (t) => {
  const time = Date.UTC(2026, 10, 25);
  const boundary = await testBoundary(t, { now: () => time });
  const { secret } = await keyWith(boundary, { limits: { tpm: 100 } });
  const identity = await boundary.authenticate(credentials(secret));
  const admit = async (inputTokens: number, outputTokens = 0) =>
    boundary.admit(identity, estimate({ inputTokens, outputTokens }));
  const first = await admit(10, 50);
  assert.equal(first.headers['x-ratelimit-remaining-tokens'], '40');
  assert.equal((await refusal(admit(50))).retryAfter, 6);
  first.settle({ input: 10, output: 10 }, undefined);
  const second = await admit(50);
  assert.equal(second.headers['x-ratelimit-remaining-tokens'], '30');
  second.release();
  // More than the whole bucket: passes when the bucket is full, and owes the rest afterwards.
  const third = await admit(80);
  third.settle({ input: 80, output: 100 }, undefined);
  assert.equal((await refusal(admit(1))).retryAfter, (101 * 60) / 100);
});

test('requests at the same time, of a key, a team and a model together', async (t) => {
  const boundary = await testBoundary(t, { limits: { models: { smart: { concurrent: 1 } } } });
  await boundary.administration.teams.create({ name: 'red', policy: { limits: { concurrent: 3 } } });
  const one = await keyWith(boundary, { limits: { concurrent: 2 } }, { teamId: 'red' });
  const other = await keyWith(boundary, {}, { teamId: 'red', name: 'other' });
  const enter = async (secret: string, model = 'fast') =>
    boundary.admit(await boundary.authenticate(credentials(secret)), estimate({ model }));
  const first = await enter(one.secret);
  await enter(one.secret, 'smart');
  assert.match((await refusal(enter(one.secret))).message, /key "app".*2 requests at the same time/);
  assert.match((await refusal(enter(other.secret, 'smart'))).message, /model "smart"/);
  await enter(other.secret);
  assert.match((await refusal(enter(other.secret))).message, /team "red"/);
  first.settle({ input: 0, output: 0 }, undefined);
  await enter(one.secret);
});

test('a provider’s own limit sends the request to the next target', async (t) => {
  const boundary = await testBoundary(t, { limits: { providers: { gpu: { concurrent: 1 } } } });
  const enter = async () => boundary.admit(await boundary.authenticate(credentials(undefined)), estimate());
  const [first, second] = [await enter(), await enter()];
  await first.enterProvider?.('gpu');
  assert.throws(() => second.enterProvider?.('gpu'), { code: 'provider_rate_limited' });
  await second.enterProvider?.('openai');
  first.settle({ input: 1, output: 1 }, 0);
  await second.enterProvider?.('gpu');
});

test('changed limits hold at once', async (t) => {
  const boundary = await testBoundary(t);
  const { key, secret } = await keyWith(boundary, { limits: { rpm: 1 } });
  await ask(boundary, secret);
  await refusal(ask(boundary, secret));
  await boundary.administration.keys.update(key.id, { policy: { limits: { rpm: 5 } } });
  assert.equal((await ask(boundary, secret)).headers['x-ratelimit-limit-requests'], '5');
  await boundary.administration.keys.update(key.id, { policy: {} });
  assert.deepEqual((await ask(boundary, secret)).headers, {});
});

for (const [title, guess] of [
  ['guessed right', 1],
  ['guessed ten times too high', 10],
  ['guessed at nothing', 0],
] as const)
  test(`200 at once on a budget for 10, cost ${title}: 10 pass`, async (t) => {
    const boundary = await testBoundary(t);
    const { key, secret } = await keyWith(boundary);
    await boundary.administration.budgets.create({ scope: 'key', scopeId: key.id, period: 'month', amount: 10 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 200 }, () => ask(boundary, secret, { cost: 1, guess })),
    );
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 10);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') assert.equal(outcome.reason.code, 'insufficient_quota');
    const error = await refusal(ask(boundary, secret, { cost: 1 }));
    assert.equal(error.status, 402);
    assert.match(
      error.message,
      /monthly budget of key "app" \(10 USD\) is used up\. It begins anew at \d{4}-\d\d-01T00:00:00/,
    );
  });

test('budgets of team and all count every key; a soft one warns once and calls its webhook; windows begin anew', async (t) => {
  const { url: webhook, events: calls } = await startWebhook<Record<string, unknown>>(t);
  let time = Date.UTC(2026, 10, 25, 23);
  const boundary = await testBoundary(t, { now: () => time });
  const { budgets, teams } = boundary.administration;
  await teams.create({ name: 'red' });
  const one = await keyWith(boundary, {}, { teamId: 'red' });
  const other = await keyWith(boundary, {}, { teamId: 'red', name: 'other' });
  await budgets.create({ scope: 'team', scopeId: 'red', period: 'day', amount: 3 });
  await budgets.create({
    scope: 'total',
    period: 'forever',
    amount: 2,
    soft: true,
    webhook,
  });
  const spend = (secret: string) => ask(boundary, secret, { cost: 1 });
  // The account of the time that the test made up.
  const { account } = boundary;
  boundary.account = (e) => account({ ...e, startedAt: time });
  await spend(one.secret);
  await spend(other.secret);
  await spend(one.secret);
  assert.match(
    (await refusal(spend(other.secret))).message,
    /daily budget of team "red" \(3 USD\).*2026-11-26T00:00:00/,
  );
  for (let i = 0; i < 500 && calls.length === 0; i++) await sleep(10);
  assert.deepEqual(
    boundary.warnings.filter(({ error }) => error),
    [],
  );
  assert.equal(calls.length, 1);
  const { spent, ...told } = calls[0] as { spent: number };
  // The sum so far is read in the background: the third request may be in it already.
  assert.ok(spent === 2 || spent === 3, `spent ${spent}`);
  assert.deepEqual(
    { ...told, budget: undefined },
    {
      event: 'budget.exhausted',
      budget: undefined,
      scope: 'total',
      scope_id: null,
      period: 'forever',
      soft: true,
      amount: 2,
      resets_at: null,
    },
  );
  time += 3_600_000;
  await spend(other.secret);
  assert.equal(boundary.warnings.filter(({ event }) => event === 'budget.exhausted').length, 2);
});

test('after a restart a budget goes on exactly where the ledger is; shadow traffic is on nobody’s', async (t) => {
  const first = await testBoundary(t);
  const { key, secret } = await keyWith(first);
  const { budgets } = first.administration;
  const { id } = await budgets.create({ scope: 'key', scopeId: key.id, period: 'forever', amount: 5 });
  for (let i = 0; i < 3; i++) await ask(first, secret, { cost: 0.3333333333 });
  first.account(entry({ keyId: key.id, cost: 4, shadow: true, attempt: 0 }));
  await first.ledger.flush();
  const budget = await budgets.get(id);
  const second = await testBoundary(t, { database: `sqlite:${first.home}/viaduct.db` });
  assert.equal(await second.counters.spent(budget), 3 * 333_333_333);
  assert.equal(await first.counters.spent(budget), 3 * 333_333_333);
});

test('a budget made while requests run counts each of them exactly once', async (t) => {
  const boundary = await testBoundary(t);
  const { key, secret } = await keyWith(boundary);
  const running = Array.from({ length: 100 }, (_, n) => ask(boundary, secret, { cost: 0.01, ms: n }));
  await sleep(40);
  const budget = await boundary.administration.budgets.create({
    scope: 'key',
    scopeId: key.id,
    period: 'day',
    amount: 100,
  });
  await boundary.counters.spent(budget);
  await Promise.all(running);
  assert.equal(await boundary.counters.spent(budget), 100 * 10_000_000);
});

test('windows: UTC days, weeks from Monday, months', () => {
  const at = Date.UTC(2026, 10, 25, 15, 30);
  const iso = (period: 'day' | 'week' | 'month') => {
    const { start, end } = windowAt(period, at);
    return [new Date(start).toISOString().slice(0, 10), new Date(end).toISOString().slice(0, 10)];
  };
  assert.deepEqual(iso('day'), ['2026-11-25', '2026-11-26']);
  assert.deepEqual(iso('week'), ['2026-11-23', '2026-11-30']);
  assert.deepEqual(iso('month'), ['2026-11-01', '2026-12-01']);
  fc.assert(
    fc.property(
      fc.constantFrom('day', 'week', 'month', 'forever'),
      fc.integer({ min: 0, max: 4e12 }),
      (period, time) => {
        const { start, end } = windowAt(period, time);
        assert.ok(start <= time && time < end);
        assert.equal(windowAt(period, start).start, start);
      },
    ),
  );
});

test('durations are written as Go does', () => {
  assert.deepEqual([0, 12, 1000, 8640, 60_000, 360_000, 3_600_000, 90_061_500, 0.2].map(goDuration), [
    '0s',
    '12ms',
    '1s',
    '8.64s',
    '1m0s',
    '6m0s',
    '1h0m0s',
    '25h1m1.5s',
    '1ms',
  ]);
});
