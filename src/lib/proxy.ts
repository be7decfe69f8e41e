/** Does the environment ask for a proxy? */
import { listensOnLoopback } from './server-address.ts';

/**
 * Whether HTTP_PROXY or HTTPS_PROXY is set, in either case, and `origin` is not on this machine, which no proxy
 * reaches. What NO_PROXY leaves out is known to the agent that then sends: undici's EnvHttpProxyAgent.
 */
export function asksForProxy(origin: string, env: Record<string, string | undefined>): boolean {
  if (!['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY'].some((name) => env[name])) return false;
  const host = new URL(origin).hostname.replace(/^\[|\]$/g, '');
  return !listensOnLoopback(host) && !host.endsWith('.localhost');
}
