/** The folders that hold models, and who wrote what in them. */

import { existsSync } from 'node:fs';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { homeOf } from '../lib/home.ts';
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
  const own = join(homeOf(env), 'models');
  if (ollama && !home) return [{ path: resolve(ollama), owner: 'shared' }];
  const theirs = resolve(ollama || join(env['HOME'] || homedir(), '.ollama/models'));
  const first: StoreRoot = { path: own, owner: 'viaduct' };
  return theirs !== own && existsSync(theirs) ? [first, { path: theirs, owner: 'ollama' }] : [first];
}

export const blobsFolder = (root: StoreRoot) => join(root.path, 'blobs');
export const blobPath = (root: StoreRoot, digest: Digest) => join(blobsFolder(root), digest.replace(':', '-'));
export const manifestsFolder = (root: StoreRoot) => join(root.path, 'manifests');
export const manifestPath = (root: StoreRoot, { host, namespace, model, tag }: ModelName) =>
  join(manifestsFolder(root), host, namespace, model, tag);

/** What Viaduct wrote into a shared folder, one a line: a blob as its digest, a manifest as its path and digest. */
const recordFile = (root: StoreRoot) => join(root.path, '.viaduct-written');

const manifestRecord = (root: StoreRoot, path: string, digest: Digest) => `${relative(root.path, path)} ${digest}`;

async function record(root: StoreRoot, line: string) {
  if (root.owner !== 'shared') return;
  await mkdir(root.path, { recursive: true });
  await appendFile(recordFile(root), `${line}\n`);
}

/** Note that we wrote a blob, so that we may later remove it. */
export const recordBlob = (root: StoreRoot, digest: Digest) => record(root, digest);

/** Note that we wrote a manifest; one that Ollama writes there later is Ollama's again. */
export const recordManifest = (root: StoreRoot, path: string, digest: Digest) =>
  record(root, manifestRecord(root, path, digest));

export type Ownership = { blob(digest: Digest): boolean; manifest(path: string, digest: Digest): boolean };

/** What in `root` is ours to change. */
export async function ownership(root: StoreRoot): Promise<Ownership> {
  if (root.owner !== 'shared') {
    const ours = root.owner === 'viaduct';
    return { blob: () => ours, manifest: () => ours };
  }
  const text = await readFile(recordFile(root), 'utf8').catch(() => '');
  const lines = new Set(text.split('\n'));
  return {
    blob: (digest) => lines.has(digest),
    manifest: (path, digest) => lines.has(manifestRecord(root, path, digest)),
  };
}
