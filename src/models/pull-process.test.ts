/** Pulls between processes: killed at any byte, and several at once; and a real registry. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  makeModel,
  seedRegistry,
  serveBlob,
  startFaultyRegistry,
  startRealRegistry,
} from '../../test/support/registry.ts';
import { parseName } from './names.ts';
import { pullModel } from './pull.ts';
import { pushModel } from './push.ts';
import { createModelStore } from './store.ts';

const folder = mkdtempSync(join(tmpdir(), 'viaduct-pull-process-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const newStore = (root = mkdtempSync(join(folder, 'store-'))) => ({
  root,
  store: createModelStore({ roots: [{ path: root, owner: 'viaduct' }] }),
});

/** A process that pulls `name` into the store at `root` and prints what happened. */
function pullInChild(root: string, name: string): { child: ChildProcess; ended: Promise<string> } {
  const program = `
    import { pullModel } from ${JSON.stringify(join(import.meta.dirname, 'pull.ts'))};
    import { createModelStore } from ${JSON.stringify(join(import.meta.dirname, 'store.ts'))};
    const store = createModelStore({ roots: [{ path: ${JSON.stringify(root)}, owner: 'viaduct' }] });
    try { console.log((await pullModel(store, ${JSON.stringify(name)})).digest); } catch (error) { console.log(error.message); }
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  return { child, ended: new Promise((resolve) => child.on('close', () => resolve(out.trim()))) };
}

test('killed with -9 at any byte, a pull goes on where it was', async () => {
  const model = makeModel(24 * 2 ** 20);
  const total = model.blobs.reduce((sum, { size }) => sum + size, 0);
  const registry = await startFaultyRegistry(model, {
    async blob(request, response, blob) {
      await serveBlob(request, response, blob, { piece: 2 ** 16, pause: 3 });
      return true;
    },
  });
  const { root, store } = newStore();
  const name = `${registry.host}/library/model`;
  try {
    let kills = 0;
    for (let share = 0.15; share < 0.95; share += 0.2) {
      const { child, ended } = pullInChild(root, name);
      const goal = Math.max(registry.sent() + 1, total * share + Math.random() * 2 ** 20);
      while (registry.sent() < goal && child.exitCode === null) await sleep(2);
      child.kill('SIGKILL');
      await ended;
      kills += 1;
      assert.deepEqual(await store.list(), [], 'nothing is listed that is not whole');
    }
    assert.ok(kills >= 4);
    const { ended } = pullInChild(root, name);
    assert.equal(await ended, model.digest);
    assert.equal((await store.resolve(name)).digest, model.digest);
    // What was on its way when a process was killed is lost: a few socket buffers each time.
    assert.ok(registry.sent() < total * 1.5, `${registry.sent()} bytes were sent for ${total}`);
    const rest = readdirSync(join(root, 'blobs')).filter((file) => !/^sha256-[0-9a-f]{64}$/.test(file));
    assert.deepEqual(rest, []);
  } finally {
    await registry.close();
  }
});

test('two processes that pull one model share the work', async () => {
  const model = makeModel(6 * 2 ** 20);
  const total = model.blobs.reduce((sum, { size }) => sum + size, 0);
  const registry = await startFaultyRegistry(model, {
    async blob(request, response, blob) {
      await serveBlob(request, response, blob, { piece: 2 ** 16, pause: 10 });
      return true;
    },
  });
  const { root } = newStore();
  const name = `${registry.host}/library/model`;
  try {
    const pulls = [pullInChild(root, name), pullInChild(root, name)];
    assert.deepEqual(await Promise.all(pulls.map(({ ended }) => ended)), [model.digest, model.digest]);
    assert.ok(registry.sent() < total * 1.1, `${registry.sent()} bytes were sent for ${total}`);
  } finally {
    await registry.close();
  }
});

test('a real registry: pull, push under another name, pull that, by digest too', async (context) => {
  const registry = await startRealRegistry();
  if (!registry) return context.skip('docker-registry is not installed (Debian: apt-get install docker-registry)');
  try {
    const model = makeModel(20 * 2 ** 20);
    await seedRegistry(registry.host, 'library/model', 'latest', model);
    const { store } = newStore();
    const pulled = await pullModel(store, `${registry.host}/library/model`);
    assert.equal(pulled.digest, model.digest);

    const copy = `${registry.host}/team/copy:v1`;
    await store.copy(parseName(pulled.name), parseName(copy));
    const statuses: string[] = [];
    await pushModel(store, copy, { onProgress: ({ status }) => statuses.push(status) });
    assert.equal(statuses[0], 'retrieving manifest');
    assert.equal(statuses.at(-1), 'success');
    await pushModel(store, copy);

    const { store: other } = newStore();
    assert.equal((await pullModel(other, copy)).digest, model.digest);
    assert.equal((await other.resolve(copy)).digest, model.digest);
    const { store: third } = newStore();
    assert.equal((await pullModel(third, `${copy}@${model.digest}`)).digest, model.digest);
    await assert.rejects(pullModel(third, `${registry.host}/team/missing`), { code: 'model_not_found' });
  } finally {
    await registry.close();
  }
});
