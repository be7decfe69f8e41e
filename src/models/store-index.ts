/** What lies in the folders of a store: whole models by name, kept in memory and checked against the disk. */
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { blobsOf, type Digest, isDigest, type Manifest, mediaTypes, parseConfig, parseManifest } from './manifest.ts';
import type { StoredModel } from './model.ts';
import { displayName, type ModelName, nameKey, parseName } from './names.ts';
import { blobPath, manifestPath, manifestsFolder, type Ownership, ownership, type StoreRoot } from './roots.ts';

export type Entry = StoredModel & {
  /** `nameKey` of its name. */
  key: string;
  weights: Digest | undefined;
  root: StoreRoot;
  /** Of the manifest. */
  path: string;
  /** Changes with the manifest. */
  stamp: string;
};

export type StoreIndex = {
  /** By `nameKey`, as of the last look at the disk. */
  get(key: string): Entry | undefined;
  entries(): Entry[];
  /** Milliseconds since the last look. */
  age(): number;
  /** Look at the disk. A look that has begun is shared. */
  scan(): Promise<void>;
  /** Look at the disk, from now on: a look that began before a change does not count. */
  rescan(): Promise<void>;
  /** The entry of that name as the disk has it now: one `stat` when nothing changed. */
  find(name: ModelName): Promise<Entry | undefined>;
  /** Path of a blob; with `size`, of one that has so many bytes. */
  findBlob(digest: Digest, size?: number): Promise<string | undefined>;
  /** Every blob is there, with the size that the manifest says. */
  isWhole(manifest: Manifest): Promise<boolean>;
  /** Digests that the manifests on disk need. */
  neededBlobs(): Promise<Set<Digest>>;
};

export function createStoreIndex(roots: StoreRoot[]): StoreIndex {
  let index = new Map<string, Entry>();
  let readAt = 0;
  let scanning: Promise<void> | undefined;

  const scan = () => {
    scanning ??= readIndex().finally(() => {
      scanning = undefined;
    });
    return scanning;
  };

  async function rescan() {
    await scanning;
    await scan();
  }

  async function readIndex() {
    const known = new Map([...index.values()].map((entry) => [entry.path, entry]));
    const fresh = new Map<string, Entry>();
    for (const root of roots) {
      const owns = await ownership(root);
      for (const path of await manifestFiles(root)) {
        const entry = await readEntry(root, path, owns, known.get(path));
        // The first folder wins: a model of ours hides Ollama's of the same name.
        if (entry && !fresh.has(entry.key) && (await isWhole(entry.manifest))) fresh.set(entry.key, entry);
      }
    }
    index = fresh;
    readAt = Date.now();
  }

  async function readEntry(root: StoreRoot, path: string, owns: Ownership, known: Entry | undefined) {
    try {
      const found = await stat(path);
      const stamp = stampOf(found);
      if (known?.stamp === stamp) return { ...known, writable: owns.manifest(path, known.digest) };
      const name = nameOfPath(root, path);
      const bytes = await readFile(path);
      const manifest = parseManifest(bytes, path);
      const digest = digestOf(bytes);
      const configPath = await findBlob(manifest.config.digest);
      if (!name || !configPath) return undefined;
      const entry: Entry = {
        name: displayName(name),
        key: nameKey(name),
        digest,
        manifest,
        config: parseConfig(await readFile(configPath), path),
        weights: manifest.layers.find(({ mediaType }) => mediaType === mediaTypes.model)?.digest,
        size: blobsOf(manifest).reduce((sum, blob) => sum + blob.size, 0),
        modifiedAt: Math.round(found.mtimeMs),
        writable: owns.manifest(path, digest),
        root,
        path,
        stamp,
      };
      return entry;
    } catch {
      // Half a manifest, a stranger's file, or one that was just removed: it is no model.
      return undefined;
    }
  }

  async function isWhole(manifest: Manifest) {
    const found = await Promise.all(blobsOf(manifest).map(({ digest, size }) => findBlob(digest, size)));
    return found.every((path) => path !== undefined);
  }

  async function findBlob(digest: Digest, size?: number) {
    if (!isDigest(digest)) return undefined;
    for (const root of roots) {
      const path = blobPath(root, digest);
      const found = await stat(path).catch(() => undefined);
      if (found?.isFile() && (size === undefined || found.size === size)) return path;
    }
    return undefined;
  }

  async function isUnchanged(known: Entry, name: ModelName) {
    for (const root of roots) {
      const path = root === known.root ? known.path : manifestPath(root, name);
      const now = await stat(path).catch(() => undefined);
      if (root === known.root) return now !== undefined && stampOf(now) === known.stamp;
      if (now) return false;
    }
    return false;
  }

  async function findExact({ digest, given, ...name }: ModelName) {
    await rescan();
    const key = nameKey({ ...name, given });
    const sameModel = key.slice(0, key.lastIndexOf(':') + 1);
    return [...index.values()].find(
      (entry) =>
        (entry.digest === digest || entry.weights === digest) &&
        (given.tag ? entry.key === key : entry.key.startsWith(sameModel)),
    );
  }

  return {
    get: (key) => index.get(key),
    entries: () => [...index.values()],
    age: () => Date.now() - readAt,
    scan,
    rescan,
    async find(name) {
      if (name.digest) return findExact(name);
      const known = index.get(nameKey(name));
      if (known && (await isUnchanged(known, name))) return known;
      await rescan();
      return index.get(nameKey(name));
    },
    findBlob,
    isWhole,
    async neededBlobs() {
      const needed = new Set<Digest>();
      for (const root of roots)
        for (const path of await manifestFiles(root)) for (const digest of await digestsIn(path)) needed.add(digest);
      return needed;
    },
  };
}

/** `sha256:…` of some bytes. */
export const digestOf = (bytes: Buffer | string): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const stampOf = ({ mtimeMs, size }: { mtimeMs: number; size: number }) => `${mtimeMs}-${size}`;

async function digestsIn(path: string): Promise<Digest[]> {
  try {
    return blobsOf(parseManifest(await readFile(path), path)).map(({ digest }) => digest);
  } catch {
    return [];
  }
}

async function manifestFiles(root: StoreRoot): Promise<string[]> {
  const entries = await readdir(manifestsFolder(root), { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
}

function nameOfPath(root: StoreRoot, path: string): ModelName | undefined {
  const [host, namespace, model, tag, ...more] = relative(manifestsFolder(root), path).split(/[\\/]/);
  return more.length === 0 && tag ? parseName(`${host}/${namespace}/${model}:${tag}`) : undefined;
}
