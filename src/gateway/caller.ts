/** A caller who has been let in: every operation is routed, admitted, attempted and accounted here. */
import type { Protocol } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type {
  CallContext,
  EmbedRequest,
  EmbedResult,
  ImageRequest,
  NativeReply,
  NativeRequest,
  NativeSocket,
  Provider,
  RerankRequest,
  RerankResult,
} from '../core/provider.ts';
import type { Usage } from '../core/usage.ts';
import { type Attempt, type AttemptLimits, attempt } from './attempt.ts';
import { Call } from './call.ts';
import { openChat } from './chat.ts';
import type {
  Answer,
  Caller,
  ChatAnswer,
  ChatCall,
  Credentials,
  GatewayDeps,
  Identity,
  ModelEntry,
  Operation,
  Served,
} from './contract.ts';
import { keeping } from './keep-content.ts';
import { listModels } from './model-list.ts';
import { watchNative, watchSocket } from './native.ts';
import { type Needs, needsOf } from './needs.ts';
import { allowed } from './patterns.ts';
import { maySee } from './route/order.ts';
import { type Preferences, preferencesOf } from './route/preferences.ts';
import { contextOf, type Route, type Target } from './route/target.ts';
import type { Router } from './route.ts';
import { runShadow } from './shadow.ts';

/** What stays the same for all callers until the next configuration. */
export type Setup = {
  deps: GatewayDeps;
  providers: Map<string, Provider>;
  models: NonNullable<GatewayDeps['models']>;
  router: Router;
};

/** What a call asks for, before it has been routed. */
type Asked = { operation: Operation; model: string; stream: boolean; needs: Needs; body?: JsonObject | undefined };
/** …and after: where it may go, on which terms. */
type Routed = { call: Call; route: Route; targets: Target[]; limits: AttemptLimits };

/** Where a route sets nothing: long enough for a cold model and a long prompt, short enough that nothing hangs for ever. */
const defaultFirstTokenMs = 600_000;
const defaultIdleMs = 300_000;

/** A class, because one is made for every request: its methods are shared, closures would be made anew. */
export class EnteredCaller implements Caller {
  readonly requestId: string;
  readonly owner: string;
  readonly admin: boolean;
  readonly #setup: Setup;
  readonly #credentials: Credentials;
  readonly #identity: Identity;
  /** performance.now() */
  readonly #enteredAt: number;

  constructor(setup: Setup, credentials: Credentials, identity: Identity, enteredAt: number) {
    this.requestId = credentials.requestId;
    this.owner = identity.owner;
    this.admin = identity.admin;
    this.#setup = setup;
    this.#credentials = credentials;
    this.#identity = identity;
    this.#enteredAt = enteredAt;
  }

  get signal(): AbortSignal {
    return this.#credentials.signal;
  }

  async chat(asked: ChatCall): Promise<ChatAnswer> {
    const { model, stream, body } = asked;
    const decode = once(asked.decode);
    const needs = needsOf(body ?? decode());
    const { call, route, targets, limits } = await this.#begin({ operation: 'chat', model, stream, needs, body });
    const request: ChatCall = { ...asked, decode };
    try {
      const last = targets.at(-1);
      const { current, result } = await attempt(targets, call.course(limits), (current) =>
        openChat(request, current, { needs, settings: route.settings, isLast: current.target === last }),
      );
      if (route.shadow) this.#shadow(route, route.shadow, request, needs);
      const answer: ChatAnswer = Object.assign(call.served(current), result);
      const keepFor = Math.max(this.#identity.keepContentFor ?? 0, route.settings.keep_content ?? 0);
      const { keep } = this.#setup.deps;
      if (!keep || keepFor === 0) return answer;
      return keeping(answer, request, { requestId: this.requestId, owner: this.owner, keepFor }, keep);
    } catch (thrown) {
      throw call.failed(thrown);
    }
  }

  async countTokens({ model, body, decode: decodeOnce }: ChatCall): Promise<Answer<number>> {
    const decode = once(decodeOnce);
    const needs = needsOf(body ?? decode());
    return this.#ask(
      { operation: 'count_tokens', model, stream: false, needs, body },
      (provider, target, context) =>
        provider.countTokens?.({ ...decode(), model: target }, context) ??
        // Better a guess than a failure where nobody counts before the bill.
        (provider.chat && Promise.resolve(needs.inputTokens)),
      () => nothing,
    );
  }

  async embed(request: EmbedRequest): Promise<Answer<EmbedResult>> {
    return this.#ask(
      { operation: 'embeddings', model: request.model, stream: false, needs: needsOf(request) },
      (provider, model, context) => provider.embed?.({ ...request, model }, context),
      ({ usage }) => usage,
    );
  }

  async rerank(request: RerankRequest): Promise<Answer<RerankResult>> {
    return this.#ask(
      { operation: 'rerank', model: request.model, stream: false, needs: needsOf(request) },
      (provider, model, context) => provider.rerank?.({ ...request, model }, context),
      ({ usage }) => usage,
    );
  }

  async image(request: ImageRequest): Promise<Answer<JsonObject>> {
    return this.#ask(
      { operation: 'image_generation', model: request.model, stream: false, needs: needsOf(request.body) },
      (provider, model, context) => provider.image?.({ model, body: { ...request.body, model } }, context),
      imageUsage,
    );
  }

  async models(): Promise<ModelEntry[]> {
    const { providers, models } = this.#setup;
    return listModels(providers, models, this.#identity, this.#credentials.signal);
  }

  async model(name: string): Promise<ModelEntry> {
    const [target] = (await this.#resolve(name)).targets;
    const entries = await this.models();
    const listed = entries.find(({ id }) => id === name);
    if (listed || !target) return listed ?? { id: name, provider: '' };
    const { provider, model } = target;
    const known = provider.describe?.(model);
    // The list has it under its whole name: "smollm2:latest".
    const whole = entries.find(({ id }) => provider.kind === 'local' && id === known?.id);
    return { ...known, ...whole, id: name, provider: provider.name };
  }

  async speaks(protocol: Protocol, model: string): Promise<'all' | 'some' | 'none'> {
    const { targets } = await this.#resolve(model);
    const able = targets.filter((target) => target.provider.relays(protocol, target.model)).length;
    if (able === 0) return 'none';
    return able === targets.length ? 'all' : 'some';
  }

  async contextLength(model: string): Promise<number | undefined> {
    const { targets } = await this.#resolve(model);
    const known = targets.flatMap((target) => contextOf(target) ?? []);
    return known.length > 0 ? Math.min(...known) : undefined;
  }

  async native(name: string, request: NativeRequest): Promise<Served & { reply: NativeReply }> {
    const { result, ...served } = await this.#askNative(
      name,
      (provider, context) => provider.native?.(request, context),
      (reply, current) => watchNative(reply, current, request),
    );
    return { ...served, reply: result };
  }

  async nativeSocket(name: string, request: NativeRequest): Promise<Served & { connection: NativeSocket }> {
    const { result, ...served } = await this.#askNative(
      name,
      (provider, context) => provider.nativeSocket?.(request, context),
      (connection, first) =>
        watchSocket(connection, first, request, (begin) =>
          this.#askNative(
            name,
            async () => connection,
            (_connection, next) => begin(next),
          ),
        ),
    );
    return { ...served, connection: result };
  }

  get #privacy(): 'local' | undefined {
    return this.#credentials.privacy ?? this.#identity.privacy;
  }

  #call(operation: Operation, model: string, stream: boolean): Call {
    return new Call(this.#setup.deps, {
      credentials: this.#credentials,
      identity: this.#identity,
      operation,
      model,
      stream,
      enteredAt: this.#enteredAt,
    });
  }

  /** Everything before the first attempt. */
  async #begin({ operation, model, stream, needs, body }: Asked): Promise<Routed> {
    const { router } = this.#setup;
    const call = this.#call(operation, model, stream);
    if (body) call.trace?.asked(body);
    try {
      const { models: others, preferences } = body ? preferencesOf(body) : noPreferences;
      const resolving = this.#resolveAll(model, others);
      const routes = resolving instanceof Promise ? await resolving : resolving;
      const [route] = routes;
      if (!route) throw new ViaductError('internal_error', 'A name was resolved to nothing.');
      const { tags } = this.#credentials;
      const wish = { tags, privacy: this.#privacy, providers: this.#identity.providers, preferences, needs };
      const targets = router.order(model, routes, wish, Date.now());
      const admitting = call.admit(targets, needs);
      if (admitting) await admitting;
      return { call, route, targets, limits: this.#limits(route) };
    } catch (thrown) {
      throw call.failed(thrown);
    }
  }

  #resolve(model: string): Route | Promise<Route> {
    if (allowed(this.#identity.models, model)) return this.#setup.router.resolve(model);
    throw new ViaductError('permission_denied', `This key may not use the model "${model}".`, { param: 'model' });
  }

  #resolveAll(model: string, others: string[]): Route[] | Promise<Route[]> {
    const first = this.#resolve(model);
    if (others.length === 0 && !(first instanceof Promise)) return [first];
    return Promise.all([first, ...others.map((other) => this.#resolve(other))]);
  }

  #limits({ settings }: Route): AttemptLimits {
    const { first_token = defaultFirstTokenMs, idle = defaultIdleMs, total = Infinity } = settings.timeout;
    const totalMs = Math.min(total, this.#credentials.timeoutMs ?? Infinity);
    return {
      firstTokenMs: first_token,
      idleMs: idle,
      deadline: totalMs === Infinity ? undefined : Date.now() + totalMs,
      retries: settings.retries,
      contentFilterFallback: settings.content_filter_fallback,
      privacy: settings.privacy ?? this.#privacy,
    };
  }

  /** A call that is answered in one piece. */
  async #ask<Result>(
    asked: Asked,
    run: (provider: Provider, model: string, context: CallContext) => Promise<Result> | undefined,
    usageOf: (result: Result) => Usage,
  ): Promise<Answer<Result>> {
    const { call, targets, limits } = await this.#begin(asked);
    try {
      const { current, result } = await attempt(targets, call.course(limits), async (current) => {
        const { target, context } = current;
        const running = run(target.provider, target.model, context);
        if (!running) throw cannot(target, asked.operation);
        const result = await running;
        const measured = { usage: usageOf(result), estimated: false };
        current.opened();
        current.answering(() => measured);
        await current.end();
        return result;
      });
      return Object.assign(call.served(current), { result });
    } catch (thrown) {
      throw call.failed(thrown);
    }
  }

  /** A provider's own API: one target, one attempt. */
  async #askNative<Result>(
    name: string,
    run: (provider: Provider, context: CallContext) => Promise<Result> | undefined,
    watch: (result: Result, current: Attempt) => void,
  ): Promise<Answer<Result>> {
    const target = this.#nativeTarget(name);
    const call = this.#call('native', target.name, true);
    const { timeoutMs } = this.#credentials;
    const limits: AttemptLimits = {
      firstTokenMs: defaultFirstTokenMs,
      idleMs: defaultFirstTokenMs,
      deadline: timeoutMs === undefined ? undefined : Date.now() + timeoutMs,
      retries: 0,
      contentFilterFallback: false,
    };
    try {
      await call.admit([target], noNeeds);
      const { current, result } = await attempt([target], call.course(limits), async (current) => {
        const running = run(target.provider, current.context);
        if (!running)
          throw new ViaductError('not_found', `The provider "${name}" has no API of its own to pass through to.`);
        const result = await running;
        watch(result, current);
        return result;
      });
      return Object.assign(call.served(current), { result });
    } catch (thrown) {
      throw call.failed(thrown);
    }
  }

  /** Throws not_found, permission_denied, privacy_restricted. */
  #nativeTarget(name: string): Target {
    const { router, providers } = this.#setup;
    const { models, providers: mayUse } = this.#identity;
    const target = router.native(name);
    if (!target) {
      const known = [...providers.keys()].join(', ');
      throw new ViaductError('not_found', `No provider is called "${name}". Configured: ${known}.`);
    }
    if (!allowed(models, target.name) || !(mayUse?.includes(name) ?? true))
      throw new ViaductError('permission_denied', `This key may not use the provider "${name}".`);
    if (this.#privacy && target.provider.kind !== 'local')
      throw new ViaductError(
        'privacy_restricted',
        `"${name}" is not on this machine, and this request must not leave it.`,
      );
    return target;
  }

  #shadow(route: Route, target: Target, request: ChatCall, needs: Needs): void {
    const { deps } = this.#setup;
    const { percent = 0 } = route.settings.shadow ?? {};
    if ((deps.random ?? Math.random)() * 100 >= percent) return;
    if (!maySee(target, route, { privacy: this.#privacy, providers: this.#identity.providers })) return;
    runShadow(deps, target, request, { credentials: this.#credentials, identity: this.#identity, needs });
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
