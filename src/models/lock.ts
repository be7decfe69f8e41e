/** viaduct.lock: which exact models a project runs on. */
import { readFile, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { ViaductError } from '../core/errors.ts';
import { type Digest, isDigest } from './manifest.ts';

export const lockFile = 'viaduct.lock';

/** Name as `list` shows it → digest of its manifest. */
export type Lock = Record<string, Digest>;

const schema = z.object({
  version: z.literal(1),
  models: z.record(z.string(), z.string().refine(isDigest, 'is not "sha256:" and 64 hex digits')),
});

/** Throws not_found when there is no such file, invalid_request when it is not a lock file. */
export async function readLock(path: string): Promise<Lock> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new ViaductError('not_found', `There is no ${path}. Make it with: viaduct lock`, { cause });
  }
  try {
    return schema.parse(JSON.parse(text)).models;
  } catch (cause) {
    const issue = cause instanceof z.ZodError ? cause.issues[0] : undefined;
    const why = issue ? `${issue.path.join('.')}: ${issue.message}` : 'it is not JSON';
    throw new ViaductError('invalid_request', `${path} is not a lock file: ${why}.`, { cause });
  }
}

export async function writeLock(path: string, lock: Lock): Promise<void> {
  const models = Object.fromEntries(Object.entries(lock).sort(([a], [b]) => (a < b ? -1 : 1)));
  await writeFile(path, `${JSON.stringify({ version: 1, models }, null, 2)}\n`);
}
