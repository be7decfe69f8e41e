/** What a configuration that was read again changes at once, and what waits for the next start. */
import { isDeepStrictEqual } from 'node:util';
import type { Config } from './schema.ts';

/** Settings that something holds on to from its start: a socket, a database. Everything else changes at once. */
const fixed: [section: keyof Config, key?: string][] = [
  ['server', 'host'],
  ['server', 'port'],
  ['server', 'trusted_proxies'],
  ['server', 'tls'],
  ['auth', 'secret'],
  ['oidc'],
  ['database'],
  ['redis'],
  ['traces'],
];

/** `old`: what is in force. `inForce`: what is from now on; `waiting`: names of changed settings that are not, `server.port`. */
export function reloaded(old: Config, next: Config): { inForce: Config; waiting: string[] } {
  const inForce = structuredClone(next) as Record<string, unknown>;
  const waiting: string[] = [];
  for (const [section, key] of fixed) {
    const was = key === undefined ? old[section] : (old[section] as Record<string, unknown>)[key];
    const holder = key === undefined ? inForce : (inForce[section] as Record<string, unknown>);
    if (isDeepStrictEqual(was, holder[key ?? section])) continue;
    holder[key ?? section] = was;
    waiting.push(key === undefined ? section : `${section}.${key}`);
  }
  return { inForce: inForce as Config, waiting };
}
