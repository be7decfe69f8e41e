/** The gateway as the front doors see it, and the seams of its stages. Types only. */
import type { ModelSettings } from '../config/models.ts';
import type { ChatRequest, ChatStream, Protocol } from '../core/chat.ts';
import type { ErrorCode, ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type {
  CallReport,
  Cancel,
  EmbedRequest,
  EmbedResult,
  ImageRequest,
  ModelInfo,
  NativeReply,
  NativeRequest,
  NativeSocket,
  Provider,
  RelayReply,
  RerankRequest,
  RerankResult,
} from '../core/provider.ts';
import type { Usage } from '../core/usage.ts';
import type { RequestTrace } from '../telemetry/traces.ts';

/** Who is asking, and how to stop. Made by a front door from the HTTP request; knows nothing of HTTP. */
export type Credentials = {
  /** The key as sent, without `Bearer `; undefined when none was. */
  secret: string | undefined;
  requestId: string;
  /** Aborts when the client leaves. */
  readonly signal: AbortSignal;
  /** The same, cheaper to listen to. */
  leaving?: Cancel;
  /** IP address of the client. */
  address: string;
  /** Path pattern of the endpoint: `/v1/chat/completions`. */
  endpoint: string;
  /** `x-viaduct-privacy: local`: this call never leaves the machine. */
  privacy?: 'local';
  /** `x-viaduct-tags`, for the ledger and for routes by tag. */
  tags?: string[];
  /** `x-viaduct-timeout`, milliseconds in total. */
  timeoutMs?: number;
  /** The request's trace, where traces are made. */
  trace?: RequestTrace;
};

/** A chat as a front door hands it over: still in its own protocol, decoded only where no relay is possible. */
export type ChatCall = {
  protocol: Protocol;
  model: string;
  stream: boolean;
  /** The parsed body, for relaying. Absent where a relay makes no sense (stored responses). */
  body?: JsonObject;
  /** Headers that belong to the body's protocol, in lower case, for relaying: `anthropic-beta`. */
  headers?: Record<string, string>;
  /** Body → neutral request; called at most once. Throws invalid_request. */
  decode(): ChatRequest;
};

/** Which target answered, and how many were asked. */
export type Served = {
  provider: string;
  /** The provider's own name of the model. */
  model: string;
  attempts: number;
  report: CallReport;
  /** USD; undefined until the answer is whole, or when the price is unknown. */
  cost?: number;
  /** Milliseconds from `enter` to the beginning of the answer, and the part of them that was ours and not the provider's. */
  elapsedMs?: number;
  overheadMs?: number;
  /** `x-ratelimit-*`. */
  limitHeaders?: Record<string, string>;
  /** Attempts before the one that answered: `openai/gpt-5 provider_timeout 1002ms`. */
  failures?: string[];
};

/** The answer has begun: a failure before this point was thrown, so that the door can still send a status. */
export type ChatAnswer = Served & ({ events: ChatStream } | { relay: RelayReply });
export type Answer<Result> = Served & { result: Result };

/** A name the caller may use as `model`. */
export type ModelEntry = ModelInfo & { provider: string };

/** Who a secret belongs to, and what that one may do. An absent list means "everything". */
export type Identity = {
  /** Owner of what this caller stores: the key's team, else the key, else `local`. */
  owner: string;
  admin: boolean;
  keyId?: string;
  teamId?: string;
  /** Model names as a client writes them; a trailing `*` matches any rest. */
  models?: string[];
  /** Provider names of the configuration. */
  providers?: string[];
  /** The key's calls never leave the machine. */
  privacy?: 'local';
  /** Go into the ledger with those of the request. */
  tags?: string[];
  /** Prompts and answers are kept for so long, ms. */
  keepContentFor?: number;
};

/** Credentials → identity; endpoint and address rules of the key are checked here. Throws invalid_api_key, permission_denied. */
export type Authenticate = (credentials: Credentials) => Identity | Promise<Identity>;

/** What a call will take, guessed before it runs: enough for a reservation. */
export type Estimate = {
  requestId: string;
  /** Public model name. */
  model: string;
  inputTokens: number;
  /** The client's own limit, else a guess. */
  outputTokens: number;
  /** USD at the dearest target of the route; undefined when no price is known. */
  cost: number | undefined;
};

/** A place taken in every limit and budget. Exactly one of `settle` and `release` is called, once. */
export type Admission = {
  /** `x-ratelimit-*` for the reply. */
  headers: Record<string, string>;
  /** Before each attempt: counts it against the provider's own limits. Throws provider_rate_limited: the next target is tried. */
  enterProvider?(provider: string): void | Promise<void>;
  /** The call ended and took this much, failed attempts included; `cost` in USD. */
  settle(usage: Usage, cost: number | undefined): void;
  /** Nothing was used. */
  release(): void;
};

/** Limits and budgets. Throws rate_limit_exceeded or insufficient_quota. */
export type Admit = (identity: Identity, estimate: Estimate) => Admission | Promise<Admission>;

/** One attempt at one target, as the ledger keeps it. */
export type LedgerEntry = {
  /** Unique per attempt. `requestId` may be the client's own and come twice. */
  id: string;
  requestId: string;
  /** 1 = first; 0 = the shadow copy. */
  attempt: number;
  /** Milliseconds since 1970. */
  startedAt: number;
  endpoint: string;
  keyId?: string;
  teamId?: string;
  /** Public name, as asked for. */
  model: string;
  provider: string;
  /** The provider's own name of the model. */
  targetModel: string;
  usage: Usage;
  /** True when the provider told no usage and we counted ourselves. */
  estimated: boolean;
  /** USD; undefined when the price is unknown. */
  cost?: number;
  /** From the attempt's start to the first content; absent when none came. */
  firstTokenMs?: number;
  totalMs: number;
  queueMs?: number;
  loadMs?: number;
  /** Manifest of the local model that answered. */
  digest?: string;
  status: 'ok' | 'error' | 'aborted';
  /** Why it failed. */
  cause?: ErrorCode;
  stream: boolean;
  tags: string[];
  shadow: boolean;
};

/** Puts one entry into the ledger. What it gives resolves when the entry outlives a kill of the process; nobody has to see the end of an answer before. */
export type Account = (entry: LedgerEntry) => Promise<void> | undefined;

/** USD per million tokens. */
export type Price = { input: number; output: number };

/** What models cost. `kind` is the provider's kind, which price lists know; `provider` its name, which overrides use. */
export type Prices = {
  /** USD of one call; a local model's `busyMs` is what its machine cost. undefined when unknown. */
  cost(target: PricedTarget, usage: Usage, busyMs: number): number | undefined;
  /** For routing by price; undefined when unknown. */
  price(target: PricedTarget): Price | undefined;
  /** What the machine costs for a million tokens of a local model, at the speed it had so far; undefined for what is not local. */
  machinePrice?(target: PricedTarget): Price | undefined;
};
export type PricedTarget = { provider: string; kind: string; model: string };

/** A caller who has been let in. */
export type Caller = {
  readonly requestId: string;
  readonly signal: AbortSignal;
  /** Owner of what this caller stores: the key's team, else the key, else `local`. Another owner's id is a 404. */
  readonly owner: string;
  /** May use /admin. */
  readonly admin: boolean;
  chat(call: ChatCall): Promise<ChatAnswer>;
  countTokens(call: ChatCall): Promise<Answer<number>>;
  embed(request: EmbedRequest): Promise<Answer<EmbedResult>>;
  rerank(request: RerankRequest): Promise<Answer<RerankResult>>;
  image(request: ImageRequest): Promise<Answer<JsonObject>>;
  models(): Promise<ModelEntry[]>;
  /** One name, resolved as a call would. Throws model_not_found, with what would make the name work. */
  model(name: string): Promise<ModelEntry>;
  /** How many of a name's targets speak `protocol` themselves. Throws as `model` does. */
  speaks(protocol: Protocol, model: string): Promise<'all' | 'some' | 'none'>;
  /** The shortest context of a name's targets, as far as it is known, in tokens. Throws as `model` does. */
  contextLength(model: string): Promise<number | undefined>;
  /** A provider's own API, any path: see Provider.native. */
  native(provider: string, request: NativeRequest): Promise<Served & { reply: NativeReply }>;
  nativeSocket(provider: string, request: NativeRequest): Promise<Served & { connection: NativeSocket }>;
};

export type Gateway = {
  /** Let a caller in. Front doors do this before they read a body. Throws invalid_api_key. */
  enter(credentials: Credentials): Promise<Caller>;
  /** Go on with another configuration; calls that run end with the old one. */
  configure(
    setup: { providers: Map<string, Provider>; models: Record<string, ModelSettings> } & Pick<
      GatewayDeps,
      'admit' | 'prices'
    >,
  ): void;
  /** What is known of every target that was configured or used: for /metrics and the console. */
  health(): TargetHealth[];
};

export type TargetHealth = {
  /** `openai/gpt-5`. */
  target: string;
  state: 'closed' | 'half-open' | 'open';
  busy: number;
  firstTokenMs?: number;
};

/** What the gateway is put together from. */
/** A prompt and its answer, to be kept. */
export type Kept = {
  requestId: string;
  owner: string;
  /** JSON, as sent and as answered. */
  request: string;
  answer: string;
  /** Milliseconds. */
  keepFor: number;
};
export type KeepContent = (kept: Kept) => void;

export type GatewayDeps = {
  providers: Map<string, Provider>;
  /** Absent: everybody is let in. */
  authenticate?: Authenticate;
  /** Absent: no limits. */
  admit?: Admit;
  /** Absent: nothing is kept. */
  account?: Account;
  /** Absent: no prices are known. */
  prices?: Prices;
  /** The configuration's `models` section; a name that is not in it may still be provider/model, a local tag or a hosted name. */
  models?: Record<string, ModelSettings>;
  /** Takes prompts and answers where a key or a route asks for it. Absent: none are kept. */
  keep?: KeepContent;
  /** Told once about every call, when it is over: logs and metrics. */
  observe?: (record: CallRecord) => void;
  /** Begins the trace of a call whose credentials bring none: turns of a WebSocket. Absent: no traces are made. */
  trace?: (credentials: Credentials) => RequestTrace;
  /** 0 ≤ n < 1: who is picked for a weighted route, a canary, a shadow. */
  random?: () => number;
};

/** One call as a whole, all attempts together. */
export type CallRecord = {
  requestId: string;
  endpoint: string;
  operation: Operation;
  owner: string;
  keyId?: string | undefined;
  teamId?: string | undefined;
  model: string;
  /** Who answered, or was asked last; absent when nobody was. */
  provider?: string | undefined;
  kind?: string | undefined;
  targetModel?: string | undefined;
  attempts: number;
  stream: boolean;
  status: 'ok' | 'error' | 'aborted';
  error?: ViaductError | undefined;
  usage: Usage;
  cost?: number | undefined;
  /** Milliseconds since 1970; the others in milliseconds. */
  startedAt: number;
  totalMs: number;
  firstTokenMs?: number | undefined;
  overheadMs: number;
};

/** What is asked of a model, in OpenTelemetry's words where it has one. */
export type Operation = 'chat' | 'count_tokens' | 'embeddings' | 'rerank' | 'image_generation' | 'native';
