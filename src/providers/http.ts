/**
 * What every provider behind HTTP shares: one request with the right key (http/keyed-client.ts), failures in our words
 * (http/failures.ts), replies as events or bytes (http/reply.ts).
 */
import type { ChatEvent, ChatRequest, ChatStream } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { CallContext, NativeRequest, Provider, RelayReply, RelayRequest } from '../core/provider.ts';
import { cancelOf } from '../lib/cancel.ts';
import type { HttpReply } from '../lib/http-client.ts';
import type { Dialect, Headers } from './define.ts';
import { notTheProtocol, readError } from './http/failures.ts';
import { createKeyedClient, type KeyedClientOptions } from './http/keyed-client.ts';
import { decodeReply, formOf, inUtf8, parseObject, wholeBody } from './http/reply.ts';
import { renameTools } from './tool-names.ts';

export type HttpProviderOptions = KeyedClientOptions & {
  kind: string;
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
  const call = createKeyedClient(options);
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
          ? reply.body.failingWith((error) => readError(name, error))
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
