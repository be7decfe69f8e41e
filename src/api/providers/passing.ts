/** What of a message goes through to a provider's own API, and what of its answer comes back. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { ViaductError } from '../../core/errors.ts';
import type { NativeRequest } from '../../core/provider.ts';
import { withoutKeyProtocol } from '../http.ts';

export const prefix = '/providers/';

/** Belong to one connection, not to the message. Source: RFC 9110, 7.6.1 */
const hopByHop = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'];
/** Are between the client and us: credentials of every provider's SDK, and what would keep us from reading the usage. */
const ours = new Set([
  ...hopByHop,
  'host',
  'authorization',
  'x-api-key',
  'api-key',
  'x-goog-api-key',
  'proxy-authorization',
  'cookie',
  'accept-encoding',
  'sec-websocket-extensions',
  'expect',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'origin',
  'referer',
]);
/** Are between the provider and us: its connection, and whose account it is. */
const dropped = new Set([
  ...hopByHop,
  'set-cookie',
  'alt-svc',
  'strict-transport-security',
  'openai-organization',
  'openai-project',
  'anthropic-organization-id',
]);

/** The request as the provider `name` gets it, without its body. Throws invalid_request for a path that leads out of its API. */
export function nativeRequest({ method = 'GET', url = '/', headers }: IncomingMessage, name: string): NativeRequest {
  const path = withoutKey(url.slice(prefix.length + encodeURIComponent(name).length) || '/');
  if (climbs(path))
    throw new ViaductError('invalid_request', 'The path must not go upwards: write it without "." and ".." segments.');
  return { method, path, headers: kept(headers) };
}

/**
 * Whether some server on the way may read it as a path above the provider's API: dots, slashes and backslashes encoded
 * however often.
 */
function climbs(path: string): boolean {
  const [pathname = ''] = path.split('?', 1);
  const plain = pathname.replace(/%(?:25)*(2e|2f|5c)/gi, (_all, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  return plain.split(/[/\\]/).some((segment) => segment === '.' || segment === '..');
}

/** Google's SDKs put the key into the query. */
function withoutKey(path: string): string {
  const [pathname = '/', query] = path.split('?', 2);
  if (query === undefined) return pathname;
  const left = query.split('&').filter((pair) => !/^(key|api_key)=/.test(pair));
  return left.length > 0 ? `${pathname}?${left.join('&')}` : pathname;
}

function kept(headers: IncomingHttpHeaders): Record<string, string> {
  const sent: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !ours.has(name) && !name.startsWith('x-viaduct-'))
      sent[name] = Array.isArray(value) ? value.join(', ') : value;
  const protocols = sent['sec-websocket-protocol'];
  if (protocols) sent['sec-websocket-protocol'] = withoutKeyProtocol(protocols);
  return sent;
}

/** The headers of an answer that are for the client. */
export function headersOf(headers: Record<string, string | string[] | undefined>): Record<string, string | string[]> {
  const sent: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !dropped.has(name)) sent[name] = value;
  return sent;
}
