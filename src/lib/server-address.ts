/**
 * Where a server listens, in every form that OLLAMA_HOST takes: `host`, `:port`, `host:port`, `[v6]:port`,
 * `http(s)://host[:port][/path]`.
 * Source: https://github.com/ollama/ollama/blob/main/envconfig/config.go
 */
import { isIPv6 } from 'node:net';

export type ServerAddress = { scheme: 'http' | 'https'; host: string; port: number; path: string };

/** File in VIADUCT_HOME in which a running server says where it is. */
export const serverNote = 'server.url';

const defaults: ServerAddress = { scheme: 'http', host: '127.0.0.1', port: 11434, path: '' };

/** Undefined when the text is no address. IPv6 hosts come without brackets. */
export function parseServerAddress(text = ''): ServerAddress | undefined {
  const trimmed = text.trim().replace(/^["']|["']$/g, '');
  if (trimmed === '') return defaults;
  if (isIPv6(trimmed)) return { ...defaults, host: trimmed };
  const match = /^(?:(https?):\/\/)?(\[[\da-f:.]+\]|[^/:\s]*)(?::(\d{1,5}))?(\/\S*)?$/i.exec(trimmed);
  if (!match) return undefined;
  const scheme = (match[1]?.toLowerCase() ?? 'http') as ServerAddress['scheme'];
  const schemePort = match[1] ? { http: 80, https: 443 }[scheme] : defaults.port;
  const port = match[3] === undefined ? schemePort : Number(match[3]);
  if (port > 65_535) return undefined;
  const host = (match[2] ?? '').replace(/^\[|\]$/g, '') || defaults.host;
  return { scheme, host, port, path: (match[4] ?? '').replace(/\/+$/, '') };
}

/** An address that a client can call: a server that listens everywhere is called on this machine. */
export function urlOf({ scheme, host, port, path }: ServerAddress): string {
  const target = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `${scheme}://${isIPv6(target) ? `[${target}]` : target}:${port}${path}`;
}

/** Does a client that calls this host reach a server of the same machine? */
export const leadsToThisMachine = (host: string) => /^(localhost|127(\.\d{1,3}){3}|::1|0\.0\.0\.0|::)$/i.test(host);

/** Does a server that listens there hear this machine only? */
export const listensOnLoopback = (host: string) => /^(localhost|127(\.\d{1,3}){3}|::1)$/i.test(host);
