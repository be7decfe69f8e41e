import assert from 'node:assert/strict';
import { test } from 'node:test';
import { calcPrice } from '@pydantic/genai-prices';
import fc from 'fast-check';
import { createPrices } from './prices.ts';

const machine = { watts: 100, pricePerKwh: 0.3, hardwarePrice: 1000, lifetimeHours: 10_000 };
const now = () => Date.UTC(2026, 10, 25);

test('hosted models cost what the public list says, tiers and caches included', () => {
  const prices = createPrices({ overrides: {}, machine, now });
  const targets = [
    ['openai', 'gpt-5'],
    ['anthropic', 'claude-sonnet-4-5'],
    ['gemini', 'gemini-2.5-pro'],
    ['deepseek', 'deepseek-chat'],
  ] as const;
  const listNames = { openai: 'openai', anthropic: 'anthropic', gemini: 'google', deepseek: 'deepseek' };
  fc.assert(
    fc.property(
      fc.constantFrom(...targets),
      fc.integer({ min: 0, max: 400_000 }),
      fc.integer({ min: 0, max: 20_000 }),
      fc.integer({ min: 0, max: 1000 }),
      ([kind, model], input, output, cached) => {
        const cacheRead = Math.min(cached, input);
        const ours = prices.cost({ provider: 'x', kind, model }, { input, output, cacheRead }, 0);
        const theirs = calcPrice({ input_tokens: input, output_tokens: output, cache_read_tokens: cacheRead }, model, {
          providerId: listNames[kind],
          timestamp: new Date(now()),
        });
        assert.ok(theirs && ours !== undefined && Math.abs(ours - theirs.total_price) < 1e-9);
      },
    ),
    { numRuns: 200 },
  );
});

test('the configuration overrides the list, by model or for a whole provider', () => {
  const prices = createPrices({
    overrides: { 'openai/gpt-5': { input: 1, output: 2, cacheRead: 0.5 }, 'gpu/*': { input: 0.1, output: 0.2 } },
    machine,
    now,
  });
  const cost = (provider: string, kind: string, model: string) =>
    prices.cost({ provider, kind, model }, { input: 2_000_000, output: 1_000_000, cacheRead: 1_000_000 }, 0);
  assert.equal(cost('openai', 'openai', 'gpt-5'), 1 + 0.5 + 2);
  assert.ok(Math.abs((cost('gpu', 'vllm', 'anything') ?? 0) - 0.4) < 1e-12);
  assert.equal(cost('other', 'vllm', 'anything'), undefined);
  assert.deepEqual(prices.price({ provider: 'gpu', kind: 'vllm', model: 'x' }), { input: 0.1, output: 0.2 });
});

test('a local model costs power and depreciation for the time it is busy', () => {
  const prices = createPrices({ overrides: {}, machine, now });
  const hour = prices.cost(
    { provider: 'local', kind: 'local', model: 'smollm2:135m' },
    { input: 5, output: 5 },
    3_600_000,
  );
  assert.ok(Math.abs((hour ?? 0) - (0.1 * 0.3 + 1000 / 10_000)) < 1e-12);
});

test('a local model has a price per token too: at the usual speed until it has answered, then at its own', () => {
  const prices = createPrices({ overrides: {}, machine, now });
  const target = { provider: 'local', kind: 'local', model: 'm' };
  const near = (one: number | undefined, other: number) => Math.abs((one ?? 0) - other) < 1e-9;
  const perHour = 0.1 * 0.3 + 1000 / 10_000;
  assert.ok(near(prices.machinePrice?.(target)?.output, (perHour / 3600 / 30) * 1e6));
  // 100 tokens and a short prompt in ten seconds.
  prices.cost(target, { input: 0, output: 100 }, 10_000);
  assert.ok(near(prices.machinePrice?.(target)?.output, (perHour / 3600 / 10) * 1e6));
  assert.ok(near(prices.machinePrice?.(target)?.input, (perHour / 3600 / 100) * 1e6));
  assert.equal(prices.machinePrice?.({ ...target, kind: 'openai' }), undefined);
});
