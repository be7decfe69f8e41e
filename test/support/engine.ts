/** The real engine and real models out of the tests' cache, for tests that need no server. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../../src/engine/engine.ts';
import { installEngine } from '../../src/engine/install.ts';
import { pullModel } from '../../src/models/pull.ts';
import { createModelStore, type ResolvedModel } from '../../src/models/store.ts';
import { cacheFolder, withLock } from './cache.ts';

/** The same folder as test/support/server.ts fills. */
const home = join(cacheFolder, 'home');

export const testEngine = (): Promise<Engine> =>
  withLock('home', async () => {
    mkdirSync(home, { recursive: true });
    return installEngine({ home });
  });

/** A model of the catalog, pulled once. */
export const testModel = (name: string): Promise<ResolvedModel> =>
  withLock('home', async () => {
    const store = createModelStore({ roots: [{ path: join(home, 'models'), owner: 'viaduct' }] });
    await store.resolve(name).catch(() => pullModel(store, name));
    return store.resolve(name);
  });
