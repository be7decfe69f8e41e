/**
 * An OCI registry: addresses, and the login it asks for.
 * Sources: https://github.com/opencontainers/distribution-spec/blob/main/spec.md,
 * https://distribution.github.io/distribution/spec/auth/token/
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { ViaductError } from '../core/errors.ts';
import type { ModelName } from './names.ts';
import {
  header,
  type Reply,
  type SendOptions,
  type SmallReply,
  send,
  sendSmall,
  type TransferSettings,
} from './transfer.ts';

export type RegistryOptions = {
  /** Plain http is allowed on any host, not on this machine only. */
  insecure: boolean;
  /** What the login must allow. */
  actions: 'pull' | 'pull,push';
  signal: AbortSignal;
  settings: TransferSettings;
};

type Request = Pick<SendOptions, 'method' | 'headers' | 'body'> & { signal?: AbortSignal };

export type RegistryClient = {
  /** `localhost:5000/library/smollm2`, for messages. */
  readonly repository: string;
  /** A path below the repository, or an absolute address that the registry gave. Status is the caller's to judge. */
  send(path: string, request?: Request): Promise<Reply>;
  sendSmall(path: string, request?: Request & { limit?: number }): Promise<SmallReply>;
};

/** Addresses of this machine itself. */
const loopback = /^(localhost|127(\.\d+){3}|\[::1\]|::1)(:\d+)?$/i;

/** Throws invalid_request for plain http to another machine without `insecure`. */
export function createRegistryClient(name: ModelName, options: RegistryOptions): RegistryClient {
  const { host, namespace, model } = name;
  const { insecure, actions, settings } = options;
  const local = loopback.test(host);
  if (name.scheme === 'http' && !insecure && !local)
    throw new ViaductError('invalid_request', `${host} would be used without encryption. To allow that: --insecure`, {
      param: 'insecure',
    });
  const scheme = name.scheme ?? (insecure || local ? 'http' : 'https');
  const base = `${scheme}://${host}/v2/${namespace}/${model}/`;
  let authorization: string | undefined;

  async function withLogin<R extends { status: number; headers: Reply['headers'] }>(
    path: string,
    signal: AbortSignal,
    ask: (url: string, headers: Record<string, string>) => Promise<R>,
  ): Promise<R> {
    const url = new URL(path, base);
    // The registry may send us elsewhere to upload; its login does not travel.
    const ours = url.host === host;
    const reply = await ask(url.href, ours && authorization ? { authorization } : {});
    const challenge = header(reply.headers, 'www-authenticate');
    if (reply.status !== 401 || !challenge || !ours) return reply;
    const fresh = await login(challenge, { ...options, host, repository: `${namespace}/${model}`, actions, signal });
    if (!fresh || fresh === authorization) return reply;
    authorization = fresh;
    if ('body' in reply) (reply as unknown as Reply).body.destroy();
    return ask(url.href, { authorization });
  }

  return {
    repository: `${host}/${namespace}/${model}`,
    send(path, { signal = options.signal, headers, ...request } = {}) {
      return withLogin(path, signal, (url, auth) =>
        send(url, { ...request, headers: { ...headers, ...auth }, signal, settings, insecure: scheme === 'http' }),
      );
    },
    sendSmall(path, { signal = options.signal, headers, ...request } = {}) {
      return withLogin(path, signal, (url, auth) =>
        sendSmall(url, { ...request, headers: { ...headers, ...auth }, signal, settings, insecure: scheme === 'http' }),
      );
    },
  };
}

type LoginOptions = RegistryOptions & { host: string; repository: string };

/** Answer a 401's challenge → value for Authorization; undefined when there is nothing to log in with. */
async function login(challenge: string, options: LoginOptions): Promise<string | undefined> {
  const { host, repository, actions, signal, settings, insecure } = options;
  const basic = await dockerLogin(host);
  if (/^basic\b/i.test(challenge)) return basic;
  const fields = Object.fromEntries([...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key, value]));
  if (!/^bearer\b/i.test(challenge) || !fields['realm'] || !URL.canParse(fields['realm'])) return undefined;
  const realm = new URL(fields['realm']);
  if (realm.protocol !== 'https:' && !insecure && !loopback.test(realm.host))
    throw new ViaductError('registry_unavailable', `${host} wants a login at ${realm.host} without encryption.`);
  if (fields['service']) realm.searchParams.set('service', fields['service']);
  realm.searchParams.set('scope', fields['scope'] ?? `repository:${repository}:${actions}`);
  const headers = basic ? { authorization: basic } : {};
  const { status, bytes } = await sendSmall(realm.href, { headers, signal, settings, insecure, limit: 2 ** 20 });
  if (status !== 200) return undefined;
  const { token, access_token } = parseToken(bytes, realm.host);
  const bearer = token ?? access_token;
  return bearer === undefined ? undefined : `Bearer ${bearer}`;
}

function parseToken(bytes: Buffer, host: string): { token?: string; access_token?: string } {
  try {
    return JSON.parse(bytes.toString('utf8')) ?? {};
  } catch (cause) {
    throw new ViaductError('registry_invalid_response', `${host} answers a login with something that is not JSON.`, {
      cause,
    });
  }
}

/** What `docker login` stored for a host, as a Basic header. Source: https://docs.docker.com/reference/cli/docker/login/ */
async function dockerLogin(host: string): Promise<string | undefined> {
  const folder = process.env['DOCKER_CONFIG'] || join(homedir(), '.docker');
  try {
    const { auths } = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'));
    const auth = auths?.[host]?.auth ?? auths?.[`https://${host}`]?.auth;
    return typeof auth === 'string' && auth !== '' ? `Basic ${auth}` : undefined;
  } catch {
    return undefined;
  }
}
