/**
 * The models on this machine, in Ollama's own on-disk layout: `manifests/HOST/NAMESPACE/MODEL/TAG` and `blobs/sha256-…`.
 * A store is a list of such folders: the first is written to, the others (Ollama's own) are read in place.
 * Source: https://github.com/ollama/ollama (server/manifest.go, server/modelpath.go).
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ViaductError } from '../core/errors.ts';
import { diskError } from './disk.ts';
import { readLayers } from './layers.ts';
import { blobsOf, type Digest, isDigest, type Manifest, parseManifest } from './manifest.ts';
import type { ResolvedModel, StoredModel } from './model.ts';
import { displayName, type ModelName, nameKey, parseName } from './names.ts';
import {
  blobPath,
  blobsFolder,
  manifestPath,
  manifestsFolder,
  ownership,
  recordBlob,
  recordManifest,
  type StoreRoot,
} from './roots.ts';
import { createStoreIndex, digestOf, type Entry } from './store-index.ts';

export type { ResolvedModel, StoredMessage, StoredModel } from './model.ts';
export { digestOf } from './store-index.ts';

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
  /**
   * What `find` would give, from memory: no disk, no promise. What another process just wrote is seen 2 s later. With all that
   * `resolve` gives once the model's files have been read, which the first look begins.
   */
  peek(name: string): StoredModel | ResolvedModel | undefined;
  /** Bytes of a model's manifest, just as they were written. Throws model_not_found. */
  readManifest(name: ModelName): Promise<Buffer>;
  /** Path of a blob in any of the folders; with `size`, of one that has so many bytes. */
  findBlob(digest: Digest, size?: number): Promise<string | undefined>;
  /** Make the folders that are written to. Throws permission_denied, disk_full. */
  prepare(): Promise<void>;
  /**
   * Remove what failed or forgotten work left: files half written, and blobs that nothing needs and nobody touched for
   * `olderThan` ms. A server does this when it starts.
   */
  prune(olderThan: number): Promise<void>;
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

/** How old the index behind `peek` may get, ms; where it has the name, which is looked up on the disk before it is used, older. */
const indexAge = 2000;
const knownIndexAge = 30_000;

export function createModelStore({ roots, pinned }: ModelStoreOptions): ModelStore {
  const [root] = roots;
  const index = createStoreIndex(roots);
  const resolved = new Map<string, Reading>();
  const held = new Map<Digest, number>();

  async function need(name: ModelName): Promise<Entry> {
    const entry = await index.find(name);
    if (entry) return entry;
    const installed = index
      .entries()
      .map((other) => other.name)
      .sort();
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
    const needed = await index.neededBlobs();
    const owns = await ownership(root);
    for (const digest of candidates)
      if (!needed.has(digest) && !held.has(digest) && owns.blob(digest))
        await rm(blobPath(root, digest), { force: true });
  }

  async function writeBlob(bytes: Buffer) {
    const digest = digestOf(bytes);
    if (!(await index.findBlob(digest, bytes.length))) {
      await writeWhole(await newBlobPath(digest), bytes);
      await recordBlob(root, digest);
    }
    return { digest, size: bytes.length };
  }

  async function newBlobPath(digest: Digest) {
    await prepare();
    return blobPath(root, digest);
  }

  const prepare = () => makeFolder(blobsFolder(root));

  async function prune(olderThan: number) {
    const needed = await index.neededBlobs();
    const owns = await ownership(root);
    const folder = blobsFolder(root);
    for (const file of await readdir(folder).catch(() => [])) {
      const path = join(folder, file);
      const age = Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now());
      const digest = file.replace('-', ':');
      const unneeded = isDigest(digest) ? !needed.has(digest) && !held.has(digest) && owns.blob(digest) : isOurs(file);
      if (unneeded && age > olderThan) await rm(path, { recursive: true, force: true });
    }
  }

  /** Write beside, then rename: nobody ever sees half a file. */
  async function writeWhole(path: string, bytes: Buffer) {
    const temporary = join(blobsFolder(root), `.new-${randomUUID()}`);
    try {
      await prepare();
      await makeFolder(dirname(path));
      await writeFile(temporary, bytes);
      await rename(temporary, path);
    } catch (cause) {
      await rm(temporary, { force: true });
      throw diskError(cause, path);
    }
  }

  async function writeManifest(name: ModelName, bytes: Buffer) {
    const manifest = parseManifest(bytes, displayName(name));
    const existing = await index.find(withoutDigest(name));
    // A model of Ollama's folder stays there; ours of the same name hides it.
    const old = existing?.root === root ? existing : undefined;
    const digest = digestOf(bytes);
    if (old?.digest === digest) return old;
    if (old) await mustBeOurs(old, 'change');
    if (!(await index.isWhole(manifest)))
      throw new ViaductError('conflict', `A file of ${displayName(name)} was removed meanwhile. Try again.`);
    // Of names that differ by case only there is one: the one that was there first.
    const path = old?.path ?? manifestPath(root, name);
    await recordManifest(root, path, digest);
    await writeWhole(path, bytes);
    if (old) await collect(digestsOf(old.manifest));
    await index.rescan();
    return need(withoutDigest(name));
  }

  async function resolve(text: string) {
    const entry = await need(parseName(text));
    checkPinned(entry);
    return read(entry).model;
  }

  /** The reading of a model's files that has ended or is under way. */
  function read(entry: Entry): Reading {
    const cached = resolved.get(entry.path);
    if (cached?.stamp === entry.stamp) return cached;
    const reading: Reading = { stamp: entry.stamp, model: readLayers(publicPart(entry), index.findBlob) };
    resolved.set(entry.path, reading);
    reading.model.then(
      (model) => {
        reading.done = model;
      },
      // A failure is not remembered: the file may be repaired.
      () => resolved.delete(entry.path),
    );
    return reading;
  }

  return {
    root,
    async list() {
      await index.rescan();
      return index.entries().sort((a, b) => b.modifiedAt - a.modifiedAt || a.name.localeCompare(b.name));
    },
    find: index.find,
    resolve,
    peek(text) {
      let entry: Entry | undefined;
      try {
        entry = index.get(nameKey(parseName(text)));
      } catch {
        return undefined;
      }
      if (index.age() > (entry ? knownIndexAge : indexAge)) index.scan().catch(() => {});
      return entry && (read(entry).done ?? entry);
    },
    readManifest: async (name) => readFile((await need(name)).path),
    findBlob: index.findBlob,
    prepare,
    prune,
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
      resolved.delete(entry.path);
      await removeEmptyFolders(dirname(entry.path), manifestsFolder(root));
      await collect(digestsOf(entry.manifest));
      await index.rescan();
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

/** A model's files, being read; `done` once they have been. */
type Reading = { stamp: string; model: Promise<ResolvedModel>; done?: ResolvedModel };

const withoutDigest = ({ digest: _digest, ...name }: ModelName): ModelName => name;

const publicPart = ({ key: _key, weights: _weights, root: _root, path: _path, stamp: _stamp, ...stored }: Entry) =>
  stored;

const digestsOf = (manifest: Manifest) => blobsOf(manifest).map(({ digest }) => digest);

/** Names that only Viaduct gives: unfinished downloads and uploads. */
const isOurs = (file: string) => /^\.(new|upload)-|\.partial(\.|$)/.test(file);

async function makeFolder(path: string) {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    throw diskError(cause, join(path, 'file'));
  }
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
