/** Model name → targets, best first. */
import type { ModelSettings } from '../config/models.ts';
import { plainRoute } from '../config/models.ts';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { Provider } from '../core/provider.ts';
import { createHealth, type Health } from './breaker.ts';
import { hostedContext, hostedName } from './catalog.ts';
import type { PricedTarget, Prices } from './contract.ts';
import type { Needs } from './needs.ts';

/** One place a request may be sent. */
export type Target = {
  /** `openai/gpt-5`. */
  name: string;
  provider: Provider;
  /** The provider's own name of the model. */
  model: string;
  weight: number;
  tags: string[];
  priced: PricedTarget;
  health: Health;
  /** The provider refused our key: until then (milliseconds since 1970) its targets come last. Shared by all of them. */
  account: { restUntil: number };
};

/** What a public name means. */
export type Route = {
  settings: ModelSettings;
  targets: Target[];
  canary?: Target;
  shadow?: Target;
};

/** OpenRouter's `provider` object. Source: https://openrouter.ai/docs/features/provider-routing */
export type Preferences = {
  order?: string[];
  only?: string[];
  ignore?: string[];
  sort?: 'price' | 'throughput' | 'latency';
  maxPrice?: { input?: number; output?: number };
  allowFallbacks?: boolean;
};

export type Wish = {
  tags: string[] | undefined;
  privacy: 'local' | undefined;
  /** Provider names that the key may use. */
  providers: string[] | undefined;
  preferences?: Preferences | undefined;
  needs: Needs;
};

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
    if (!owner) sentences.push(`Get it with: viaduct pull ${bare}`);
  }
  throw new ViaductError('model_not_found', sentences.join(' '), { param: 'model' });
}

const list = (names: string[]) =>
  names.length === 0 ? 'none' : names.slice(0, 20).join(', ') + (names.length > 20 ? ', …' : '');

function orderTargets(
  model: string,
  routes: Route[],
  wish: Wish,
  now: number,
  prices: Prices | undefined,
  random: () => number,
): Target[] {
  const [route] = routes;
  if (!route) return [];
  const strategy = route.settings.strategy;
  // The usual case costs nothing: one name, one target, nothing to choose by.
  if (routes.length === 1 && route.targets.length === 1 && !route.canary && !isRestricted(route, wish))
    return route.targets;

  let targets = routes.flatMap((each) =>
    sortTargets(allowed(model, each, wish, prices), each.settings.strategy, wish, prices, random, now),
  );
  targets = dropRepeated(targets);
  if (wish.preferences) targets = prefer(targets, wish.preferences, model, prices, wish.needs, random);
  if (route.canary && strategy && random() * 100 < (route.settings.canary?.percent ?? 0)) {
    const { canary } = route;
    if (maySee(canary, route, wish)) targets = [canary, ...targets.filter(({ name }) => name !== canary.name)];
  }
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

function cheaper(
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
    {
      param: 'max_price',
    },
  );
}

function sortTargets(
  targets: Target[],
  strategy: ModelSettings['strategy'],
  { needs }: Wish,
  prices: Prices | undefined,
  random: () => number,
  now: number,
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

/** USD × 10⁶; what has no price comes last, the machine's own models first. */
function expectedCost(
  { priced, provider }: Target,
  { inputTokens, maxTokens }: Needs,
  prices: Prices | undefined,
): number {
  const price = prices?.price(priced);
  if (!price) return provider.kind === 'local' ? 0 : Infinity;
  return price.input * inputTokens + price.output * (maxTokens ?? 500);
}

function sortedBy(targets: Target[], key: (target: Target) => number): Target[] {
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

function dropRepeated(targets: Target[]): Target[] {
  const seen = new Set<string>();
  return targets.filter(({ name }) => !seen.has(name) && seen.add(name));
}

/** OpenRouter's wishes. A target that is OpenRouter itself gets them with the request and stays. */
function prefer(
  targets: Target[],
  { order, only, ignore, sort, maxPrice, allowFallbacks }: Preferences,
  model: string,
  prices: Prices | undefined,
  needs: Needs,
  random: () => number,
): Target[] {
  const named = (target: Target, names: string[]) => names.some((name) => isCalled(target, name));
  let left = targets.filter(
    (target) =>
      target.provider.kind === 'openrouter' || ((!only || named(target, only)) && !(ignore && named(target, ignore))),
  );
  if (left.length === 0)
    throw new ViaductError(
      'model_not_found',
      `No provider of "${model}" is left by provider.only and provider.ignore.`,
      {
        param: only ? 'provider.only' : 'provider.ignore',
      },
    );
  if (maxPrice) left = cheaper(left, maxPrice, model, prices);
  if (sort === 'price') left = sortTargets(left, 'cost', { needs } as Wish, prices, random, 0);
  if (sort === 'latency' || sort === 'throughput')
    left = sortTargets(left, 'latency', { needs } as Wish, prices, random, 0);
  if (order) {
    const place = (target: Target) => {
      const index = order.findIndex((name) => isCalled(target, name));
      return index === -1 ? order.length : index;
    };
    left = sortedBy(left, place);
    if (allowFallbacks === false) left = left.filter((target) => place(target) < order.length);
    if (left.length === 0)
      throw new ViaductError('model_not_found', `No provider of provider.order serves "${model}".`, {
        param: 'provider.order',
      });
  } else if (allowFallbacks === false) left = left.slice(0, 1);
  return left;
}

/** OpenRouter's words for kinds of ours. Source: https://openrouter.ai/docs/features/provider-routing */
const openRouterNames: Record<string, string> = {
  'google-vertex': 'vertex',
  'google-ai-studio': 'gemini',
  'amazon-bedrock': 'bedrock',
  xai: 'grok',
  'x-ai': 'grok',
  moonshotai: 'kimi',
  alibaba: 'qwen',
};

/** By its name here, its kind, or OpenRouter's word for that, which may go on with a region: `google-vertex/us-east5`. */
function isCalled({ provider }: Target, name: string): boolean {
  const [word = ''] = name.split('/', 1);
  return name === provider.name.toLowerCase() || word === provider.kind || openRouterNames[word] === provider.kind;
}

/** Drops targets known to be unable, as long as one is left that may be able. */
function capable(targets: Target[], needs: Needs): Target[] {
  if (targets.length < 2) return targets;
  const able = targets.filter((target) => canServe(target, needs));
  return able.length > 0 ? able : targets;
}

/** A guess of a prompt's tokens may be wrong by this much before we act on it. */
const guessMargin = 0.6;

function canServe({ provider, model }: Target, needs: Needs): boolean {
  const info = provider.describe?.(model);
  const context = info?.contextLength ?? hostedContext(provider.kind, model);
  if (context !== undefined && needs.inputTokens * guessMargin > context) return false;
  const can = info?.capabilities;
  if (!can) return true;
  if (needs.images && !can.includes('vision')) return false;
  // The local engine forces calls and schemas by grammar, whatever the model was trained for.
  if (provider.kind === 'local') return true;
  return !(needs.tools && !can.includes('tools')) && !(needs.jsonSchema && !can.includes('json'));
}

/** Tokens that `target` takes; undefined when unknown. */
export const contextOf = ({ provider, model }: Target): number | undefined =>
  provider.describe?.(model)?.contextLength ?? hostedContext(provider.kind, model);

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

/** OpenRouter's fields of a body: `models` (names to try after `model`) and `provider`. */
export function preferencesOf(body: JsonObject): { models: string[]; preferences: Preferences | undefined } {
  const { models, provider } = body;
  return {
    models: Array.isArray(models) ? models.filter((name) => typeof name === 'string') : [],
    preferences: isObject(provider) ? readPreferences(provider) : undefined,
  };
}

const isObject = (value: unknown): value is JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

function readPreferences(fields: JsonObject): Preferences {
  const names = (value: unknown) =>
    Array.isArray(value)
      ? value.filter((name) => typeof name === 'string').map((name) => name.toLowerCase())
      : undefined;
  const price = (value: unknown) => (value === undefined ? undefined : Number(value));
  const { order, only, ignore, max_price, allow_fallbacks } = fields;
  const sort = isObject(fields['sort']) ? fields['sort']['by'] : fields['sort'];
  const maxPrice = isObject(max_price)
    ? { input: price(max_price['prompt']), output: price(max_price['completion']) }
    : undefined;
  return {
    ...(names(order) && { order: names(order) }),
    ...(names(only) && { only: names(only) }),
    ...(names(ignore) && { ignore: names(ignore) }),
    ...((sort === 'price' || sort === 'throughput' || sort === 'latency') && { sort }),
    ...(maxPrice && { maxPrice }),
    ...(allow_fallbacks === false && { allowFallbacks: false }),
  } as Preferences;
}
