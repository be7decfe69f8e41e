/** What a pull source works with. */
import { join } from 'node:path';
import { needFreeSpace } from './disk.ts';
import { type Download, download } from './download.ts';
import type { Digest } from './manifest.ts';
import type { ModelName } from './names.ts';
import { partialCompleted } from './partial.ts';
import { blobsFolder } from './roots.ts';
import type { ModelStore } from './store.ts';
import type { TransferSettings } from './transfer.ts';

/** One line of a pull's or push's progress, as Ollama's API streams it. Sizes in bytes. */
export type PullProgress = { status: string; digest?: string; total?: number; completed?: number };

export type PullContext = {
  store: ModelStore;
  insecure: boolean;
  signal: AbortSignal;
  settings: TransferSettings;
  env: NodeJS.ProcessEnv;
  report(progress: PullProgress): void;
  /** Blobs of this pull, kept from being cleaned up until it ends. */
  hold(digests: Digest[]): void;
};

/** A source: name or address → bytes of the manifest to write, every blob of it in the store. */
export type PullSource = (name: ModelName, context: PullContext) => Promise<Buffer>;

/** Path of an unfinished blob. `key` is the digest, or what stands for it while nobody knows it. */
export const partialPath = (store: ModelStore, key: string) =>
  join(blobsFolder(store.root), `${key.replace(':', '-')}.partial`);

/** Say before downloading that the disk is too small for what is still missing. Throws disk_full. */
export async function needSpaceFor({ store }: PullContext, blobs: { digest: Digest | undefined; size: number }[]) {
  let missing = 0;
  for (const { digest, size } of blobs)
    if (!digest) missing += size;
    else if (!(await store.findBlob(digest, size)))
      missing += size - (await partialCompleted(partialPath(store, digest)));
  await store.prepare();
  await needFreeSpace(blobsFolder(store.root), missing);
}

export type WantedBlob = Pick<Download, 'digest' | 'size' | 'label' | 'open'> & {
  /** What stands for the digest where that is not known. */
  key?: string;
};

/** Bring one blob into the store, telling how far it is. */
export async function fetchBlob(
  { store, signal, settings, report, hold }: PullContext,
  { key, ...wanted }: WantedBlob,
): Promise<{ digest: Digest; size: number }> {
  const { digest } = wanted;
  let result = { digest: digest ?? '', size: wanted.size ?? 0 };
  const title = digest ? `pulling ${shortDigest(digest)}` : `pulling ${wanted.label}`;
  const about = digest ? { digest } : {};
  let verifying = false;
  await download(
    {
      ...wanted,
      partialPath: partialPath(store, key ?? digest ?? ''),
      settings,
      isDone: async () => digest !== undefined && (await store.findBlob(digest, wanted.size)) !== undefined,
      async finish(whole) {
        result = { digest: whole.digest, size: whole.size };
        const path = await store.newBlobPath(whole.digest);
        await store.recordBlob(whole.digest);
        await whole.moveTo(path);
      },
    },
    {
      signal,
      onProgress(progress) {
        if (progress.verifying && !verifying) report({ status: 'verifying sha256 digest' });
        verifying = progress.verifying;
        if (!verifying) report({ status: title, ...about, total: progress.total, completed: progress.completed });
      },
    },
  );
  hold([result.digest]);
  return result;
}

/** First 12 hex digits, as Ollama shows a digest. */
export const shortDigest = (digest: Digest) => digest.slice('sha256:'.length, 'sha256:'.length + 12);
