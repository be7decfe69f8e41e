/**
 * Download an image that a client names by URL, without becoming that client's way into our network: addresses are
 * resolved here, private ones refused, and the connection goes to the address that was checked. Every redirect again.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { Agent, request } from 'undici';

export type FetchImageOptions = {
  signal: AbortSignal;
  /** Hosts or `host:port` that may be private: for tests and for a company's own image server. */
  allow?: readonly string[];
  /** Bytes; absent means 20 MB. */
  limit?: number;
  /** Milliseconds for everything; absent means 15 s. */
  timeoutMs?: number;
  /** Name → addresses; absent means the system's resolver. */
  resolve?: (host: string) => Promise<string[]>;
};

/** Why there is no image. `message` is for the client to read. */
export class FetchImageError extends Error {
  override readonly name = 'FetchImageError';
  readonly reason: 'failed' | 'too-large' | 'forbidden';
  constructor(reason: FetchImageError['reason'], message: string, cause?: unknown) {
    super(message, { cause });
    this.reason = reason;
  }
}

const defaultLimit = 20 * 2 ** 20;
const defaultTimeout = 15_000;
const maxRedirects = 3;

/**
 * The bytes behind an http(s) URL, whatever they are: the caller looks at them. Throws FetchImageError, or the signal's
 * reason.
 */
export async function fetchImage(url: string, options: FetchImageOptions): Promise<Buffer> {
  const timeout = AbortSignal.timeout(options.timeoutMs ?? defaultTimeout);
  const signal = AbortSignal.any([options.signal, timeout]);
  try {
    let at = url;
    for (let hop = 0; hop <= maxRedirects; hop++) {
      const got = await get(at, options, signal);
      if (Buffer.isBuffer(got)) return got;
      at = got.location;
    }
    throw new FetchImageError('failed', `The image's URL redirects more than ${maxRedirects} times.`);
  } catch (error) {
    if (error instanceof FetchImageError) throw error;
    options.signal.throwIfAborted();
    if (timeout.aborted) throw new FetchImageError('failed', 'The image took too long to download.', error);
    throw new FetchImageError('failed', 'The image could not be downloaded.', error);
  }
}

async function get(
  at: string,
  options: FetchImageOptions,
  signal: AbortSignal,
): Promise<Buffer | { location: string }> {
  const url = parseUrl(at);
  const address = await checkedAddress(url, options);
  const agent = new Agent({
    connect: {
      // The address that was checked, not what a second look-up may say.
      lookup: (_host, wanted, done) => {
        const family = isIP(address);
        if (wanted.all) done(null, [{ address, family }]);
        else done(null, address, family);
      },
    },
  });
  try {
    const reply = await request(url, {
      dispatcher: agent,
      signal,
      headers: { accept: 'image/png, image/jpeg, image/webp, image/gif', 'user-agent': 'viaduct' },
    });
    const location = reply.headers['location'];
    if (reply.statusCode >= 300 && reply.statusCode < 400 && typeof location === 'string')
      return { location: new URL(location, url).href };
    if (reply.statusCode !== 200)
      throw new FetchImageError('failed', `The image's server answered with status ${reply.statusCode}.`);
    return await readBounded(reply.body, Number(reply.headers['content-length'] ?? 0), options.limit ?? defaultLimit);
  } finally {
    await agent.destroy();
  }
}

async function readBounded(body: AsyncIterable<Buffer>, announced: number, limit: number): Promise<Buffer> {
  const tooLarge = () =>
    new FetchImageError('too-large', `The image is larger than ${Math.floor(limit / 2 ** 20)} MB.`);
  if (announced > limit) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > limit) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw new FetchImageError('failed', "An image's URL must begin with http://, https:// or data:.");
  if (url.username || url.password) throw new FetchImageError('forbidden', "An image's URL must not carry a password.");
  return url;
}

/** The first address of the host, if all are public or the host is allowed. Throws FetchImageError. */
async function checkedAddress(url: URL, { allow = [], resolve = systemResolve }: FetchImageOptions): Promise<string> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const addresses = isIP(host) ? [host] : await resolve(host).catch(() => []);
  const [first] = addresses;
  if (first === undefined) throw new FetchImageError('failed', `The image's host ${host} is not known.`);
  const allowed = allow.includes(url.host) || allow.includes(host);
  if (!allowed && !addresses.every(isPublicAddress))
    throw new FetchImageError('forbidden', "The image's URL leads to a private address, which is not allowed.");
  return first;
}

const systemResolve = async (host: string) => (await lookup(host, { all: true })).map(({ address }) => address);

/** True for addresses of the open Internet; IPv4 inside IPv6 is looked at as IPv4. */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return parsed.range() === 'unicast';
}
