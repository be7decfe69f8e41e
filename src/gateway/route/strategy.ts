/** The strategies of a route: which of its targets comes first. */
import type { ModelSettings } from '../../config/models.ts';
import type { Prices } from '../contract.ts';
import type { Needs } from '../needs.ts';
import { expectedCost } from './cost.ts';
import type { Target } from './target.ts';

/** What targets are weighed by. */
export type Weighing = {
  needs: Needs;
  prices: Prices | undefined;
  /** 0 ≤ n < 1. */
  random: () => number;
  /** Milliseconds since 1970. */
  now: number;
};

/** All of `targets`, best first. */
export function sortTargets(
  targets: Target[],
  strategy: ModelSettings['strategy'],
  { needs, prices, random, now }: Weighing,
): Target[] {
  switch (strategy) {
    case 'ordered':
      return targets;
    case 'weighted':
      return shuffled(targets, random);
    case 'latency':
      // What was never measured, or rests, tells nothing: it goes first once, so that it is.
      return sortedBy(targets, ({ health }) => health.firstTokenMs ?? (health.restMs(now) > 0 ? Infinity : 0));
    case 'cost':
      return sortedBy(targets, (target) => expectedCost(target, needs, prices));
    case 'least-busy':
      return sortedBy(targets, ({ health, provider, model }) => health.busy + (provider.load?.(model).queued ?? 0));
  }
}

/** Smallest first; equal ones keep their order. */
export function sortedBy(targets: Target[], key: (target: Target) => number): Target[] {
  return targets
    .map((target) => ({ target, by: key(target) }))
    .sort((a, b) => (a.by === b.by ? 0 : a.by - b.by))
    .map(({ target }) => target);
}

/** Every place of the order is drawn by weight. */
function shuffled(targets: Target[], random: () => number): Target[] {
  const left = [...targets];
  const order: Target[] = [];
  while (left.length > 0) {
    const total = left.reduce((sum, { weight }) => sum + weight, 0);
    let draw = random() * total;
    let index = 0;
    for (; total > 0 && index < left.length - 1; index++) {
      draw -= left[index]?.weight ?? 0;
      if (draw < 0) break;
    }
    order.push(...left.splice(index, 1));
  }
  return order;
}
