/** Which server a command talks to. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ViaductError } from '../core/errors.ts';
import { homeOf } from '../lib/home.ts';
import { leadsToThisMachine, parseServerAddress, serverNote, urlOf } from '../lib/server-address.ts';
import { type Client, createClient, type Login } from './client.ts';

export type ConnectOptions = {
  env: NodeJS.ProcessEnv;
  /** A server in this process, on a free loopback port, for the time of one command. */
  startServer: () => Promise<{ url: string; close(): Promise<void> }>;
};

/** Longest wait for a server to say that it is there, ms. */
const patience = 5000;

/**
 * The running server: at VIADUCT_HOST (or OLLAMA_HOST), else the one of the same VIADUCT_HOME, else at the usual address.
 * Where none runs on this machine the command serves itself, so that there is one way to do everything.
 * Throws provider_unavailable when a server elsewhere does not answer.
 */
export async function connect({ env, startServer }: ConnectOptions): Promise<Client> {
  const variable = env['VIADUCT_HOST'] ? 'VIADUCT_HOST' : 'OLLAMA_HOST';
  const noted = env[variable] ? undefined : noteIn(env, serverNote);
  const address = parseServerAddress(noted !== undefined && (await probe(noted)) === 'yes' ? noted : env[variable]);
  if (!address) throw new ViaductError('invalid_request', `${variable} is not an address: ${env[variable]}`);
  const url = urlOf(address);
  // Without a key of its own a command on this machine is its owner's: what may read the file may administer the server.
  const admin = () =>
    env['VIADUCT_ADMIN_KEY'] || (leadsToThisMachine(address.host) ? noteIn(env, 'admin.token') : undefined);
  const login = (): Login => ({ key: env['VIADUCT_API_KEY'] || admin(), admin: admin() || env['VIADUCT_API_KEY'] });
  const answer = await probe(url);
  if (answer === 'yes') return createClient(url, login());
  if (answer === 'stranger')
    throw new ViaductError(
      'provider_unavailable',
      `What answers at ${url} is no Viaduct. Say where the server is in VIADUCT_HOST.`,
    );
  if (answer === 'slow' || !leadsToThisMachine(address.host))
    throw new ViaductError('provider_unavailable', `No server answers at ${url}. Start it there with: viaduct serve`);
  const server = await startServer();
  // After the start, which makes the token's file where there is none.
  return createClient(server.url, login(), () => server.close());
}

/** What the server leaves for its owner in VIADUCT_HOME; undefined when there is none or it is not ours to read. */
function noteIn(env: NodeJS.ProcessEnv, name: string): string | undefined {
  try {
    return readFileSync(join(homeOf(env), name), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}

async function probe(url: string): Promise<'yes' | 'no' | 'slow' | 'stranger'> {
  try {
    const response = await fetch(`${url}/api/version`, { signal: AbortSignal.timeout(patience) });
    const body: unknown = await response.json();
    return typeof body === 'object' && body !== null && 'version' in body ? 'yes' : 'stranger';
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return 'stranger';
    return (thrown as Error).name === 'TimeoutError' ? 'slow' : 'no';
  }
}
