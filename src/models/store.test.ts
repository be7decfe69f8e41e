import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeModel, type TestModel } from '../../test/support/registry.ts';
import type { Digest } from './manifest.ts';
import { parseName } from './names.ts';
import { storeRoots } from './roots.ts';
import { createModelStore } from './store.ts';

const folder = mkdtempSync(join(tmpdir(), 'viaduct-store-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const newFolder = () => mkdtempSync(join(folder, 'root-'));

/** Put a model into a folder as Ollama does. */
function writeAsOllama(root: string, path: string, model: TestModel) {
  for (const { digest, bytes } of model.blobs) {
    const file = join(root, 'blobs', digest.replace(':', '-'));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
  }
  const manifest = join(root, 'manifests', path);
  mkdirSync(dirname(manifest), { recursive: true });
  writeFileSync(manifest, model.manifest);
}

/** Every file of a folder with its content's digest and time: what "unchanged" means. */
const snapshot = (root: string) =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((file) => `${file} ${statSync(join(root, file)).mtimeMs} ${statSync(join(root, file)).size}`)
    .sort();

const library = 'registry.ollama.ai/library';

test('a folder that Ollama wrote is used in place and never changed', async () => {
  const theirs = newFolder();
  const ours = newFolder();
  const model = makeModel();
  writeAsOllama(theirs, `${library}/llama3/8b`, model);
  const before = snapshot(theirs);
  const store = createModelStore({
    roots: [
      { path: ours, owner: 'viaduct' },
      { path: theirs, owner: 'ollama' },
    ],
  });
  const [listed] = await store.list();
  assert.equal(listed?.name, 'llama3:8b');
  assert.equal(listed?.writable, false);
  const resolved = await store.resolve('LLAMA3:8B');
  assert.ok(resolved.modelPath.startsWith(theirs));
  await assert.rejects(store.remove(parseName('llama3:8b')), { code: 'permission_denied', message: /Ollama/ });

  await store.copy(parseName('llama3:8b'), parseName('mine'));
  assert.ok((await store.resolve('mine')).modelPath.startsWith(theirs), 'weights are not copied');
  await store.remove(parseName('mine'));
  assert.deepEqual(snapshot(theirs), before);
  await assert.rejects(store.resolve('mine'), { code: 'model_not_found' });
});

test('in a folder that is shared with Ollama only what we wrote is ours', async () => {
  const root = newFolder();
  const model = makeModel();
  writeAsOllama(root, `${library}/theirs/latest`, model);
  const before = snapshot(root);
  const store = createModelStore({ roots: [{ path: root, owner: 'shared' }] });
  await store.copy(parseName('theirs'), parseName('ours'));
  const other = makeModel();
  for (const { bytes } of other.blobs) await store.writeBlob(bytes);
  await assert.rejects(store.writeManifest(parseName('theirs'), other.manifest), { code: 'permission_denied' });
  await assert.rejects(store.remove(parseName('theirs')), { code: 'permission_denied' });
  await store.writeManifest(parseName('new'), other.manifest);
  await store.remove(parseName('new'));
  assert.equal(await store.findBlob(other.weights.digest), undefined);
  await store.resolve('theirs');
  assert.deepEqual(
    snapshot(root).filter((line) => /theirs|sha256/.test(line)),
    before.filter((line) => /theirs|sha256/.test(line)),
  );
});

test('removing a model keeps the blobs that another needs', async () => {
  const root = newFolder();
  const model = makeModel();
  writeAsOllama(root, `${library}/a/latest`, model);
  const store = createModelStore({ roots: [{ path: root, owner: 'viaduct' }] });
  await store.copy(parseName('a'), parseName('b'));
  await store.remove(parseName('a'));
  assert.equal((await store.resolve('b')).digest, model.digest);
  await store.remove(parseName('b'));
  assert.deepEqual(readdirSync(join(root, 'blobs')), []);
  assert.equal(existsSync(join(root, 'manifests/registry.ollama.ai')), false);
});

test('a blob that is held outlives the model', async () => {
  const root = newFolder();
  const model = makeModel();
  writeAsOllama(root, `${library}/a/latest`, model);
  const store = createModelStore({ roots: [{ path: root, owner: 'viaduct' }] });
  const release = store.hold([model.weights.digest]);
  await store.remove(parseName('a'));
  assert.ok(await store.findBlob(model.weights.digest));
  release();
  await store.discard([model.weights.digest]);
  assert.equal(await store.findBlob(model.weights.digest), undefined);
});

test('prune removes what is old and of no use, and nothing else', async () => {
  const root = newFolder();
  writeAsOllama(root, `${library}/a/latest`, makeModel());
  const store = createModelStore({ roots: [{ path: root, owner: 'viaduct' }] });
  const before = readdirSync(join(root, 'blobs')).sort();
  const { digest } = await store.writeBlob(Buffer.from('nobody needs this'));
  for (const file of ['.new-1', '.upload-2', `${digest.replace(':', '-')}.partial`, `sha256-x.partial.json`])
    writeFileSync(join(root, 'blobs', file), 'x');
  writeFileSync(join(root, 'blobs', 'sha256-theirs-partial-0'), 'x');
  await store.prune(60_000);
  assert.ok(await store.findBlob(digest), 'too young');
  await sleep(5);
  await store.prune(0);
  assert.deepEqual(readdirSync(join(root, 'blobs')).sort(), [...before, 'sha256-theirs-partial-0'].sort());
  await store.resolve('a');
});

test('what is not whole is not listed', async () => {
  const root = newFolder();
  const store = createModelStore({ roots: [{ path: root, owner: 'viaduct' }] });
  const models = [makeModel(), makeModel(), makeModel()] as const;
  for (const [index, model] of models.entries()) writeAsOllama(root, `${library}/m${index}/latest`, model);
  const blob = (model: TestModel) => join(root, 'blobs', model.weights.digest.replace(':', '-'));
  rmSync(blob(models[0]));
  appendFileSync(blob(models[1]), 'x');
  writeFileSync(join(root, 'manifests', library, 'm2/half'), models[2].manifest.subarray(0, 100));
  mkdirSync(join(root, 'manifests', library, 'm2/.hidden'), { recursive: true });
  assert.deepEqual(
    (await store.list()).map(({ name }) => name),
    ['m2:latest'],
  );
});

test('an unknown model: what there is, and how to get it', async () => {
  const root = newFolder();
  const store = createModelStore({ roots: [{ path: root, owner: 'viaduct' }] });
  await assert.rejects(store.resolve('nope:1b'), {
    code: 'model_not_found',
    param: 'model',
    message: 'There is no model "nope:1b" on this machine. Installed: none. Pull it with: viaduct pull nope:1b',
  });
  writeAsOllama(root, `${library}/a/latest`, makeModel());
  writeAsOllama(root, 'hf.co/org/repo/Q4_K_M', makeModel());
  await assert.rejects(store.resolve('nope'), { message: /Installed: a:latest, hf\.co\/org\/repo:Q4_K_M\./ });
});

test('what another process writes is seen: at once by resolve, soon by peek', async () => {
  const root = newFolder();
  const store = createModelStore({ roots: [{ path: root, owner: 'viaduct' }] });
  await store.list();
  assert.equal(store.peek('a'), undefined);
  const first = makeModel();
  writeAsOllama(root, `${library}/a/latest`, first);
  assert.equal((await store.resolve('a')).digest, first.digest);
  assert.equal(store.peek('a')?.digest, first.digest);
  const second = makeModel();
  await sleep(20);
  writeAsOllama(root, `${library}/a/latest`, second);
  assert.equal((await store.resolve('a')).digest, second.digest);
  rmSync(join(root, 'manifests', library, 'a/latest'));
  await assert.rejects(store.resolve('a'), { code: 'model_not_found' });
  assert.equal(await store.resolve('a').catch(() => undefined), undefined);
});

test('asked twice, a model is read once', async () => {
  const root = newFolder();
  writeAsOllama(root, `${library}/a/latest`, makeModel());
  const store = createModelStore({ roots: [{ path: root, owner: 'viaduct' }] });
  assert.equal(await store.resolve('a'), await store.resolve('A:latest'));
});

test('names that differ by case only are one model', async () => {
  const root = newFolder();
  writeAsOllama(root, `${library}/Model/latest`, makeModel());
  const store = createModelStore({ roots: [{ path: root, owner: 'viaduct' }] });
  await store.copy(parseName('model'), parseName('MODEL:latest'));
  assert.deepEqual(
    (await store.list()).map(({ name }) => name),
    ['Model:latest'],
  );
});

test('pinned: only what viaduct.lock says may be used', async () => {
  const root = newFolder();
  const model = makeModel();
  writeAsOllama(root, `${library}/a/latest`, model);
  let pins: Record<string, Digest> | undefined;
  const store = createModelStore({ roots: [{ path: root, owner: 'viaduct' }], pinned: () => pins });
  await store.resolve('a');
  pins = { 'a:latest': model.digest };
  await store.resolve('a');
  pins = { 'a:latest': model.weights.digest };
  await assert.rejects(store.resolve('a'), { code: 'lock_drift', message: /pinned sha256/ });
  pins = {};
  await assert.rejects(store.resolve('a'), { code: 'lock_drift', message: /not in viaduct\.lock/ });
});

test('where models are kept', () => {
  const home = newFolder();
  const own = join(home, '.viaduct/models');
  assert.deepEqual(storeRoots({ HOME: home }), [{ path: own, owner: 'viaduct' }]);
  const theirs = join(home, '.ollama/models');
  mkdirSync(theirs, { recursive: true });
  assert.deepEqual(storeRoots({ HOME: home }), [
    { path: own, owner: 'viaduct' },
    { path: theirs, owner: 'ollama' },
  ]);
  const given = newFolder();
  assert.deepEqual(storeRoots({ HOME: home, OLLAMA_MODELS: given }), [{ path: given, owner: 'shared' }]);
  assert.deepEqual(storeRoots({ HOME: home, VIADUCT_HOME: join(home, 'v'), OLLAMA_MODELS: given }), [
    { path: join(home, 'v/models'), owner: 'viaduct' },
    { path: given, owner: 'ollama' },
  ]);
});

test('a file that Ollama wrote reads as it is', async () => {
  const root = newFolder();
  const model = makeModel();
  writeAsOllama(root, `${library}/a/latest`, model);
  const store = createModelStore({ roots: [{ path: root, owner: 'viaduct' }] });
  assert.deepEqual(
    await store.readManifest(parseName('a')),
    readFileSync(join(root, 'manifests', library, 'a/latest')),
  );
});
