/** The folders that hold models, and who wrote what in them. */

import { existsSync } from 'node:fs';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Digest } from './manifest.ts';
import type { ModelName } from './names.ts';

/**
 * A folder in Ollama's layout. `viaduct`: all in it is ours. `ollama`: read only.
 * `shared`: we write into it, and own only what we recorded as ours.
 */
export type StoreRoot = { path: string; owner: 'viaduct' | 'ollama' | 'shared' };

/**
 * Where models are kept, first the folder that is written to: VIADUCT_HOME/models, or OLLAMA_MODELS where only that is set.
 * Ollama's own folder (OLLAMA_MODELS, else ~/.ollama/models) is read in place when it exists.
 */
export function storeRoots(env: NodeJS.ProcessEnv = process.env): [StoreRoot, ...StoreRoot[]] {
  const { VIADUCT_HOME: home, OLLAMA_MODELS: ollama } = env;
  const user = env['HOME'] || homedir();
  const own = resolve(home || join(user, '.viaduct'), 'models');
  if (ollama && !home) {
    return [{ path: resolve(ollama), owner: 'shared' }];
  }
  const theirs = resolve(ollama || join(user, '.ollama/models'));
  const first: StoreRoot = { path: own, owner: 'viaduct' };
  return theirs !== own && existsSync(theirs) ? [first, { path: theirs, owner: 'ollama' }] : [first];
}

export const blobsFolder = (root: StoreRoot) => join(root.path, 'blobs');
export const blobPath = (root: StoreRoot, digest: Digest) => join(blobsFolder(root), digest.replace(':', '-'));
export const manifestsFolder = (root: StoreRoot) => join(root.path, 'manifests');
export const manifestPath = (root: StoreRoot, { host, namespace, model, tag }: ModelName) =>
  join(manifestsFolder(root), host, namespace, model, tag);

/** What Viaduct wrote into a shared folder: one digest a line, of blobs and of manifests. */
const recordFile = (root: StoreRoot) => join(root.path, '.viaduct-written');

/** Note that we wrote `digest`, so that we may later remove it. */
export async function recordWritten(root: StoreRoot, digest: Digest): Promise<void> {
  if (root.owner !== 'shared') return;
  await mkdir(root.path, { recursive: true });
  await appendFile(recordFile(root), `${digest}\n`);
}

/** Who may change what: a test for the digest of a blob or of a manifest in `root`. */
export async function ownership(root: StoreRoot): Promise<(digest: Digest) => boolean> {
  if (root.owner === 'viaduct') return () => true;
  if (root.owner === 'ollama') return () => false;
  const text = await readFile(recordFile(root), 'utf8').catch(() => '');
  const ours = new Set(text.split('\n'));
  return (digest) => ours.has(digest);
}
