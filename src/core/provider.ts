/** The seam between the gateway and everything that can run a model, the local engine included. */
import type { Duplex, Readable } from 'node:stream';
import type { ChatRequest, ChatStream, Protocol } from './chat.ts';
import type { ViaductError } from './errors.ts';
import type { JsonObject } from './json.ts';
import type { Usage } from './usage.ts';

/** See lib/cancel.ts. */
export type Cancel = {
  readonly aborted: boolean;
  readonly reason: unknown;
  readonly signal: AbortSignal;
  onAbort(listener: (reason: unknown) => void): () => void;
};

/** What a provider is told about the call besides the request. */
export type CallContext = {
  /** Aborts when the client leaves, or a timeout of the route passes. The provider must stop the upstream at once. */
  readonly signal: AbortSignal;
  /** The same, cheaper to listen to; absent where somebody calls a provider without the gateway. */
  cancel?: Cancel;
  requestId: string;
  /** The call must not leave this machine, not even to fetch a picture that it names by URL. */
  privacy?: 'local' | undefined;
  /** Where traces are made: headers that put what the provider does below this attempt. */
  traceHeaders?: Record<string, string>;
  /** Provider fills in what only it knows; front doors and the ledger read it. */
  report: CallReport;
};

/** Filled in by the provider while it works. */
export type CallReport = {
  /** Milliseconds in a queue before the work began. */
  queueMs?: number;
  /** Milliseconds a local model took to load for this call. */
  loadMs?: number;
  /** Digest of the local model's manifest: `sha256:…`. */
  digest?: string;
};

/** A request in the client's own protocol, to pass through unchanged but for the model's name. */
export type RelayRequest = {
  protocol: Protocol;
  /** The parsed body with `model` already set to the target's own name. */
  body: JsonObject;
  stream: boolean;
  /** Headers of the client's that belong to the protocol, in lower case: `anthropic-beta`. */
  headers?: Record<string, string>;
};

/** The upstream's answer, status 2xx: headers worth keeping, and the body untouched. */
export type RelayReply = {
  status: number;
  headers: Record<string, string>;
  /**
   * A stream: one buffer per read of the upstream; throws a ViaductError when the upstream breaks. Else the whole
   * reply, which is there already.
   */
  body: AsyncIterable<Buffer> | [whole: Buffer];
  /** Reads along; the gateway feeds it every byte of `body`. */
  scanner: RelayScanner;
  /** Takes out again what the provider was asked for beyond the client's wish; applied after the scanner. */
  filter?: RelayFilter;
};

/** Bytes on their way to the client → the bytes it gets. `end` gives what was still held back. */
export type RelayFilter = { push(chunk: Buffer): Buffer; end(): Buffer };

/** Reads usage, finish and errors out of relayed bytes without changing them. Every protocol has its own. */
export type RelayScanner = {
  push(chunk: Buffer): void;
  /** No more bytes will come. */
  end?(): void;
  /** Something of the answer itself has been seen: text, a tool call, a thought. */
  readonly contentSeen: boolean;
  /** The answer is complete. */
  readonly done: boolean;
  readonly usage?: Usage | undefined;
  /** The protocol's own word for why it ended. */
  readonly finish?: string | undefined;
  /** The upstream said so inside a 200. */
  readonly error?: ViaductError | undefined;
};

/** A client's request as it came, its own credentials and hop-by-hop headers taken out. */
export type NativeRequest = {
  method: string;
  /** What follows `/providers/NAME`: path and query, beginning with a slash. */
  path: string;
  headers: Record<string, string>;
  body?: Readable;
};
export type NativeReply = {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: AsyncIterable<Buffer>;
};
export type NativeSocket = {
  headers: Record<string, string | string[] | undefined>;
  socket: Duplex;
  /** Hears what the client sends, where somebody has to. */
  heard?: (chunk: Buffer) => void;
};

export type EmbedRequest = {
  model: string;
  input: (string | number[])[];
  dimensions?: number;
  /** Cut inputs beyond the context instead of failing: Ollama's `truncate`. */
  truncate?: boolean;
  local?: { numCtx?: number; keepAlive?: number };
  user?: string;
};
export type EmbedResult = { model: string; vectors: Float32Array[]; usage: Usage };

export type RerankRequest = { model: string; query: string; documents: string[]; topN?: number };
export type RerankResult = { model: string; results: { index: number; score: number }[]; usage: Usage };

export type ImageRequest = { model: string; body: JsonObject };

/** What a model can do, as far as the provider knows; an absent field means unknown. */
export type ModelInfo = {
  /** The provider's own name for it. */
  id: string;
  /** Milliseconds since 1970. */
  created?: number;
  contextLength?: number;
  maxOutput?: number;
  capabilities?: Capability[];
  ownedBy?: string;
};
export type Capability = 'completion' | 'tools' | 'vision' | 'thinking' | 'embedding' | 'insert' | 'json' | 'rerank';

/** An absent method means "cannot do that"; nobody writes a stub that throws "not supported". */
export interface Provider {
  /** Name in the configuration: `gpu-box`. */
  readonly name: string;
  /** Word of the configuration: `vllm`. */
  readonly kind: string;
  /** Whether the provider itself speaks `protocol` for that model, so that the gateway can relay. */
  relays(protocol: Protocol, model: string): boolean;
  /** Requests that would wait before they start, and how long the next would wait (ms): what overflow looks at. */
  load?(model: string): { queued: number; expectedWaitMs: number };
  chat?(request: ChatRequest, context: CallContext): ChatStream;
  /**
   * Gives events instead when the upstream answered in another form than asked for (JSON to a stream, or a stream to a
   * unary request).
   */
  relay?(request: RelayRequest, context: CallContext): Promise<RelayReply | { events: ChatStream }>;
  /** Any request below the provider's base URL, with the provider's own credentials. Whatever status comes back is the answer. */
  native?(request: NativeRequest, context: CallContext): Promise<NativeReply>;
  /** The same for a WebSocket: the raw connection after the upstream's 101. */
  nativeSocket?(request: NativeRequest, context: CallContext): Promise<NativeSocket>;
  /** Tokens that the request would take as input. */
  countTokens?(request: ChatRequest, context: CallContext): Promise<number>;
  embed?(request: EmbedRequest, context: CallContext): Promise<EmbedResult>;
  rerank?(request: RerankRequest, context: CallContext): Promise<RerankResult>;
  /** OpenAI's images body in, OpenAI's images body out. */
  image?(request: ImageRequest, context: CallContext): Promise<JsonObject>;
  models?(signal: AbortSignal): Promise<ModelInfo[]>;
  /** What is known of one model without asking anybody; undefined when the provider has no such model. */
  describe?(model: string): ModelInfo | undefined;
  /** Let go of connections and processes; calls that run come to their end first. */
  close?(): Promise<void>;
}
