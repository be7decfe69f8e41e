/** What every provider behind HTTP shares: one request with the right key, failures in our words, replies as events or bytes. */
import { isUtf8 } from 'node:buffer';
import { buffer } from 'node:stream/consumers';
import type { ChatEvent, ChatRequest, ChatStream } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { CallContext, NativeRequest, Provider, RelayReply, RelayRequest } from '../core/provider.ts';
import { type Cancel, cancelOf } from '../lib/cancel.ts';
import {
  type ByteStream,
  createHttpClient,
  failingWith,
  type HttpReply,
  type HttpRequest,
  TooLarge,
} from '../lib/http-client.ts';
import { asksForProxy } from '../lib/proxy.ts';
import { createSseParser, SseError } from '../lib/sse.ts';
import type { Dialect, Headers } from './define.ts';
import { createKeyring } from './keyring.ts';
import { renameTools } from './tool-names.ts';

export type HttpProviderOptions = {
  name: string;
  kind: string;
  baseUrl: string;
  keys: string[];
  /** Key → headers. Absent: `authorization: Bearer KEY`, nothing without a key. */
  authorize?: (key: string) => Record<string, string>;
  /** Adds headers that depend on the whole request. `url` is the address it goes to. */
  sign?: (request: {
    url: string;
    method: string;
    headers: Record<string, string>;
    body?: string | Buffer;
  }) => Promise<void> | void;
  /** Sent with every request. */
  headers?: Record<string, string> | undefined;
  /** Seconds. */
  connectTimeout?: number | undefined;
  dialects: readonly [Dialect, ...Dialect[]];
  /** The body about to be sent, relayed or not → the body this provider wants. */
  adapt?: (body: JsonObject, dialect: Dialect) => JsonObject;
  /** What needs I/O before a neutral request can be encoded: pictures that this provider does not fetch itself. */
  prepare?: (request: ChatRequest, signal: AbortSignal) => Promise<ChatRequest>;
  /** True for a body that this provider answers only with a stream, whatever the client wants. */
  streamsOnly?: (body: JsonObject) => boolean;
};

/** What of a call's context a request needs. */
type Asking = Pick<CallContext, 'signal' | 'cancel' | 'traceHeaders'>;

/** For what a provider can do besides chat. */
export type Upstream = {
  /** POST JSON below the base URL, get JSON. Throws as chat does. */
  json(path: string, body: JsonObject, context: Asking): Promise<JsonObject>;
  /** The same, with the reply's headers. */
  post(path: string, body: JsonObject, context: Asking): Promise<{ body: JsonObject; headers: Headers }>;
  get(path: string, signal: AbortSignal): Promise<JsonObject>;
};

export type Extras = Pick<Provider, 'embed' | 'rerank' | 'image' | 'models' | 'countTokens' | 'describe'>;

/** Largest reply that is not a stream: 4,096 pictures aside, nothing real comes near it. */
const replyLimit = 128 * 2 ** 20;
const errorLimit = 64 * 1024;
const keyRestMs = 60_000;
const rateLimitedRestMs = 5_000;

/**
 * A provider that speaks `dialects` over HTTP. Failures: provider_unavailable (no connection, it broke, 5xx), provider_invalid_response (not what
 * the protocol says), provider_account (it refused our key), and what the dialect's decodeError makes of a status.
 */
export function createHttpProvider(
  options: HttpProviderOptions,
  extras: (upstream: Upstream) => Extras = () => ({}),
): Provider {
  const { name, kind, dialects, adapt, prepare, streamsOnly } = options;
  const [main] = dialects;
  const call = createCaller(options);
  const byProtocol = new Map(
    dialects.flatMap((dialect) => (dialect.createRelayScanner ? [[dialect.protocol, dialect]] : [])),
  );

  const post = (
    dialect: Dialect,
    model: string,
    stream: boolean,
    body: JsonObject,
    context: Asking,
    headers?: Record<string, string>,
  ) =>
    call.json(
      'POST',
      typeof dialect.path === 'string' ? dialect.path : dialect.path(model, stream),
      JSON.stringify(adapt ? adapt(body, dialect) : body),
      cancelIn(context),
      dialect,
      context.traceHeaders ? { ...headers, ...context.traceHeaders } : headers,
    );

  const parsed = async (reply: HttpReply) => parseObject(name, await wholeBody(name, reply.body));

  return {
    name,
    kind,
    relays(protocol, model) {
      const dialect = byProtocol.get(protocol);
      return dialect !== undefined && (dialect.takes?.(model) ?? true);
    },
    async *chat(request: ChatRequest, context: CallContext): ChatStream {
      const renamed = renameTools(request);
      const named = renamed?.request ?? request;
      const prepared = prepare ? await prepare(named, context.signal) : named;
      const wished = main.encodeRequest(prepared);
      const mustStream = !request.stream && streamsOnly?.(wished) === true;
      const body = mustStream ? main.encodeRequest({ ...prepared, stream: true }) : wished;
      const reply = await post(main, request.model, request.stream || mustStream, body, context);
      for await (const batch of decodeReply(name, main, reply)) {
        const events = identified(batch, context.requestId, request.model);
        yield renamed ? renamed.restore(events) : events;
      }
    },
    async relay({ protocol, body, stream, headers }: RelayRequest, context: CallContext) {
      const dialect = byProtocol.get(protocol);
      if (!dialect?.createRelayScanner) throw new ViaductError('internal_error', `${name} does not relay ${protocol}.`);
      if (!stream && streamsOnly?.(body)) {
        const streamed = dialect.forRelay?.({ ...body, stream: true }, true).body ?? { ...body, stream: true };
        const reply = await post(dialect, String(body['model']), true, streamed, context, headers);
        return { events: decodeReply(name, dialect, reply) };
      }
      const prepared = dialect.forRelay?.(body, stream);
      const reply = await post(dialect, String(body['model']), stream, prepared?.body ?? body, context, headers);
      const form = formOf(reply.headers);
      if (form === 'page') throw notTheProtocol(name, reply.body);
      if (form !== (stream ? 'stream' : 'json') && form !== 'unknown')
        return { events: decodeReply(name, dialect, reply) };
      const relayed: RelayReply = {
        status: reply.status,
        headers: { 'content-type': String(reply.headers['content-type'] ?? defaultType(stream)) },
        body: stream
          ? failingWith(reply.body, (error) => readError(name, error))
          : [inUtf8(name, await wholeBody(name, reply.body))],
        scanner: dialect.createRelayScanner(),
      };
      if (prepared?.filter) relayed.filter = prepared.filter;
      return relayed;
    },
    native: async (request, context) => call.raw(traced(request, context), cancelIn(context)),
    nativeSocket: (request, context) => call.socket(traced(request, context), cancelIn(context)),
    close: call.close,
    ...extras({
      json: async (path, body, context) =>
        parsed(await call.json('POST', path, JSON.stringify(body), cancelIn(context), main, context.traceHeaders)),
      async post(path, body, context) {
        const reply = await call.json(
          'POST',
          path,
          JSON.stringify(body),
          cancelIn(context),
          main,
          context.traceHeaders,
        );
        return { body: await parsed(reply), headers: reply.headers as Headers };
      },
      get: async (path, signal) => parsed(await call.json('GET', path, undefined, cancelOf(signal), main)),
    }),
  };
}

/** Protocols without an id or a model in their replies (Bedrock) leave them empty: ours stand in. */
function identified(batch: readonly ChatEvent[], id: string, model: string): readonly ChatEvent[] {
  const [first] = batch;
  if (first?.type !== 'start' || (first.id && first.model)) return batch;
  return [{ ...first, id: first.id || id, model: first.model || model }, ...batch.slice(1)];
}

const traced = (request: NativeRequest, { traceHeaders }: Asking): NativeRequest =>
  traceHeaders ? { ...request, headers: { ...request.headers, ...traceHeaders } } : request;

/** Never touches `signal` when it need not: asking for it makes one. */
const cancelIn = (context: Asking) => context.cancel ?? cancelOf(context.signal);

const defaultType = (stream: boolean) => (stream ? 'text/event-stream; charset=utf-8' : 'application/json');

/** Requests with a key of the ring; the next key when the provider refuses one. */
function createCaller({
  name,
  baseUrl,
  keys,
  authorize,
  sign,
  headers: fixed,
  connectTimeout,
  dialects,
}: HttpProviderOptions) {
  const { origin, pathname, search } = new URL(baseUrl);
  const base = pathname.replace(/\/+$/, '');
  const client = createHttpClient(origin, {
    ...(connectTimeout && { connectTimeoutMs: connectTimeout * 1000 }),
    proxied: asksForProxy(origin, process.env),
  });
  const ring = createKeyring(keys);
  const authorized = authorize ?? ((key: string) => (key ? { authorization: `Bearer ${key}` } : {}));
  // The query of the base URL (`?api-version=…`) goes with every path.
  const locate = (path: string) => base + (search ? path + (path.includes('?') ? '&' : '?') + search.slice(1) : path);

  const send = async (request: HttpRequest) => {
    try {
      return await client.send(request);
    } catch (error) {
      throw connectionError(name, error, request.cancel);
    }
  };
  /** By key, made once: nearly every request has the same. */
  const usualHeaders = new Map<string, Record<string, string>>();
  const headersFor = (key: string, hasBody: boolean, own: Record<string, string> | undefined) => {
    const known = hasBody && !own ? usualHeaders.get(key) : undefined;
    if (known) return known;
    const type = hasBody ? { 'content-type': 'application/json' } : {};
    const headers = { ...type, ...fixed, ...(own && withOwn(fixed, own)), ...authorized(key) };
    if (hasBody && !own) usualHeaders.set(key, headers);
    return headers;
  };
  const signed = async (request: HttpRequest & { body?: string | Buffer }) => {
    try {
      await sign?.({ url: origin + request.path, ...request });
    } catch (cause) {
      throw new ViaductError(
        'provider_account',
        `The credentials of the provider ${name} cannot be used; its administrator has to mend that.`,
        { cause },
      );
    }
    return request;
  };
  /** A native path may already begin with that of the base URL; Google has its transfers of files beside it: `/upload/v1beta/files`. */
  const locateNative = (path: string) => {
    const isWhole = ['', '/upload', '/download'].some((before) =>
      `${path.split('?', 1)[0]}/`.startsWith(`${before}${base}/`),
    );
    return base !== '' && isWhole ? path : locate(path);
  };
  const rawHeaders = (request: NativeRequest) => ({ ...request.headers, ...fixed, ...authorized(ring.take()) });

  return {
    /** Throws unless the status is 2xx. */
    async json(
      method: string,
      path: string,
      body: string | undefined,
      cancel: Cancel,
      dialect: Dialect,
      own?: Record<string, string>,
    ) {
      for (;;) {
        const key = ring.take();
        const headers = headersFor(key, body !== undefined, own);
        const request: HttpRequest & { body?: string } = { method, path: locate(path), headers, cancel };
        if (body !== undefined) request.body = body;
        const reply = await send(sign ? await signed({ ...request, headers: { ...headers } }) : request);
        if (reply.status < 300) return reply;
        const error = await failure(name, reply, dialect, key);
        const restMs = restAfter(error, keys.length);
        if (restMs === 0) throw error;
        ring.rest(key, restMs);
        if (!ring.hasFresh()) throw error;
      }
    },
    async raw(request: NativeRequest, cancel: Cancel) {
      const { method, body } = request;
      const path = locateNative(request.path);
      const headers = rawHeaders(request);
      if (!sign) return send({ method, path, headers, cancel, ...(body && { body }) });
      // A signature is over the whole body, so it cannot stream.
      const whole = body && (await buffer(body));
      return send(await signed({ method, path, headers, cancel, ...(whole && { body: whole }) }));
    },
    async socket(request: NativeRequest, cancel: Cancel) {
      const path = locateNative(request.path);
      try {
        return await client.upgrade({ method: 'GET', path, headers: rawHeaders(request), cancel });
      } catch (error) {
        throw connectionError(name, error, cancel);
      }
    },
    close: () => client.close(),
    dialect: dialects[0],
  };
}

/** Headers of one request beside those of all: both values where they meet, as lists are written. Source: RFC 9110, 5.3 */
const withOwn = (fixed: Record<string, string> | undefined, own: Record<string, string>) =>
  Object.fromEntries(
    Object.entries(own).map(([name, value]) => [name, fixed?.[name] ? `${fixed[name]},${value}` : value]),
  );

/** Milliseconds for which the key that met `error` is of no use: refused, or over its limit while others may not be. */
function restAfter(error: ViaductError, keys: number): number {
  if (error.code === 'provider_account') return keyRestMs;
  if (keys > 1 && error.code === 'provider_rate_limited') return (error.retryAfter ?? 0) * 1000 || rateLimitedRestMs;
  return 0;
}

/** What went wrong below HTTP. The address stays out of the message: it may be an internal one. */
function connectionError(name: string, error: unknown, cancel: Cancel): unknown {
  if (cancel.aborted) return cancel.reason;
  if (error instanceof ViaductError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'UND_ERR_CONNECT_TIMEOUT')
    return new ViaductError('provider_timeout', `The provider ${name} did not take the connection in time.`, {
      cause: error,
    });
  const refused = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].includes(code);
  return new ViaductError(
    'provider_unavailable',
    refused
      ? `The provider ${name} cannot be reached. Is its base_url right, and is it running?`
      : `The connection to the provider ${name} broke.`,
    { cause: error },
  );
}

/** A status of 300 and above as our error. Guards what a dialect may have got wrong: a passing fault is never the client's. */
async function failure(name: string, reply: HttpReply, dialect: Dialect, key: string): Promise<ViaductError> {
  const { status, headers } = reply;
  if (status < 400) {
    reply.body.cancel();
    return new ViaductError('provider_unavailable', `The provider ${name} redirects elsewhere: correct its base_url.`);
  }
  const text = await head(reply.body);
  const error = dialect.decodeError(status, headers as Headers, text);
  const passing = status === 408 || status === 409 || status === 425 || status === 429 || status >= 500;
  const retryAfter = error.retryAfter ?? retryAfterOf(headers as Headers);
  if (passing && !error.fallback)
    return new ViaductError('provider_unavailable', `The provider ${name} failed with status ${status}.`, {
      retryAfter,
      cause: error,
    });
  if (key && error.message.includes(key))
    return new ViaductError(error.code, `The provider ${name} failed with status ${status}.`, {
      retryAfter,
      param: error.param,
    });
  if (retryAfter === error.retryAfter) return error;
  return new ViaductError(error.code, error.message, { retryAfter, param: error.param, cause: error.cause });
}

/** Seconds, from `retry-after-ms` or `retry-after` as seconds or a date. Source: RFC 9110, 10.2.3 */
export function retryAfterOf(headers: Headers, now: () => number = Date.now): number | undefined {
  const ms = Number(headers['retry-after-ms']);
  if (ms > 0) return ms / 1000;
  const text = headers['retry-after'];
  if (typeof text !== 'string') return undefined;
  const seconds = /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : (Date.parse(text) - now()) / 1000;
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined;
}

/** The first 64 KB of an error's body; what breaks on the way is left out. */
async function head(body: ByteStream): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= errorLimit) break;
    }
  } catch {}
  return Buffer.concat(chunks).subarray(0, errorLimit).toString();
}

/** What kind of body the headers promise. */
function formOf(headers: Headers): 'stream' | 'json' | 'page' | 'unknown' {
  const type = String(headers['content-type'] ?? '');
  if (type.includes('event-stream') || type.includes('ndjson')) return 'stream';
  if (type.includes('json')) return 'json';
  if (type.includes('html')) return 'page';
  return 'unknown';
}

function notTheProtocol(name: string, body?: ByteStream): ViaductError {
  body?.cancel();
  return new ViaductError(
    'provider_invalid_response',
    `The provider ${name} answered with something that is not its API's reply.`,
  );
}

async function wholeBody(name: string, body: ByteStream): Promise<Buffer> {
  try {
    return await body.whole(replyLimit);
  } catch (error) {
    throw readError(name, error);
  }
}

/** Failures while a body is read: ours pass, an abort's reason is one of them. */
function readError(name: string, error: unknown): ViaductError {
  if (error instanceof ViaductError) return error;
  if (error instanceof TooLarge || error instanceof SseError)
    return new ViaductError('provider_invalid_response', `The provider ${name} sent more than a reply may hold.`, {
      cause: error,
    });
  return new ViaductError(
    'provider_unavailable',
    `The connection to the provider ${name} broke in the middle of its answer.`,
    {
      cause: error,
    },
  );
}

function parseObject(name: string, bytes: Buffer): JsonObject {
  try {
    const body: unknown = isUtf8(bytes) && JSON.parse(bytes.toString());
    if (body !== null && typeof body === 'object' && !Array.isArray(body)) return body as JsonObject;
  } catch {}
  throw notTheProtocol(name);
}

/** A reply of either form as events: one batch per read. */
async function* decodeReply(name: string, dialect: Dialect, { headers, body }: HttpReply): ChatStream {
  const form = formOf(headers);
  if (form === 'page') throw notTheProtocol(name, body);
  const events: ChatEvent[] = [];
  try {
    if (form === 'json') {
      yield dialect.decodeResponse(parseObject(name, await wholeBody(name, body)));
      return;
    }
    const frames = dialect.createFrames?.() ?? createSseParser();
    const decoder = dialect.createStreamDecoder();
    for await (const chunk of body) {
      for (const message of frames.push(chunk)) for (const event of decoder.push(message)) events.push(event);
      if (events.length > 0) yield events.splice(0);
    }
    for (const message of frames.end()) for (const event of decoder.push(message)) events.push(event);
    for (const event of decoder.end()) events.push(event);
  } catch (error) {
    throw readError(name, error);
  }
  if (events.length > 0) yield events;
}

/** A whole reply of text; the scanner says whether it is an answer. */
function inUtf8(name: string, bytes: Buffer): Buffer {
  if (!isUtf8(bytes)) throw notTheProtocol(name);
  return bytes;
}
