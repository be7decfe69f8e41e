/** HTTP for pulls and pushes: redirects, limits without progress, retries. Secrets stay with the host they are for. */

import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Dispatcher, EnvHttpProxyAgent, request } from 'undici';
import { ViaductError } from '../core/errors.ts';

/** Times in milliseconds. Tests shorten them. */
export type TransferSettings = {
  /** Longest time without a byte. */
  stall: number;
  /** First wait before another try; doubles each time. */
  backoff: number;
  /** Tries in a row that bring nothing before a transfer is given up. */
  tries: number;
  /** Longest Retry-After that is waited for. */
  longestWait: number;
};

export const defaultTransferSettings: TransferSettings = {
  stall: 20_000,
  backoff: 500,
  tries: 5,
  longestWait: 120_000,
};

export type Reply = {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: AsyncIterable<Buffer> & { destroy(): void };
  /** Another host than the one asked has answered. */
  redirected: boolean;
  host: string;
};

export type SendOptions = {
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  headers?: Record<string, string>;
  /** A function where it may have to be sent twice. */
  body?: string | Buffer | (() => AsyncIterable<Buffer>);
  signal: AbortSignal;
  settings: TransferSettings;
  /** Follow a redirect from https to plain http. */
  insecure?: boolean;
};

let agent: Dispatcher | undefined;

/** Made at first need, so that a server that never pulls has none. Proxies of the environment are respected. */
function dispatcher(): Dispatcher {
  agent ??= new EnvHttpProxyAgent({
    connect: { timeout: 10_000 },
    keepAliveTimeout: 4_000,
    // No proxy can reach this machine's own addresses.
    noProxy: [process.env['no_proxy'] ?? process.env['NO_PROXY'], 'localhost,127.0.0.1,::1'].filter(Boolean).join(','),
  });
  return agent;
}

const mostRedirects = 10;

/**
 * Send one request and follow its redirects. Any final status is a reply; its body must be read or destroyed.
 * `authorization` goes no further than the origin that was asked. Throws registry_unavailable.
 */
export async function send(url: string, options: SendOptions): Promise<Reply> {
  const { method = 'GET', body, signal, settings, insecure = false } = options;
  let at = parseUrl(url);
  const origin = at.origin;
  let headers: Record<string, string> = { 'accept-encoding': 'identity', 'user-agent': 'viaduct', ...options.headers };
  for (let hop = 0; hop <= mostRedirects; hop += 1) {
    const reply = await once(at, { method, headers, signal, settings, ...(body !== undefined && { body }) });
    const location = header(reply.headers, 'location');
    const redirects = [301, 302, 303, 307, 308].includes(reply.statusCode) && location && body === undefined;
    if (!redirects)
      return {
        status: reply.statusCode,
        headers: reply.headers,
        body: reply.body,
        redirected: at.origin !== origin,
        host: at.host,
      };
    await reply.body.dump({ limit: 2 ** 16 }).catch(() => {});
    const next = parseUrl(location, at);
    if (at.protocol === 'https:' && next.protocol === 'http:' && !insecure)
      throw new ViaductError('registry_unavailable', `${at.host} redirects to ${next.host} without encryption.`);
    if (next.origin !== origin) {
      const { authorization: _secret, cookie: _cookie, ...rest } = headers;
      headers = rest;
    }
    at = next;
  }
  throw new ViaductError('registry_invalid_response', `${at.host} redirects in a circle.`);
}

function parseUrl(text: string, base?: URL): URL {
  const url = URL.canParse(text, base?.href) ? new URL(text, base) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new ViaductError('registry_invalid_response', `"${text.slice(0, 200)}" is not an http(s) address.`);
}

async function once(url: URL, options: Pick<SendOptions, 'method' | 'headers' | 'body' | 'signal' | 'settings'>) {
  const { method = 'GET', headers = {}, body, signal, settings } = options;
  try {
    const reply = await request(url, {
      method,
      headers,
      body: typeof body === 'function' ? Readable.from(body()) : (body ?? null),
      signal,
      dispatcher: dispatcher(),
      headersTimeout: settings.stall,
      bodyTimeout: settings.stall,
    });
    // Whoever reads the body gets its errors; one that is destroyed unread must not end the process.
    reply.body.on('error', () => {});
    return reply;
  } catch (cause) {
    signal.throwIfAborted();
    throw transferError(cause, url.host);
  }
}

/** What the network did, for a person to read. */
export function transferError(cause: unknown, host: string): ViaductError {
  if (cause instanceof ViaductError) return cause;
  const { code = '', message = '' } = (cause ?? {}) as { code?: string; message?: string };
  const why: Record<string, string> = {
    ECONNREFUSED: 'nothing listens there',
    ENOTFOUND: 'its name is unknown (is the network up?)',
    EAI_AGAIN: 'its name cannot be looked up (is the network up?)',
    UND_ERR_CONNECT_TIMEOUT: 'it does not answer',
    UND_ERR_HEADERS_TIMEOUT: 'it accepts the connection and then says nothing',
    UND_ERR_BODY_TIMEOUT: 'it stopped sending',
    ECONNRESET: 'it closed the connection',
    UND_ERR_SOCKET: 'it closed the connection',
    EPROTO: 'it does not speak TLS; for plain http use --insecure',
    ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS; for plain http use --insecure',
    ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS; for plain http use --insecure',
  };
  return new ViaductError('registry_unavailable', `${host} cannot be used: ${why[code] ?? (message || code)}.`, {
    cause,
  });
}

/** True for a wait that ran out of time rather than a connection that broke. */
export const isStall = ({ cause }: ViaductError) =>
  ['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'].includes((cause as { code?: string } | undefined)?.code ?? '');

export function header(headers: Reply['headers'], name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Retry-After (seconds or a date) → milliseconds; undefined when absent. */
export function retryAfter(headers: Reply['headers']): number | undefined {
  const text = header(headers, 'retry-after');
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** Milliseconds before another try after a refusal for being busy. Throws rate_limit_exceeded when that is too long. */
export function busyWait({ headers, host }: Reply, attempt: number, settings: TransferSettings): number {
  const wait = retryAfter(headers) ?? settings.backoff * 2 ** attempt;
  if (wait <= settings.longestWait) return wait;
  throw new ViaductError('rate_limit_exceeded', `${host} asks to wait ${Math.ceil(wait / 1000)} s. Try again then.`, {
    retryAfter: wait / 1000,
  });
}

export type SmallReply = { status: number; headers: Reply['headers']; bytes: Buffer; host: string };

/**
 * A request with a small answer, read whole. 429, 5xx and broken connections are tried again; other statuses are replies.
 * Throws registry_unavailable, registry_invalid_response when the answer is longer than `limit` bytes.
 */
export async function sendSmall(url: string, options: SendOptions & { limit?: number }): Promise<SmallReply> {
  const { settings, limit = 4 * 2 ** 20 } = options;
  for (let attempt = 0; ; attempt += 1) {
    const last = attempt + 1 >= settings.tries;
    // Bounds an answer that trickles: each byte alone would be progress.
    const signal = AbortSignal.any([options.signal, AbortSignal.timeout(settings.stall * 3)]);
    try {
      const reply = await send(url, { ...options, signal });
      const busy = reply.status === 429 || reply.status >= 500;
      if (!busy || last)
        return { status: reply.status, headers: reply.headers, bytes: await readBody(reply, limit), host: reply.host };
      reply.body.destroy();
      await sleep(busyWait(reply, attempt, settings), undefined, { signal: options.signal });
    } catch (thrown) {
      options.signal.throwIfAborted();
      const error = transferError(thrown, new URL(url).host);
      const hangs = signal.aborted || isStall(error);
      if (error.code !== 'registry_unavailable' || last || hangs)
        throw hangs
          ? new ViaductError('registry_unavailable', `${new URL(url).host} hangs: no answer in time.`, { cause: error })
          : error;
      await sleep(settings.backoff * 2 ** attempt, undefined, { signal: options.signal });
    }
  }
}

async function readBody({ body, host, headers }: Reply, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = Number(header(headers, 'content-length') ?? 0);
  if (length <= limit) {
    length = 0;
    for await (const chunk of body) {
      length += chunk.length;
      if (length > limit) break;
      chunks.push(chunk);
    }
  }
  if (length <= limit) return Buffer.concat(chunks);
  body.destroy();
  throw new ViaductError(
    'registry_invalid_response',
    `${host} answers with more than ${limit} bytes where a small document is due.`,
  );
}
