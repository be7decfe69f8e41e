/** The real server in front of an upstream that plays all its providers, and the clients of its doors. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';

/** A provider is called by its kind; its base URL is the upstream's, its kind and `path`. `close` ends the upstream too. */
export async function openProviderDoors(upstream: Server, providers: { kind: string; path?: string }[]) {
  const home = mkdtempSync(join(tmpdir(), 'viaduct-doors-'));
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const { port } = upstream.address() as AddressInfo;
  const settings = providers.map(({ kind, path = '' }) => {
    const key = kind === 'bedrock' ? 'access_key_id: a, secret_access_key: b' : 'api_key: k';
    return `  ${kind}: { kind: ${kind}, base_url: "http://127.0.0.1:${port}/${kind}${path}", ${key} }\n`;
  });
  const configFile = join(home, 'viaduct.yaml');
  writeFileSync(configFile, `providers:\n${settings.join('')}`);
  process.env['VIADUCT_HOME'] = home;
  // Loaded with its home known.
  const { startServer } = await import('../../src/server.ts');
  const { url, close } = await startServer({ address: { host: '127.0.0.1', port: 0 }, configFile, quiet: true });
  return {
    url,
    openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: 0 }),
    anthropic: new Anthropic({ baseURL: url, apiKey: 'any', maxRetries: 0 }),
    ollama: new Ollama({ host: url }),
    async close() {
      await close();
      upstream.closeAllConnections();
      upstream.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

export type ProviderDoors = Awaited<ReturnType<typeof openProviderDoors>>;
