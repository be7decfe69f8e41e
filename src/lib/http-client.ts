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
  /** The connection serves nothing after this: for servers that close it whatever they say. */
  closes?: boolean;
};

export type HttpReply = { status: number; headers: IncomingHttpHeaders; body: ByteStream };

/** A reply's body: one buffer per read of the socket. Leaving the loop early closes the connection. */
export type ByteStream = AsyncIterable<Buffer> & {
  /** The same body, its failures as `explain` has them. */
  failingWith(explain: Explain): AsyncIterable<Buffer>;
  /** The whole body. Throws TooLarge beyond `limit` bytes. */
  whole(limit: number): Promise<Buffer>;
  /** Give the rest up. */
  cancel(): void;
};

/** A failure → what is thrown for it. */
type Explain = (error: unknown) => unknown | Promise<unknown>;

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
        pool.dispatch(optionsOf(request), new Receiver(cancel, resolve, reject));
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

function optionsOf({ path, method, headers, body, closes }: HttpRequest): Dispatcher.DispatchOptions {
  const options: Dispatcher.DispatchOptions = {
    path,
    method: method as Dispatcher.HttpMethod,
    headers,
    body: body ?? null,
  };
  if (closes) options.reset = true;
  return options;
}

/** Bytes that may lie unread before the upstream is told to wait. */
const highWater = 256 * 1024;

/**
 * One exchange: undici's handler, the reply's body and its iterator in one object, because one is made for every request.
 * What came between two reads is handed out as one buffer.
 */
class Receiver implements Dispatcher.DispatchHandler, ByteStream, AsyncIterator<Buffer> {
  readonly #resolve: (reply: HttpReply) => void;
  readonly #reject: (error: unknown) => void;
  readonly #forget: () => void;
  #controller: Dispatcher.DispatchController | undefined = undefined;
  #started = false;
  #ended = false;
  #failure: { error: unknown } | undefined = undefined;
  #explain: Explain | undefined = undefined;
  #chunks: Buffer[] = [];
  #size = 0;
  #wake: (() => void) | undefined = undefined;

  constructor(cancel: Cancel, resolve: (reply: HttpReply) => void, reject: (error: unknown) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#forget = cancel.onAbort((reason) => this.#stop(reason));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#ended) controller.abort(new Error('aborted'));
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.#started = true;
    this.#resolve({ status, headers, body: this });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size > highWater) controller.pause();
    this.#wake?.();
  }

  onResponseEnd(): void {
    this.#settle(undefined);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#settle({ error });
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    return this;
  }

  failingWith(explain: Explain): AsyncIterable<Buffer> {
    this.#explain = explain;
    return this;
  }

  async next(): Promise<IteratorResult<Buffer>> {
    // Not a loop over `await`: what is there already is handed out in the same turn.
    while (this.#size === 0 && !this.#ended) await this.#arrival();
    if (this.#size > 0) return { done: false, value: this.#take() };
    if (this.#failure) throw this.#explain ? await this.#explain(this.#failure.error) : this.#failure.error;
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<Buffer>> {
    this.cancel();
    return { done: true, value: undefined };
  }

  async whole(limit: number): Promise<Buffer> {
    while (!this.#ended && this.#size <= limit) {
      if (this.#controller?.paused) this.#controller.resume();
      await this.#arrival();
    }
    if (this.#failure) throw this.#failure.error;
    if (this.#size > limit) {
      this.#stop(new Error('too large'));
      throw new TooLarge(`The reply is larger than ${limit} bytes.`);
    }
    return this.#take();
  }

  cancel(): void {
    this.#stop(new Error('The reader left.'));
  }

  #settle(failure: { error: unknown } | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#forget();
    if (!this.#started && failure) this.#reject(failure.error);
    this.#wake?.();
  }

  #stop(reason: unknown): void {
    this.#chunks = [];
    this.#size = 0;
    this.#settle({ error: reason });
    this.#controller?.abort(reason instanceof Error ? reason : new Error('aborted'));
  }

  #take(): Buffer {
    const chunks = this.#chunks;
    const [only] = chunks;
    const all = chunks.length === 1 && only ? only : Buffer.concat(chunks, this.#size);
    this.#chunks = [];
    this.#size = 0;
    if (this.#controller?.paused) this.#controller.resume();
    return all;
  }

  #arrival(): Promise<void> {
    return new Promise((done) => {
      this.#wake = () => {
        this.#wake = undefined;
        done();
      };
    });
  }
}
