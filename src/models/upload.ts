/** A blob that a client sends. */
import { createHash, randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ViaductError } from '../core/errors.ts';
import { diskError, needFreeSpace } from './disk.ts';
import { type Digest, isDigest } from './manifest.ts';
import type { ModelStore } from './store.ts';

/** Throws invalid_digest. */
export function checkedDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new ViaductError('invalid_digest', `"${text.slice(0, 100)}" is not a digest: "sha256:" and 64 hex digits.`, {
    param: 'digest',
  });
}

/**
 * Store `body` as the blob `digest`; `length` in bytes, where the client says it. Throws invalid_digest when the bytes hash
 * to something else, disk_full; then nothing is left.
 */
export async function receiveBlob(
  store: ModelStore,
  digest: Digest,
  body: AsyncIterable<Buffer>,
  length: number | undefined,
): Promise<void> {
  const final = await store.newBlobPath(digest);
  if (length !== undefined) await needFreeSpace(dirname(final), length);
  const temporary = join(dirname(final), `.upload-${randomUUID()}`);
  const hash = createHash('sha256');
  try {
    const file = await open(temporary, 'wx');
    try {
      for await (const chunk of body) {
        hash.update(chunk);
        await file.writeFile(chunk);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    const got: Digest = `sha256:${hash.digest('hex')}`;
    if (got !== digest)
      throw new ViaductError('invalid_digest', `The bytes hash to ${got}, not to ${digest}. Send the file again.`, {
        param: 'digest',
      });
    await store.recordBlob(digest);
    await rename(temporary, final);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw diskError(cause, final);
  }
}
