/**
 * The models on this machine, in Ollama's own on-disk layout: `manifests/HOST/NAMESPACE/MODEL/TAG` and `blobs/sha256-…`.
 * A store is a list of such folders: the first is written to, the others (Ollama's own) are read in place.
 * Source: https://github.com/ollama/ollama (server/manifest.go, server/modelpath.go).
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { ViaductError } from '../core/errors.ts';
import { diskError } from './disk.ts';
import { readLayers } from './layers.ts';
import { blobsOf, type Digest, isDigest, type Manifest, mediaTypes, parseConfig, parseManifest } from './manifest.ts';
import type { ResolvedModel, StoredModel } from './model.ts';
import { displayName, type ModelName, nameKey, parseName } from './names.ts';
import {
  blobPath,
  blobsFolder,
  manifestPath,
  manifestsFolder,
  type Ownership,
  ownership,
  recordBlob,
  recordManifest,
  type StoreRoot,
} from './roots.ts';

export type { ResolvedModel, StoredMessage, StoredModel } from './model.ts';

export type ModelStoreOptions = {
  /** See `storeRoots`. */
  roots: [StoreRoot, ...StoreRoot[]];
  /** Pinned digests by name, where only these may be used (`models.lock: enforce`). Asked at every `resolve`. */
  pinned?: () => Record<string, Digest> | undefined;
};

export type ModelStore = {
  /** Where new models go. */
  readonly root: StoreRoot;
  /** Every whole model, newest first. */
  list(): Promise<StoredModel[]>;
  /** The stored model of that name; undefined when there is none. A digest in the name must match the manifest or the weights. */
  find(name: ModelName): Promise<StoredModel | undefined>;
  /**
   * The model behind a client's name (`smollm2:135m`, `smollm2:135m@sha256:…`, any case); cached until its manifest changes.
   * Throws invalid_model_name; model_not_found, whose message lists what is installed and how to pull; lock_drift;
   * model_load_failed when a file of it is missing or broken.
   */
  resolve(name: string): Promise<ResolvedModel>;
  /** What `find` would give, from memory: no disk, no promise. What another process just wrote is seen 2 s later. */
  peek(name: string): StoredModel | undefined;
  /** Bytes of a model's manifest, just as they were written. Throws model_not_found. */
  readManifest(name: ModelName): Promise<Buffer>;
  /** Path of a whole blob in any of the folders. */
  findBlob(digest: Digest): Promise<string | undefined>;
  /** Path that a new blob must be renamed to; its folder exists. `recordBlob` makes it ours. */
  newBlobPath(digest: Digest): Promise<string>;
  recordBlob(digest: Digest): Promise<void>;
  /** A small blob, written and recorded. */
  writeBlob(bytes: Buffer): Promise<{ digest: Digest; size: number }>;
  /**
   * Put a manifest in place, in one step, once all its blobs are there. What it replaces is cleaned up.
   * Throws permission_denied where Ollama wrote the old one, conflict when a blob has vanished.
   */
  writeManifest(name: ModelName, bytes: Buffer): Promise<StoredModel>;
  /** Throws model_not_found, permission_denied. */
  copy(source: ModelName, destination: ModelName): Promise<void>;
  /** Remove a model and the blobs that nothing else needs. Throws model_not_found, permission_denied. */
  remove(name: ModelName): Promise<void>;
  /** Remove our blobs among these that no model needs: what a failed pull leaves. */
  discard(digests: Digest[]): Promise<void>;
  /** Keep blobs from being cleaned up while a model is being put together; call the result when done. */
  hold(digests: Digest[]): () => void;
};

type Entry = StoredModel & { key: string; weights: Digest | undefined; root: StoreRoot; path: string; stamp: string };

/** How old the index behind `peek` may get, ms. */
const indexAge = 2000;

export function createModelStore({ roots, pinned }: ModelStoreOptions): ModelStore {
  const [root] = roots;
  let index = new Map<string, Entry>();
  let indexedAt = 0;
  let scanning: Promise<void> | undefined;
  const resolved = new Map<string, { stamp: string; model: Promise<ResolvedModel> }>();
  const held = new Map<Digest, number>();

  const scan = () => {
    scanning ??= readIndex().finally(() => {
      scanning = undefined;
    });
    return scanning;
  };

  async function readIndex() {
    const known = new Map([...index.values()].map((entry) => [entry.path, entry]));
    const fresh = new Map<string, Entry>();
    for (const from of roots) {
      const owns = await ownership(from);
      for (const path of await manifestFiles(from)) {
        const entry = await readEntry(from, path, owns, known.get(path));
        // The first folder wins: a model of ours hides Ollama's of the same name.
        if (entry && !fresh.has(entry.key) && (await isWhole(entry.manifest))) fresh.set(entry.key, entry);
      }
    }
    index = fresh;
    indexedAt = Date.now();
    for (const path of resolved.keys()) if (![...fresh.values()].some((e) => e.path === path)) resolved.delete(path);
  }

  async function readEntry(
    from: StoreRoot,
    path: string,
    owns: Ownership,
    known: Entry | undefined,
  ): Promise<Entry | undefined> {
    try {
      const found = await stat(path);
      const stamp = stampOf(found);
      if (known?.stamp === stamp) return { ...known, writable: owns.manifest(path, known.digest) };
      const name = nameOfPath(from, path);
      const bytes = await readFile(path);
      const manifest = parseManifest(bytes, path);
      const digest = digestOf(bytes);
      const configPath = await findBlob(manifest.config.digest);
      if (!name || !configPath) return undefined;
      return {
        name: displayName(name),
        key: nameKey(name),
        digest,
        manifest,
        config: parseConfig(await readFile(configPath), path),
        weights: manifest.layers.find(({ mediaType }) => mediaType === mediaTypes.model)?.digest,
        size: blobsOf(manifest).reduce((sum, blob) => sum + blob.size, 0),
        modifiedAt: Math.round(found.mtimeMs),
        writable: owns.manifest(path, digest),
        root: from,
        path,
        stamp,
      };
    } catch {
      // Half a manifest, a stranger's file, or one that was just removed: it is no model.
      return undefined;
    }
  }

  const isWhole = async (manifest: Manifest) =>
    (await Promise.all(blobsOf(manifest).map(({ digest, size }) => hasBlob(digest, size)))).every(Boolean);

  async function findBlob(digest: Digest) {
    if (!isDigest(digest)) return undefined;
    for (const from of roots) {
      const path = blobPath(from, digest);
      if (await fileSize(path).then((size) => size !== undefined)) return path;
    }
    return undefined;
  }

  async function hasBlob(digest: Digest, size: number) {
    for (const from of roots) if ((await fileSize(blobPath(from, digest))) === size) return true;
    return false;
  }

  /** The entry of that name as the disk has it now: one `stat` when nothing changed. */
  async function find(name: ModelName): Promise<Entry | undefined> {
    if (name.digest) {
      await scan();
      const { digest, given } = name;
      const sameModel = nameKey({ ...name, tag: '' });
      return [...index.values()].find(
        (entry) =>
          (entry.digest === digest || entry.weights === digest) &&
          (given.tag ? entry.key === nameKey(name) : entry.key.startsWith(sameModel)),
      );
    }
    const known = index.get(nameKey(name));
    if (known && (await isUnchanged(known, name))) return known;
    await rescan();
    return index.get(nameKey(name));
  }

  async function isUnchanged(known: Entry, name: ModelName) {
    for (const from of roots) {
      const path = from === known.root ? known.path : manifestPath(from, name);
      const now = await stat(path).catch(() => undefined);
      if (from === known.root) return now !== undefined && stampOf(now) === known.stamp;
      if (now) return false;
    }
    return false;
  }

  async function need(name: ModelName): Promise<Entry> {
    const entry = await find(name);
    if (entry) return entry;
    const installed = [...index.values()].map((other) => other.name).sort();
    const asked = displayName(name);
    const other = name.digest && index.get(nameKey(name));
    const exact = name.digest ? `${asked}@${name.digest}` : asked;
    const why = other
      ? `${asked} is installed with digest ${other.digest}, not with ${name.digest}.`
      : `There is no model "${asked}" on this machine. Installed: ${installed.join(', ') || 'none'}.`;
    throw new ViaductError('model_not_found', `${why} Pull it with: viaduct pull ${exact}`, { param: 'model' });
  }

  function checkPinned({ name, digest, key }: Entry) {
    const pins = pinned?.();
    if (!pins) return;
    const pin = Object.entries(pins).find(([other]) => nameKey(parseName(other)) === key)?.[1];
    if (pin === digest) return;
    throw new ViaductError(
      'lock_drift',
      pin
        ? `${name} is not what viaduct.lock pins: installed ${digest}, pinned ${pin}. Get it with: viaduct pull --frozen ${name}`
        : `${name} is not in viaduct.lock. Add it with: viaduct lock ${name}`,
      { param: 'model' },
    );
  }

  async function mustBeOurs(entry: Entry, action: string) {
    if (entry.root === root && (await ownership(root)).manifest(entry.path, entry.digest)) return;
    throw new ViaductError(
      'permission_denied',
      `${entry.name} was installed by Ollama, in ${entry.root.path}: Viaduct uses it but does not ${action} it. Use ollama itself for that.`,
      { param: 'model' },
    );
  }

  /** Remove our blobs among `candidates` that no manifest needs any more. */
  async function collect(candidates: Digest[]) {
    const needed = new Set<Digest>();
    for (const from of roots)
      for (const path of await manifestFiles(from))
        for (const { digest } of await readFile(path).then(
          (bytes) => blobsOf(parseManifest(bytes, path)),
          () => [],
        ))
          needed.add(digest);
    const owns = await ownership(root);
    for (const digest of candidates)
      if (!needed.has(digest) && !held.has(digest) && owns.blob(digest))
        await rm(blobPath(root, digest), { force: true });
  }

  async function writeBlob(bytes: Buffer) {
    const digest = digestOf(bytes);
    if (!(await hasBlob(digest, bytes.length))) {
      await writeWhole(await newBlobPath(digest), bytes);
      await recordBlob(root, digest);
    }
    return { digest, size: bytes.length };
  }

  async function newBlobPath(digest: Digest) {
    await mkdir(blobsFolder(root), { recursive: true });
    return blobPath(root, digest);
  }

  /** Write beside, then rename: nobody ever sees half a file. */
  async function writeWhole(path: string, bytes: Buffer) {
    const temporary = join(blobsFolder(root), `.new-${randomUUID()}`);
    try {
      await mkdir(dirname(temporary), { recursive: true });
      await mkdir(dirname(path), { recursive: true });
      await writeFile(temporary, bytes);
      await rename(temporary, path);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw diskError(cause, path);
    }
  }

  async function writeManifest(name: ModelName, bytes: Buffer) {
    const manifest = parseManifest(bytes, displayName(name));
    const existing = await find(withoutDigest(name));
    // A model of Ollama's folder stays there; ours of the same name hides it.
    const old = existing?.root === root ? existing : undefined;
    const digest = digestOf(bytes);
    if (old?.digest === digest) return old;
    if (old) await mustBeOurs(old, 'change');
    if (!(await isWhole(manifest)))
      throw new ViaductError('conflict', `A file of ${displayName(name)} was removed meanwhile. Try again.`);
    // Of names that differ by case only there is one: the one that was there first.
    const path = old?.path ?? manifestPath(root, name);
    await recordManifest(root, path, digest);
    await writeWhole(path, bytes);
    if (old) await collect(digestsOf(old.manifest));
    await rescan();
    return need(withoutDigest(name));
  }

  /** A scan that began before a change does not count. */
  async function rescan() {
    await scanning;
    await scan();
  }

  return {
    root,
    async list() {
      await rescan();
      return [...index.values()].sort((a, b) => b.modifiedAt - a.modifiedAt || a.name.localeCompare(b.name));
    },
    find,
    async resolve(text) {
      const entry = await need(parseName(text));
      checkPinned(entry);
      const cached = resolved.get(entry.path);
      if (cached?.stamp === entry.stamp) return cached.model;
      const model = readLayers(publicPart(entry), findBlob);
      resolved.set(entry.path, { stamp: entry.stamp, model });
      // A failure is not remembered: the file may be repaired.
      model.catch(() => resolved.delete(entry.path));
      return model;
    },
    peek(text) {
      if (Date.now() - indexedAt > indexAge) scan().catch(() => {});
      try {
        return index.get(nameKey(parseName(text)));
      } catch {
        return undefined;
      }
    },
    readManifest: async (name) => readFile((await need(name)).path),
    findBlob,
    newBlobPath,
    recordBlob: (digest) => recordBlob(root, digest),
    writeBlob,
    writeManifest,
    async copy(source, destination) {
      const entry = await need(source);
      await writeManifest(destination, await readFile(entry.path));
    },
    async remove(name) {
      const entry = await need(name);
      await mustBeOurs(entry, 'remove');
      await rm(entry.path, { force: true });
      await removeEmptyFolders(dirname(entry.path), manifestsFolder(root));
      await collect(digestsOf(entry.manifest));
      await rescan();
    },
    discard: collect,
    hold(digests) {
      for (const digest of digests) held.set(digest, (held.get(digest) ?? 0) + 1);
      return () => {
        for (const digest of digests) {
          const left = (held.get(digest) ?? 1) - 1;
          if (left > 0) held.set(digest, left);
          else held.delete(digest);
        }
      };
    },
  };
}

const withoutDigest = ({ digest: _digest, ...name }: ModelName): ModelName => name;

const publicPart = ({ key: _key, weights: _weights, root: _root, path: _path, stamp: _stamp, ...stored }: Entry) =>
  stored;

const digestsOf = (manifest: Manifest) => blobsOf(manifest).map(({ digest }) => digest);

const stampOf = ({ mtimeMs, size }: { mtimeMs: number; size: number }) => `${mtimeMs}-${size}`;

/** `sha256:…` of some bytes. */
export const digestOf = (bytes: Buffer | string): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const fileSize = (path: string) =>
  stat(path).then(
    (found) => (found.isFile() ? found.size : undefined),
    () => undefined,
  );

async function manifestFiles(root: StoreRoot): Promise<string[]> {
  const entries = await readdir(manifestsFolder(root), { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}

function nameOfPath(root: StoreRoot, path: string): ModelName | undefined {
  const [host, namespace, model, tag, ...more] = relative(manifestsFolder(root), path).split(/[\\/]/);
  return more.length === 0 && tag ? parseName(`${host}/${namespace}/${model}:${tag}`) : undefined;
}

async function removeEmptyFolders(folder: string, upTo: string) {
  for (let at = folder; at !== upTo && at.startsWith(upTo); at = dirname(at))
    if (
      !(await rmdir(at).then(
        () => true,
        () => false,
      ))
    )
      return;
}
