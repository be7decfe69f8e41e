/**
 * HTTP towards one server, as cheap as Node allows: undici's dispatch, no promise or web stream per chunk.
 * Knows nothing of models. Source: https://undici.nodejs.org/#/docs/api/Dispatcher
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { type Dispatcher, EnvHttpProxyAgent, Pool } from 'undici';
import type { Cancel } from './cancel.ts';

export type HttpClientOptions = {
  /** Milliseconds to open a connection. */
  connectTimeoutMs?: number;
  /** Through the proxy that the environment names, unless NO_PROXY has the host: see proxy.ts. */
  proxied?: boolean;
};

export type HttpRequest = {
  method: string;
  /** Path and query, beginning with a slash. */
  path: string;
  headers: Record<string, string>;
  body?: string | Buffer | Readable;
  /** Ends the request, or the reply's body, at once; what is thrown is its reason. */
  cancel: Cancel;
};

export type HttpReply = { status: number; headers: IncomingHttpHeaders; body: ByteStream };

/** A reply's body: one buffer per read of the socket. Leaving the loop early closes the connection. */
export type ByteStream = AsyncIterable<Buffer> & {
  /** The whole body. Throws TooLarge beyond `limit` bytes. */
  whole(limit: number): Promise<Buffer>;
  /** Give the rest up. */
  cancel(): void;
};

export type HttpClient = {
  /** Resolves when the headers are there. Throws undici's errors, or the signal's reason. */
  send(request: HttpRequest): Promise<HttpReply>;
  /** The same, for a WebSocket: the raw connection after a 101. */
  upgrade(request: HttpRequest): Promise<{ headers: IncomingHttpHeaders; socket: Duplex }>;
  /** Lets what runs end, then closes the connections. */
  close(): Promise<void>;
};

export class TooLarge extends Error {
  override readonly name = 'TooLarge';
}

/** The same body, its failures as `explain` has them. Not a generator: that would cost another promise for every read. */
export function failingWith(
  body: ByteStream,
  explain: (error: unknown) => unknown | Promise<unknown>,
): AsyncIterable<Buffer> {
  const source = body[Symbol.asyncIterator]();
  const iterator: AsyncIterator<Buffer> = {
    next: () =>
      source.next().catch(async (error: unknown) => {
        throw await explain(error);
      }),
    async return() {
      body.cancel();
      return { done: true, value: undefined };
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}

/** `origin`: scheme, host and port. Connections are kept alive and never pipelined: a slow answer holds up no other. */
export function createHttpClient(origin: string, options: HttpClientOptions = {}): HttpClient {
  const { connectTimeoutMs = 10_000, proxied = false } = options;
  const settings = {
    allowH2: false,
    pipelining: 1,
    connect: { timeout: connectTimeoutMs },
    // Whoever sends knows how long it will wait; two timers per request that never fire cost more than they give.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  const tunnel = { connectTimeout: connectTimeoutMs, requestTls: settings.connect };
  const pool: Dispatcher = proxied
    ? new EnvHttpProxyAgent({ ...settings, ...tunnel }).compose(towards(origin))
    : new Pool(origin, settings);
  return {
    send: (request) =>
      new Promise((resolve, reject) => {
        const { cancel } = request;
        if (cancel.aborted) return reject(cancel.reason);
        pool.dispatch(optionsOf(request), createReceiver(cancel, resolve, reject));
      }),
    upgrade: ({ path, method, headers, cancel }) =>
      pool.upgrade({ path, method, headers, signal: cancel.signal, protocol: 'websocket' }),
    close: () => pool.close(),
  };
}

/** An agent serves many origins and must be told which. */
const towards =
  (origin: string): Dispatcher.DispatcherComposeInterceptor =>
  (dispatch) =>
  (options, handler) =>
    dispatch({ ...options, origin }, handler);

const optionsOf = ({ path, method, headers, body }: HttpRequest): Dispatcher.DispatchOptions => ({
  path,
  method: method as Dispatcher.HttpMethod,
  headers,
  body: body ?? null,
});

/** Bytes that may lie unread before the upstream is told to wait. */
const highWater = 256 * 1024;

function createReceiver(
  cancel: Cancel,
  resolve: (reply: HttpReply) => void,
  reject: (error: unknown) => void,
): Dispatcher.DispatchHandler {
  let controller: Dispatcher.DispatchController | undefined;
  let started = false;
  let ended = false;
  let failure: { error: unknown } | undefined;
  let chunks: Buffer[] = [];
  let size = 0;
  let wake: (() => void) | undefined;

  const forget = cancel.onAbort((reason) => stop(reason));

  const settle = (error?: { error: unknown }) => {
    if (ended) return;
    ended = true;
    failure = error;
    forget();
    if (!started && error) reject(error.error);
    wake?.();
  };
  const stop = (reason: unknown) => {
    chunks = [];
    size = 0;
    settle({ error: reason });
    controller?.abort(reason instanceof Error ? reason : new Error('aborted'));
  };

  /** What has come since the last call, as one buffer. */
  const take = () => {
    const [only] = chunks;
    const all = chunks.length === 1 && only ? only : Buffer.concat(chunks, size);
    chunks = [];
    size = 0;
    if (controller?.paused) controller.resume();
    return all;
  };
  const arrival = () =>
    new Promise<void>((done) => {
      wake = () => {
        wake = undefined;
        done();
      };
    });

  const iterator: AsyncIterator<Buffer> = {
    async next() {
      // Not a loop over `await`: what is there already is handed out in the same turn.
      while (size === 0 && !ended) await arrival();
      if (size > 0) return { done: false, value: take() };
      if (failure) throw failure.error;
      return { done: true, value: undefined };
    },
    async return() {
      stop(new Error('The reader left.'));
      return { done: true, value: undefined };
    },
  };
  const body: ByteStream = {
    [Symbol.asyncIterator]: () => iterator,
    cancel: () => stop(new Error('The reader left.')),
    async whole(limit) {
      while (!ended) {
        if (size > limit) break;
        if (controller?.paused) controller.resume();
        await arrival();
      }
      if (failure) throw failure.error;
      if (size > limit) {
        stop(new Error('too large'));
        throw new TooLarge(`The reply is larger than ${limit} bytes.`);
      }
      return take();
    },
  };

  return {
    onRequestStart(given) {
      controller = given;
      if (ended) given.abort(new Error('aborted'));
    },
    onResponseStart(_controller, status, headers) {
      if (status < 200) return;
      started = true;
      resolve({ status, headers, body });
    },
    onResponseData(given, chunk) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > highWater) given.pause();
      wake?.();
    },
    onResponseEnd() {
      settle();
    },
    onResponseError(_controller, error) {
      settle({ error });
    },
  };
}
