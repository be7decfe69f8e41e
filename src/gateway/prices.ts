/** What a call costs: hosted models from the public price list, or from the configuration; local ones what the machine costs. */
import type { Usage } from '../core/usage.ts';
import { priceList } from '../lib/price-list.ts';
import { priceListName } from './catalog.ts';
import type { Price, PricedTarget, Prices } from './contract.ts';

/** USD per million tokens, from the configuration. */
export type PriceOverride = { input: number; output: number; cacheRead?: number; cacheWrite?: number };

export type Machine = {
  /** Drawn while a model answers. */
  watts: number;
  pricePerKwh: number;
  hardwarePrice: number;
  /** Hours of use after which the hardware is worth nothing. */
  lifetimeHours: number;
};

export type PricesDeps = {
  /** By `provider/model`, and `provider/*` for all others of a provider. */
  overrides: Record<string, PriceOverride>;
  machine: Machine;
  now: () => number;
};

/** Prices change by the hour of the day at some: how long one is believed. */
const believedMs = 600_000;
const maxRemembered = 5000;

/** Tokens a second of a local model that has not answered yet. */
const assumedSpeed = 30;
/** Reading a token of the prompt takes this part of writing one of the answer. */
const readingShare = 0.1;
/** Fewer tokens say little of a speed. */
const tellingTokens = 8;
/** Weight of the newest measurement. */
const smoothing = 0.3;

/** Per million tokens; above `from` input tokens another price holds for the whole request. */
type Rate = { base: number; tiers: { start: number; price: number }[] };
type Rates = { input: Rate; output: Rate; cacheRead: Rate; cacheWrite: Rate; reasoning: Rate; image: Rate };

export function createPrices({ overrides, machine, now }: PricesDeps): Prices {
  const remembered = new Map<string, { rates: Rates | undefined; until: number }>();
  const usdPerBusyMs =
    ((machine.watts / 1000) * machine.pricePerKwh + machine.hardwarePrice / machine.lifetimeHours) / 3_600_000;

  /** Local model → busy milliseconds for one token of an answer. */
  const paces = new Map<string, number>();
  const learn = (model: string, { input, output }: Usage, busyMs: number) => {
    const tokens = output + input * readingShare;
    if (output < tellingTokens || busyMs <= 0) return;
    if (paces.size >= maxRemembered) paces.clear();
    const known = paces.get(model) ?? busyMs / tokens;
    paces.set(model, known + smoothing * (busyMs / tokens - known));
  };

  const overrideOf = ({ provider, model }: PricedTarget) =>
    overrides[`${provider}/${model}`] ?? overrides[`${provider}/*`];
  const ratesOf = (target: PricedTarget): Rates | undefined => {
    const name = `${target.provider}/${target.model}`;
    const time = now();
    const known = remembered.get(name);
    if (known && time < known.until) return known.rates;
    const override = overrideOf(target);
    const rates = override ? fromOverride(override) : fromList(target, time);
    if (remembered.size >= maxRemembered) remembered.clear();
    remembered.set(name, { rates, until: time + believedMs });
    return rates;
  };

  return {
    cost(target, usage, busyMs) {
      // Who resells others' models knows best what it charged: only OpenRouter is taken at its word.
      if (target.kind === 'openrouter' && usage.cost !== undefined && !overrideOf(target)) return usage.cost;
      const rates = ratesOf(target);
      if (rates) return total(rates, usage);
      if (target.kind !== 'local') return undefined;
      learn(target.model, usage, busyMs);
      return busyMs * usdPerBusyMs;
    },
    machinePrice({ kind, model }) {
      if (kind !== 'local') return undefined;
      const output = (paces.get(model) ?? 1000 / assumedSpeed) * usdPerBusyMs * 1e6;
      return { input: output * readingShare, output };
    },
    price(target): Price | undefined {
      const rates = ratesOf(target);
      if (rates) return { input: rates.input.base, output: rates.output.base };
      return undefined;
    },
  };
}

function total(rates: Rates, usage: Usage): number {
  const { input, output, cacheRead = 0, cacheWrite = 0, reasoning = 0, image = 0 } = usage;
  const perMillion = (rate: Rate) => {
    let { base: price } = rate;
    for (const tier of rate.tiers) if (input > tier.start) price = tier.price;
    return price;
  };
  const plain = Math.max(0, input - cacheRead - cacheWrite - image);
  return (
    (plain * perMillion(rates.input) +
      cacheRead * perMillion(rates.cacheRead) +
      cacheWrite * perMillion(rates.cacheWrite) +
      image * perMillion(rates.image) +
      Math.max(0, output - reasoning) * perMillion(rates.output) +
      reasoning * perMillion(rates.reasoning)) /
    1e6
  );
}

const flat = (price: number): Rate => ({ base: price, tiers: [] });

const fromOverride = ({ input, output, cacheRead = input, cacheWrite = input }: PriceOverride): Rates => ({
  input: flat(input),
  output: flat(output),
  cacheRead: flat(cacheRead),
  cacheWrite: flat(cacheWrite),
  reasoning: flat(output),
  image: flat(input),
});

function fromList({ kind, model }: PricedTarget, time: number): Rates | undefined {
  const providerId = priceListName(kind);
  if (!providerId) return undefined;
  const oneOfEach = { input_tokens: 1, output_tokens: 1 };
  const found = priceList().calcPrice(oneOfEach, model, { providerId, timestamp: new Date(time) });
  if (!found) return undefined;
  const list = found.model_price;
  const rate = (...names: string[]): Rate => {
    for (const name of names) {
      const price = list[name];
      if (typeof price === 'number') return flat(price);
      if (price) return { base: price.base, tiers: [...price.tiers].sort((a, b) => a.start - b.start) };
    }
    return flat(0);
  };
  return {
    input: rate('input_mtok'),
    output: rate('output_mtok'),
    cacheRead: rate('cache_read_mtok', 'input_mtok'),
    cacheWrite: rate('cache_write_mtok', 'input_mtok'),
    reasoning: rate('output_reasoning_mtok', 'output_mtok'),
    image: rate('input_image_mtok', 'input_mtok'),
  };
}
