/** Environment variables → settings. VIADUCT_* win over the file; Ollama's own fill in what neither sets. */
import { parseServerAddress } from '../lib/server-address.ts';

export type Variables = Record<string, string | undefined>;

type Section = Record<string, unknown>;

/** The file's content with what the environment says put in. Throws with one line when a variable makes no sense. */
export function withEnvironment(file: Record<string, unknown>, env: Variables): Record<string, unknown> {
  const server: Section = { ...(file['server'] as Section | undefined) };
  const engine: Section = { ...(file['engine'] as Section | undefined) };

  const address = env['VIADUCT_HOST'] || (server['host'] === undefined ? env['OLLAMA_HOST'] : undefined);
  if (address) {
    const parsed = parseServerAddress(address);
    if (!parsed) throw new Error(`VIADUCT_HOST or OLLAMA_HOST is no address: "${address}". Write HOST:PORT.`);
    server['host'] = parsed.host;
    if (env['VIADUCT_HOST'] || server['port'] === undefined) server['port'] = parsed.port;
  }
  const origins = env['OLLAMA_ORIGINS'];
  if (origins && server['origins'] === undefined) server['origins'] = origins.split(',').map((origin) => origin.trim());

  if (env['VIADUCT_ENGINE']) engine['path'] = env['VIADUCT_ENGINE'];
  const fill = (key: string, variable: string, read: (text: string) => unknown) => {
    const text = env[variable];
    if (text !== undefined && text !== '' && engine[key] === undefined) engine[key] = read(text);
  };
  // 0 means "decide yourself" to Ollama.
  const number = (text: string) => (Number(text) === 0 ? 'auto' : Number.isNaN(Number(text)) ? text : Number(text));
  fill('keep_alive', 'OLLAMA_KEEP_ALIVE', (text) => text);
  fill('parallel', 'OLLAMA_NUM_PARALLEL', number);
  fill('max_loaded', 'OLLAMA_MAX_LOADED_MODELS', number);
  fill('context', 'OLLAMA_CONTEXT_LENGTH', number);
  fill('max_queue', 'OLLAMA_MAX_QUEUE', Number);
  return { ...file, server, engine };
}
