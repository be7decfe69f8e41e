/**
 * Send a model to an OCI registry.
 * Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push
 */
import { createReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ViaductError } from '../core/errors.ts';
import { blobsOf, type Layer, mediaTypes } from './manifest.ts';
import { displayName, parseName } from './names.ts';
import { type PullProgress, shortDigest } from './pull-context.ts';
import { createRegistryClient, type RegistryClient } from './registry-client.ts';
import type { ModelStore } from './store.ts';
import { defaultTransferSettings, header, type Reply, type TransferSettings } from './transfer.ts';

export type PushOptions = {
  insecure?: boolean;
  signal?: AbortSignal;
  onProgress?: (progress: PullProgress) => void;
  settings?: Partial<TransferSettings>;
};

/** Throws model_not_found, permission_denied, registry_unavailable, registry_invalid_response, or the signal's reason. */
export async function pushModel(store: ModelStore, text: string, options: PushOptions = {}): Promise<void> {
  const { insecure = false, signal = new AbortController().signal, onProgress = () => {} } = options;
  const settings = { ...defaultTransferSettings, ...options.settings };
  const name = parseName(text);
  onProgress({ status: 'retrieving manifest' });
  const model = await store.resolve(text);
  const bytes = await store.readManifest(name);
  const registry = createRegistryClient(name, { insecure, actions: 'pull,push', signal, settings });
  for (const blob of blobsOf(model.manifest)) await pushBlob(store, registry, blob, { signal, settings, onProgress });
  onProgress({ status: 'pushing manifest' });
  const { status, host } = await registry.sendSmall(`manifests/${name.tag}`, {
    method: 'PUT',
    headers: { 'content-type': model.manifest.mediaType ?? mediaTypes.manifest },
    body: bytes,
  });
  if (status !== 201 && status !== 200) throw refused(host, `the manifest of ${displayName(name)}`, status);
  onProgress({ status: 'success' });
}

type BlobOptions = Required<Pick<PushOptions, 'signal' | 'onProgress'>> & { settings: TransferSettings };

async function pushBlob(store: ModelStore, registry: RegistryClient, blob: Layer, options: BlobOptions) {
  const { digest, size } = blob;
  const { onProgress, settings, signal } = options;
  const tell = (completed: number) =>
    onProgress({ status: `pushing ${shortDigest(digest)}`, digest, total: size, completed });
  tell(0);
  const head = await registry.send(`blobs/${digest}`, { method: 'HEAD' });
  head.body.destroy();
  if (head.status !== 200)
    for (let attempt = 1; ; attempt += 1)
      try {
        await upload(store, registry, blob, tell);
        break;
      } catch (thrown) {
        signal.throwIfAborted();
        const error = ViaductError.from(thrown);
        if (error.code !== 'registry_unavailable' || attempt >= settings.tries) throw error;
        await sleep(settings.backoff * 2 ** attempt, undefined, { signal });
      }
  tell(size);
}

async function upload(
  store: ModelStore,
  registry: RegistryClient,
  { digest, size }: Layer,
  tell: (sent: number) => void,
) {
  const path = await store.findBlob(digest);
  if (!path) throw new ViaductError('conflict', `The blob ${digest} was removed meanwhile. Try again.`);
  const started = await registry.send('blobs/uploads/', { method: 'POST', body: '' });
  started.body.destroy();
  const location = header(started.headers, 'location');
  if (started.status !== 202 || !location) throw refused(started.host, shortDigest(digest), started.status);
  async function* body() {
    let sent = 0;
    for await (const chunk of createReadStream(path as string, { highWaterMark: 2 ** 18 })) {
      yield chunk as Buffer;
      sent += chunk.length;
      tell(sent);
    }
  }
  const done: Reply = await registry.send(withDigest(location, digest), {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
    body: size === 0 ? '' : body,
  });
  done.body.destroy();
  if (done.status !== 201 && done.status !== 204) throw refused(done.host, shortDigest(digest), done.status);
}

const withDigest = (location: string, digest: string) =>
  `${location}${location.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`;

function refused(host: string, what: string, status: number): ViaductError {
  if (status === 401 || status === 403)
    return new ViaductError(
      'permission_denied',
      `${host} does not let you push ${what}: log in with docker login ${host}.`,
    );
  const code = status === 429 || status >= 500 ? 'registry_unavailable' : 'registry_invalid_response';
  return new ViaductError(code, `${host} refuses ${what} with status ${status}.`);
}
