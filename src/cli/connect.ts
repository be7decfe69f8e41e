/** Which server a command talks to. */
import { ViaductError } from '../core/errors.ts';
import { isLoopback, parseServerAddress, urlOf } from '../lib/server-address.ts';
import { type Client, createClient } from './client.ts';

export type ConnectOptions = {
  env: NodeJS.ProcessEnv;
  /** A server in this process, on a free loopback port, for the time of one command. */
  startServer: () => Promise<{ url: string; close(): Promise<void> }>;
};

/** Longest wait for a server to say that it is there, ms. */
const patience = 5000;

/**
 * The running server at VIADUCT_HOST (or OLLAMA_HOST). Where none runs on this machine the command serves itself, so that
 * there is one way to do everything. Throws provider_unavailable when a server elsewhere does not answer.
 */
export async function connect({ env, startServer }: ConnectOptions): Promise<Client> {
  const variable = env['VIADUCT_HOST'] ? 'VIADUCT_HOST' : 'OLLAMA_HOST';
  const address = parseServerAddress(env[variable]);
  if (!address) throw new ViaductError('invalid_request', `${variable} is not an address: ${env[variable]}`);
  const url = urlOf(address);
  const key = env['VIADUCT_API_KEY'] || env['VIADUCT_ADMIN_KEY'];
  const answer = await probe(url);
  if (answer === 'yes') return createClient(url, key);
  if (answer === 'stranger')
    throw new ViaductError(
      'provider_unavailable',
      `What answers at ${url} is no Viaduct. Say where the server is in VIADUCT_HOST.`,
    );
  if (answer === 'slow' || !isLoopback(address.host))
    throw new ViaductError('provider_unavailable', `No server answers at ${url}. Start it there with: viaduct serve`);
  const server = await startServer();
  return createClient(server.url, key, () => server.close());
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
