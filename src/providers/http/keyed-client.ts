/** An HTTP client that knows its provider: where it is, and which key is good. */
import { buffer } from 'node:stream/consumers';
import { ViaductError } from '../../core/errors.ts';
import type { NativeRequest } from '../../core/provider.ts';
import type { Cancel } from '../../lib/cancel.ts';
import { createHttpClient, type HttpRequest } from '../../lib/http-client.ts';
import { asksForProxy } from '../../lib/proxy.ts';
import type { Dialect } from '../define.ts';
import { createKeyring } from '../keyring.ts';
import { connectionError, statusError } from './failures.ts';

export type KeyedClientOptions = {
  name: string;
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
};

const keyRestMs = 60_000;
const rateLimitedRestMs = 5_000;

/** Requests with a key of the ring; the next key when the provider refuses one. Throws as `createHttpProvider` says. */
export function createKeyedClient({
  name,
  baseUrl,
  keys,
  authorize,
  sign,
  headers: fixed,
  connectTimeout,
}: KeyedClientOptions) {
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
        const error = await statusError(name, reply, dialect, key);
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
