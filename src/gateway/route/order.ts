/** The targets of routes that may serve a request, in the order to try. */
import { ViaductError } from '../../core/errors.ts';
import type { Prices } from '../contract.ts';
import type { Needs } from '../needs.ts';
import { capable } from './capable.ts';
import { cheaper } from './cost.ts';
import { type Preferences, prefer } from './preferences.ts';
import { sortedBy, sortTargets } from './strategy.ts';
import type { Route, Target } from './target.ts';

export type Wish = {
  tags: string[] | undefined;
  privacy: 'local' | undefined;
  /** Provider names that the key may use. */
  providers: string[] | undefined;
  preferences?: Preferences | undefined;
  needs: Needs;
};

/** Throws privacy_restricted, permission_denied, model_not_found. `now`: milliseconds since 1970. */
export function orderTargets(
  model: string,
  routes: Route[],
  wish: Wish,
  now: number,
  prices: Prices | undefined,
  random: () => number,
): Target[] {
  const [route] = routes;
  if (!route) return [];
  // The usual case costs nothing: one name, one target, nothing to choose by.
  if (routes.length === 1 && route.targets.length === 1 && !route.canary && !isRestricted(route, wish))
    return route.targets;

  const weighing = { needs: wish.needs, prices, random, now };
  let targets = routes.flatMap((each) =>
    sortTargets(allowed(model, each, wish, prices), each.settings.strategy, weighing),
  );
  targets = dropRepeated(targets);
  if (wish.preferences) targets = prefer(targets, wish.preferences, model, weighing);
  const { canary, settings } = route;
  if (canary && random() * 100 < (settings.canary?.percent ?? 0) && maySee(canary, route, wish))
    targets = [canary, ...targets.filter(({ name }) => name !== canary.name)];
  targets = capable(targets, wish.needs);
  targets = overflow(targets, route);
  return byHealth(targets, now);
}

const isRestricted = ({ settings }: Route, wish: Wish) =>
  settings.privacy !== undefined ||
  settings.max_price !== undefined ||
  wish.privacy !== undefined ||
  wish.providers !== undefined ||
  wish.preferences !== undefined;

/** May this request go to a target that is none of the route's own: its canary, its shadow? */
export const maySee = (
  { provider }: Target,
  { settings }: Route,
  { privacy, providers }: Pick<Wish, 'privacy' | 'providers'>,
): boolean =>
  (provider.kind === 'local' || !(settings.privacy ?? privacy)) && (!providers || providers.includes(provider.name));

/** Targets that privacy, the key, price and tags leave. */
function allowed(model: string, route: Route, wish: Wish, prices: Prices | undefined): Target[] {
  const { settings, targets } = route;
  let left = targets;
  if (settings.privacy ?? wish.privacy) {
    left = left.filter(({ provider }) => provider.kind === 'local');
    if (left.length === 0)
      throw new ViaductError(
        'privacy_restricted',
        `"${model}" would leave this machine, and this request must not. Ask for a local model.`,
        { param: 'model' },
      );
  }
  if (wish.providers) {
    left = left.filter(({ provider }) => wish.providers?.includes(provider.name));
    if (left.length === 0)
      throw new ViaductError('permission_denied', `This key may not use the providers of "${model}".`, {
        param: 'model',
      });
  }
  const max = settings.max_price;
  if (max) left = cheaper(left, max, model, prices);
  return tagged(left, wish.tags);
}

/** Targets of a tag serve requests with that tag; the others take what no tag claims. */
function tagged(targets: Target[], tags: string[] | undefined): Target[] {
  if (!targets.some((target) => target.tags.length > 0)) return targets;
  const claimed = targets.filter((target) => target.tags.some((tag) => tags?.includes(tag)));
  if (claimed.length > 0) return claimed;
  const open = targets.filter((target) => target.tags.length === 0);
  return open.length > 0 ? open : targets;
}

function dropRepeated(targets: Target[]): Target[] {
  const seen = new Set<string>();
  return targets.filter(({ name }) => !seen.has(name) && seen.add(name));
}

/** A local target whose queue is full, or whose wait is long, steps behind those that need not wait. */
function overflow(targets: Target[], { settings }: Route): Target[] {
  const limits = settings.overflow;
  if (!limits || targets.length < 2) return targets;
  const isFull = ({ provider, model }: Target) => {
    const load = provider.load?.(model);
    if (!load) return false;
    const { queue, wait } = limits;
    return (
      (queue !== undefined && load.queued >= queue && (queue > 0 || load.expectedWaitMs > 0)) ||
      (wait !== undefined && load.expectedWaitMs >= wait && load.expectedWaitMs > 0)
    );
  };
  const full = targets.filter(isFull);
  return full.length === 0 ? targets : [...targets.filter((target) => !full.includes(target)), ...full];
}

/** Targets that rest go to the end: tried when nothing else is left. */
function byHealth(targets: Target[], now: number): Target[] {
  const rank = ({ health, account }: Target) => Math.max(health.rank(now), account.restUntil > now ? 1 : 0);
  return targets.every((target) => rank(target) === 0) ? targets : sortedBy(targets, rank);
}
