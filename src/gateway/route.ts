/** Model name → route: configured ones, and those that a name implies. */
import type { ModelSettings } from '../config/models.ts';
import { plainRoute } from '../config/models.ts';
import { ViaductError } from '../core/errors.ts';
import type { Provider } from '../core/provider.ts';
import { createHealth, type Health } from './breaker.ts';
import { hostedName } from './catalog.ts';
import type { Prices } from './contract.ts';
import { orderTargets, type Wish } from './route/order.ts';
import type { Route, Target } from './route/target.ts';

export type Router = {
  /** Throws model_not_found, with what would make the name work. */
  resolve(model: string): Promise<Route> | Route;
  /** The targets of `routes` that may serve this request, in the order to try. Throws privacy_restricted, permission_denied, model_not_found. */
  order(model: string, routes: Route[], wish: Wish, now: number): Target[];
  /** A provider's own API, as a target; undefined when there is no such provider. */
  native(provider: string): Target | undefined;
  /** Every target that has been used or configured: for metrics. */
  targets(): Iterable<Target>;
};

export type RouterDeps = {
  providers: Map<string, Provider>;
  models: Record<string, ModelSettings>;
  prices: Prices | undefined;
  /** 0 ≤ n < 1. */
  random: () => number;
  /** Health by target name; outlives a reload of the configuration. */
  health: Map<string, Health>;
};

/** Throws model_not_found when a configured route names a provider that is not there: config.ts checks that before. */
export function createRouter({ providers, models, prices, random, health }: RouterDeps): Router {
  const known = new Map<string, Target>();
  const routes = new Map<string, Route>();

  const accounts = new Map<string, Target['account']>();
  const accountOf = (provider: string) => {
    const account = accounts.get(provider) ?? { restUntil: 0 };
    accounts.set(provider, account);
    return account;
  };

  const targetOf = (to: string, weight = 1, tags: string[] = []): Target | undefined => {
    const slash = to.indexOf('/');
    const provider = providers.get(to.slice(0, slash));
    const model = to.slice(slash + 1);
    if (!provider || slash < 1 || model === '') return undefined;
    const state = health.get(to) ?? createHealth();
    health.set(to, state);
    const priced = { provider: provider.name, kind: provider.kind, model };
    const account = accountOf(provider.name);
    const target = { name: to, provider, model, weight, tags, priced, health: state, account };
    known.set(to, target);
    return target;
  };
  const routeOf = (settings: ModelSettings): Route => {
    const targets = settings.targets.flatMap(({ to, weight, tags }) => targetOf(to, weight, tags) ?? []);
    const canary = settings.canary && targetOf(settings.canary.to);
    const shadow = settings.shadow && targetOf(settings.shadow.to);
    return { settings, targets, ...(canary && { canary }), ...(shadow && { shadow }) };
  };
  for (const [name, settings] of Object.entries(models)) {
    const route = routeOf(settings);
    routes.set(name, route);
    // What a local model can do stands in its file, which the first question begins to read: it is to be known in time.
    for (const { provider, model } of route.targets) provider.describe?.(model);
  }

  /** Names that no section of the configuration mentions, so bounded: anybody may invent them. */
  const found = new Map<string, Route>();
  const plain = (to: string) => {
    let route = found.get(to);
    if (!route) {
      if (found.size >= 10_000) found.clear();
      route = routeOf(plainRoute(to));
      found.set(to, route);
    }
    return route;
  };

  const resolve = (model: string): Route | Promise<Route> => {
    const route = routes.get(model) ?? impliedBy(model);
    return route ?? explain(model, providers, Object.keys(models));
  };
  const impliedBy = (model: string): Route | undefined => {
    const slash = model.indexOf('/');
    if (slash > 0 && providers.has(model.slice(0, slash)) && slash < model.length - 1) {
      const provider = providers.get(model.slice(0, slash));
      // The local runtime knows exactly what it has; a name it does not know gets the better message below.
      if (provider?.kind !== 'local' || provider.describe?.(model.slice(slash + 1))) return plain(model);
    }
    for (const provider of providers.values())
      if (provider.kind === 'local' && provider.describe?.(model)) return plain(`${provider.name}/${model}`);
    const owner = hostedName(model);
    for (const provider of providers.values())
      if (provider.kind !== 'local' && (provider.kind === owner?.kind || provider.describe?.(model)))
        return plain(`${provider.name}/${model}`);
    return undefined;
  };

  return {
    resolve,
    native: (provider) => known.get(`${provider}/*`) ?? targetOf(`${provider}/*`),
    targets: () => known.values(),
    order: (model, chosen, wish, now) => orderTargets(model, chosen, wish, now, prices, random),
  };
}

/** Nothing is called `model`: say what would make it work. */
async function explain(model: string, providers: Map<string, Provider>, configured: string[]): Promise<never> {
  const sentences = [`There is no model "${model}".`];
  const bare = model.slice(model.indexOf('/') + 1);
  const owner = hostedName(bare);
  if (owner)
    sentences.push(
      `"${bare}" is ${owner.label} model and no provider of kind ${owner.kind} is configured. Add to viaduct.yaml, with ${owner.variable} set: ` +
        `providers: { ${owner.kind}: { api_key: \${${owner.variable}} } }.`,
    );
  if (configured.length > 0) sentences.push(`Configured: ${list(configured)}.`);
  const local = [...providers.values()].find(({ kind }) => kind === 'local');
  if (local) {
    const installed = await local.models?.(AbortSignal.timeout(2000)).catch(() => []);
    sentences.push(`Installed: ${list(installed?.map(({ id }) => id) ?? [])}.`);
    // What stands before the slash may be a provider of ours, or a registry or an author.
    const tag = providers.has(model.slice(0, model.indexOf('/'))) ? bare : model;
    if (!owner) sentences.push(`Get it with: viaduct pull ${tag}`);
  }
  throw new ViaductError('model_not_found', sentences.join(' '), { param: 'model' });
}

const list = (names: string[]) =>
  names.length === 0 ? 'none' : names.slice(0, 20).join(', ') + (names.length > 20 ? ', …' : '');
