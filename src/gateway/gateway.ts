/**
 * What happens to every inference request, in order. Read this file first.
 *
 *   authenticate → admit (limits, budget) → route → attempt (retry, fallback, breaker, overflow) → account
 *
 * Authenticate, admit, account and prices come from outside (GatewayDeps); contract.ts says what they promise.
 */
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { CallContext, NativeRequest, Provider } from '../core/provider.ts';
import type { Usage } from '../core/usage.ts';
import { type Attempt, type AttemptLimits, attempt } from './attempt.ts';
import type { Health } from './breaker.ts';
import { type Call, createCall } from './call.ts';
import { openChat } from './chat.ts';
import type {
  Answer,
  Caller,
  ChatAnswer,
  ChatCall,
  Credentials,
  Gateway,
  GatewayDeps,
  Identity,
  Operation,
} from './contract.ts';
import { listModels } from './model-list.ts';
import { watchNative, watchSocket } from './native.ts';
import { type Needs, needsOf } from './needs.ts';
import { allowed } from './patterns.ts';
import { createRouter, type Preferences, preferencesOf, type Route, type Router, type Target } from './route.ts';
import { runShadow } from './shadow.ts';

export type * from './contract.ts';

/** Where a route sets nothing: long enough for a cold model and a long prompt, short enough that nothing hangs for ever. */
const defaultFirstTokenMs = 600_000;
const defaultIdleMs = 300_000;

export function createGateway(deps: GatewayDeps): Gateway {
  const health = new Map<string, Health>();
  const random = deps.random ?? Math.random;
  const setUp = (providers: GatewayDeps['providers'], models: NonNullable<GatewayDeps['models']>) => ({
    providers,
    models,
    router: createRouter({ providers, models, prices: deps.prices, random, health }),
  });
  let setup = setUp(deps.providers, deps.models ?? {});

  return {
    configure({ providers, models }) {
      setup = setUp(providers, models);
    },
    health() {
      return [...setup.router.targets()].map((target) => {
        const { busy, firstTokenMs, open, rank } = target.health;
        const state = !open ? 'closed' : rank(Date.now()) === 1 ? 'open' : 'half-open';
        return { target: target.name, state, busy, ...(firstTokenMs !== undefined && { firstTokenMs }) };
      });
    },
    async enter(credentials) {
      const enteredAt = performance.now();
      const entering = deps.authenticate?.(credentials) ?? everybody;
      const identity = entering instanceof Promise ? await entering : entering;
      return createCaller({ ...setup, deps, random, credentials, identity, enteredAt });
    },
  };
}

const everybody: Identity = { owner: 'local', admin: true };

type CallerParts = {
  providers: Map<string, Provider>;
  models: NonNullable<GatewayDeps['models']>;
  router: Router;
  deps: GatewayDeps;
  random: () => number;
  credentials: Credentials;
  identity: Identity;
  enteredAt: number;
};

/** What a call asks for, before it has been routed. */
type Asked = { operation: Operation; model: string; stream: boolean; needs: Needs; body?: JsonObject | undefined };
/** …and after: where it may go, on which terms. */
type Routed = { call: Call; route: Route; targets: Target[]; limits: AttemptLimits };

function createCaller(parts: CallerParts): Caller {
  const { providers, models, router, deps, random, credentials, identity, enteredAt } = parts;
  const { requestId, tags } = credentials;

  /** Everything before the first attempt. Throws what `call.failed` has not seen: nothing was taken yet. */
  const begin = async ({ operation, model, stream, needs, body }: Asked): Promise<Routed> => {
    const call = createCall(deps, { credentials, identity, operation, model, stream, enteredAt });
    try {
      const { models: others, preferences } = body ? preferencesOf(body) : noPreferences;
      const routes = others.length === 0 ? [await resolve(model)] : await Promise.all([model, ...others].map(resolve));
      const [route] = routes;
      if (!route) throw new ViaductError('internal_error', 'A name was resolved to nothing.');
      const privacy = credentials.privacy ?? identity.privacy;
      const wish = { tags, privacy, providers: identity.providers, preferences, needs };
      const targets = router.order(model, routes, wish, Date.now());
      if (deps.admit) await call.admit(targets, needs);
      return { call, route, targets, limits: limitsOf(route) };
    } catch (thrown) {
      throw call.failed(thrown);
    }
  };

  const resolve = (model: string): Route | Promise<Route> => {
    if (!allowed(identity.models, model))
      throw new ViaductError('permission_denied', `This key may not use the model "${model}".`, { param: 'model' });
    return router.resolve(model);
  };

  const limitsOf = ({ settings }: Route): AttemptLimits => {
    const { first_token = defaultFirstTokenMs, idle = defaultIdleMs, total = Infinity } = settings.timeout;
    const totalMs = Math.min(total, credentials.timeoutMs ?? Infinity);
    return {
      firstTokenMs: first_token,
      idleMs: idle,
      deadline: totalMs === Infinity ? undefined : Date.now() + totalMs,
      retries: settings.retries,
      contentFilterFallback: settings.content_filter_fallback,
    };
  };

  /** A call that is answered in one piece. */
  const ask = async <Result>(
    asked: Asked,
    run: (provider: Provider, model: string, context: CallContext) => Promise<Result> | undefined,
    usageOf: (result: Result) => Usage,
  ): Promise<Answer<Result>> => {
    const { call, targets, limits } = await begin(asked);
    try {
      const answer = await attempt(targets, call.course(limits), async (current) => {
        const { target, context } = current;
        const running = run(target.provider, target.model, context);
        if (!running) throw cannot(target, asked.operation);
        const result = await running;
        const measured = { usage: usageOf(result), estimated: false };
        current.opened();
        current.answering(() => measured);
        current.end();
        return { current, result };
      });
      return Object.assign(call.served(answer.current), { result: answer.result });
    } catch (thrown) {
      throw call.failed(thrown);
    }
  };

  /** A provider's own API: one target, one attempt. */
  const askNative = async <Result>(
    name: string,
    run: (provider: Provider, context: CallContext) => Promise<Result> | undefined,
    watch: (result: Result, current: Attempt) => void,
  ): Promise<Answer<Result>> => {
    const target = router.native(name);
    if (!target)
      throw new ViaductError(
        'not_found',
        `No provider is called "${name}". Configured: ${[...providers.keys()].join(', ')}.`,
      );
    const { provider } = target;
    if (!allowed(identity.models, `${name}/*`) || !(identity.providers?.includes(name) ?? true))
      throw new ViaductError('permission_denied', `This key may not use the provider "${name}".`);
    if ((credentials.privacy ?? identity.privacy) && provider.kind !== 'local')
      throw new ViaductError(
        'privacy_restricted',
        `"${name}" is not on this machine, and this request must not leave it.`,
      );
    const call = createCall(deps, {
      credentials,
      identity,
      operation: 'native',
      model: target.name,
      stream: true,
      enteredAt,
    });
    const totalMs = credentials.timeoutMs;
    const limits: AttemptLimits = {
      firstTokenMs: defaultFirstTokenMs,
      idleMs: defaultFirstTokenMs,
      deadline: totalMs === undefined ? undefined : Date.now() + totalMs,
      retries: 0,
      contentFilterFallback: false,
    };
    try {
      await call.admit([target], noNeeds);
      const answer = await attempt([target], call.course(limits), async (current) => {
        const running = run(provider, current.context);
        if (!running)
          throw new ViaductError('not_found', `The provider "${name}" has no API of its own to pass through to.`);
        const result = await running;
        watch(result, current);
        return { current, result };
      });
      return Object.assign(call.served(answer.current), { result: answer.result });
    } catch (thrown) {
      throw call.failed(thrown);
    }
  };

  return {
    requestId,
    get signal() {
      return credentials.signal;
    },
    owner: identity.owner,
    admin: identity.admin,

    async chat(asked) {
      const decode = once(asked.decode);
      const needs = needsOf(asked.body ?? decode());
      const { model, stream, body } = asked;
      const routed = await begin({ operation: 'chat', model, stream, needs, body });
      const { call, route, targets, limits } = routed;
      const request: ChatCall = { ...asked, decode };
      try {
        const { current, opened } = await attempt(targets, call.course(limits), async (current) => {
          const isLast = current.target === targets.at(-1);
          const opened = await openChat(request, current, { needs, settings: route.settings, isLast });
          return { current, opened };
        });
        const answer: ChatAnswer = Object.assign(call.served(current), opened);
        const { shadow } = route.settings;
        if (shadow && route.shadow && random() * 100 < shadow.percent && mayShadow(route.shadow))
          runShadow(deps, route.shadow, request, { credentials, identity, needs });
        return answer;
      } catch (thrown) {
        throw call.failed(thrown);
      }
    },

    async countTokens({ model, body, decode: decodeOnce }) {
      const decode = once(decodeOnce);
      const needs = needsOf(body ?? decode());
      return ask(
        { operation: 'count_tokens', model, stream: false, needs, body },
        (provider, target, context) =>
          provider.countTokens?.({ ...decode(), model: target }, context) ??
          // Better a guess than a failure where nobody counts before the bill.
          (provider.chat && Promise.resolve(needs.inputTokens)),
        () => nothing,
      );
    },

    embed: (request) =>
      ask(
        { operation: 'embeddings', model: request.model, stream: false, needs: needsOf(request) },
        (provider, model, context) => provider.embed?.({ ...request, model }, context),
        ({ usage }) => usage,
      ),

    rerank: (request) =>
      ask(
        { operation: 'rerank', model: request.model, stream: false, needs: needsOf(request) },
        (provider, model, context) => provider.rerank?.({ ...request, model }, context),
        ({ usage }) => usage,
      ),

    image: (request) =>
      ask(
        { operation: 'image_generation', model: request.model, stream: false, needs: needsOf(request.body) },
        (provider, model, context) => provider.image?.({ model, body: { ...request.body, model } }, context),
        imageUsage,
      ),

    models: () => listModels(providers, models, identity, credentials.signal),
    async model(name) {
      const [target] = (await resolve(name)).targets;
      const listed = await listModels(providers, models, identity, credentials.signal);
      const entry = listed.find(({ id }) => id === name);
      if (entry || !target) return entry ?? { id: name, provider: '' };
      return { ...target.provider.describe?.(target.model), id: name, provider: target.provider.name };
    },

    async native(name, request: NativeRequest) {
      const { result, ...served } = await askNative(
        name,
        (provider, context) => provider.native?.(request, context),
        watchNative,
      );
      return { ...served, reply: result };
    },

    async nativeSocket(name, request: NativeRequest) {
      const { result, ...served } = await askNative(
        name,
        (provider, context) => provider.nativeSocket?.(request, context),
        watchSocket,
      );
      return { ...served, connection: result };
    },
  };

  function mayShadow({ provider }: Target): boolean {
    return provider.kind === 'local' || !(credentials.privacy ?? identity.privacy);
  }
}

const noPreferences: { models: string[]; preferences: Preferences | undefined } = {
  models: [],
  preferences: undefined,
};
const noNeeds: Needs = { tools: false, images: false, jsonSchema: false, inputTokens: 0, maxTokens: 0 };
const nothing: Usage = { input: 0, output: 0 };

const verbs: Record<Operation, string> = {
  chat: 'chat',
  count_tokens: 'count tokens',
  embeddings: 'embed',
  rerank: 'rerank',
  image_generation: 'make images',
  native: 'pass through',
};

const cannot = ({ name }: Target, operation: Operation) =>
  new ViaductError('unsupported_capability', `"${name}" cannot ${verbs[operation]}: ask for a model that can.`, {
    param: 'model',
  });

/** OpenAI's images reply tells tokens for some models. Source: https://platform.openai.com/docs/api-reference/images */
function imageUsage({ usage }: JsonObject): Usage {
  if (usage === null || typeof usage !== 'object' || Array.isArray(usage)) return nothing;
  const { input_tokens, output_tokens } = usage;
  return { input: Number(input_tokens ?? 0), output: Number(output_tokens ?? 0) };
}

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
