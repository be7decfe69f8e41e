/** Where tests keep what is dear to fetch: the engine, real weights, Python clients. Shared by all runs of a user. */
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const cacheFolder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'viaduct-tests');

/** A lock whose holder died is taken over after this long without a sign of life, ms. */
const stale = 120_000;

/** Run `work` while no other test process holds the lock `name`. A folder is the lock: making one is atomic. */
export async function withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(cacheFolder, { recursive: true });
  const lock = join(cacheFolder, `${name}.lock`);
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch {
      try {
        if (Date.now() - statSync(lock).mtimeMs > stale) rmSync(lock, { recursive: true, force: true });
      } catch {
        // Gone between the two calls: try again at once.
      }
      await sleep(200);
    }
  }
  const heartbeat = setInterval(() => {
    const probe = join(lock, 'alive');
    mkdirSync(probe, { recursive: true });
    rmSync(probe, { recursive: true, force: true });
  }, 10_000);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    rmSync(lock, { recursive: true, force: true });
  }
}
