/** Which host names and which web pages are ours. Pure. */
import { isIP } from 'node:net';
import { matches } from '../gateway/patterns.ts';

/**
 * Pages of this machine and of desktop applications, as with Ollama:
 * https://github.com/ollama/ollama/blob/main/envconfig/config.go
 */
const localHosts = ['localhost', '127.0.0.1', '[::1]', '0.0.0.0'];
const applications = ['app://*', 'file://*', 'tauri://*', 'vscode-webview://*', 'vscode-file://*'];

/**
 * `configured` has whole origins (`https://app.example.org`) or patterns with one star (`https://*.example.org`,
 * `chrome-extension://*`); a star alone lets every page in.
 */
export function originRules(configured: readonly string[]): (origin: string) => boolean {
  const patterns = [...applications, ...configured.map((entry) => entry.replace(/\/+$/, '').toLowerCase())];
  return (origin) => {
    const asked = origin.toLowerCase();
    if (isLocalPage(asked)) return true;
    return patterns.some((pattern) => fits(pattern, asked));
  };
}

function isLocalPage(origin: string): boolean {
  const [, host] = /^https?:\/\/(\[[^\]]*\]|[^:/]*)(?::\d{1,5})?$/.exec(origin) ?? [];
  return host !== undefined && localHosts.includes(host);
}

/** The star in the middle stands for part of a name, never for a slash: `https://*.a` is not `https://evil/.a`. */
function fits(pattern: string, origin: string): boolean {
  const star = pattern.indexOf('*');
  if (star === -1 || star === pattern.length - 1) return matches(pattern, origin);
  const [before, after] = [pattern.slice(0, star), pattern.slice(star + 1)];
  if (origin.length < before.length + after.length || !origin.startsWith(before) || !origin.endsWith(after))
    return false;
  return !/[/@\\]/.test(origin.slice(before.length, origin.length - after.length));
}

export type HostRules = {
  /** The server listens on loopback only. */
  loopback: boolean;
  /** Names from the configuration: `ai.example.org`. */
  hosts: readonly string[];
};

/**
 * May a request say that it came to this host? A page that made its own name point here (DNS rebinding) says that name. An IP
 * address cannot be such a name; nor can `localhost` and `.internal`, which no public name server answers for.
 * Beyond loopback, where clients need a key, every name is good unless some are configured.
 */
export function hostRules({ loopback, hosts }: HostRules): (host: string | undefined) => boolean {
  const names = new Set(hosts.map((name) => name.toLowerCase()));
  /** Nearly every request has the same. */
  let lastGood: string | undefined;
  const isGood = (header: string) => {
    const name = header
      .toLowerCase()
      .replace(/:\d*$/, '')
      .replace(/\.$/, '')
      .replace(/^\[(.*)\]$/, '$1');
    if (isIP(name) || name === 'localhost' || name.endsWith('.localhost') || name.endsWith('.internal')) return true;
    return names.has(name) || (!loopback && names.size === 0);
  };
  return (header) => {
    // Only what no browser is leaves it out.
    if (header === undefined || header === '' || header === lastGood) return true;
    const good = isGood(header);
    if (good) lastGood = header;
    return good;
  };
}
