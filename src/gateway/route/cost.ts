/** What targets cost: those that are cheap enough, and what a request would cost. */
import { ViaductError } from '../../core/errors.ts';
import type { Prices } from '../contract.ts';
import type { Needs } from '../needs.ts';
import type { Target } from './target.ts';

/** Targets that cost no more than `max`, in USD per million tokens. Throws model_not_found when none is left. */
export function cheaper(
  targets: Target[],
  max: { input?: number | undefined; output?: number | undefined },
  model: string,
  prices: Prices | undefined,
): Target[] {
  const left = targets.filter(({ priced, provider }) => {
    const price = prices?.price(priced) ?? prices?.machinePrice?.(priced);
    if (!price) return provider.kind === 'local';
    return price.input <= (max.input ?? Infinity) && price.output <= (max.output ?? Infinity);
  });
  if (left.length > 0) return left;
  throw new ViaductError(
    'model_not_found',
    `Nothing that serves "${model}" is known to cost so little: raise max_price.`,
    { param: 'max_price' },
  );
}

/** USD × 10⁶; what has no price comes last, the machine's own models first. */
export function expectedCost(
  { priced, provider }: Target,
  { inputTokens, maxTokens }: Needs,
  prices: Prices | undefined,
): number {
  const price = prices?.price(priced);
  if (!price) return provider.kind === 'local' ? 0 : Infinity;
  return price.input * inputTokens + price.output * (maxTokens ?? 500);
}
