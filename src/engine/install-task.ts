/** What the ways to install an engine share. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { ViaductError } from '../core/errors.ts';

/** One step, or bytes of one. */
export type InstallProgress = { status: string; completed?: number; total?: number };

/** What a source is given: an empty folder to unpack into, and how to report. */
export type InstallTask = {
  /** For downloads; removed afterwards. */
  scratch: string;
  /** Becomes the engine's folder. */
  target: string;
  report: (progress: InstallProgress) => void;
  signal: AbortSignal;
};

/** Throws digest_mismatch unless the file is the one that was recorded. */
export async function verifyFile(path: string, sha256: string, what: string): Promise<void> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  const actual = hash.digest('hex');
  if (actual !== sha256)
    throw new ViaductError(
      'digest_mismatch',
      `${what} has the digest ${actual}, not ${sha256} as recorded, and was thrown away. Check the mirror that it came from.`,
    );
}
