/** A real Redis or Valkey server, thrown away afterwards: from Debian's package, in memory only. */
import { spawn, spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { freePort } from './postgres.ts';

export type RedisServer = { url: string; stop(): Promise<void> };

/** Undefined where neither can be had; the caller says so with `unavailable`. `wanted`: a port to come back on. */
export async function startRedis(wanted?: number): Promise<RedisServer | undefined> {
  const program = ['valkey-server', 'redis-server'].find((name) => spawnSync(name, ['--version']).status === 0);
  if (!program) return undefined;
  const port = wanted ?? (await freePort());
  const server = spawn(program, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', tmpdir()], {
    stdio: 'ignore',
  });
  const exited = new Promise<void>((resolve) => server.on('exit', () => resolve()));
  const url = `redis://127.0.0.1:${port}`;
  await untilReady(url);
  return {
    url,
    async stop() {
      server.kill();
      await exited;
    },
  };
}

async function untilReady(url: string) {
  for (let attempt = 0; ; attempt++) {
    const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.ping();
      return;
    } catch (error) {
      if (attempt === 300) throw error;
      await sleep(100);
    } finally {
      client.disconnect();
    }
  }
}
