/**
 * A download that is not whole yet: a data file with holes, and beside it a small file that says which bytes are there.
 * Every write of data is followed by one of the other, so that a kill -9 costs at most the last chunk.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { z } from 'zod';
import { diskError } from './disk.ts';
import type { Digest } from './manifest.ts';

/** A stretch of the file that one connection fills from its start; `end` is exclusive. */
export type Segment = { start: number; end: number; done: number };

/** Stands for the size of a file whose server does not say how long it is. */
export const unknownSize = Number.MAX_SAFE_INTEGER;

const progressSchema = z.object({
  size: z.number().int().nonnegative(),
  validator: z.string(),
  segments: z
    .array(z.object({ start: z.number().int(), end: z.number().int(), done: z.number().int().nonnegative() }))
    .min(1),
});

type Progress = z.infer<typeof progressSchema>;

/** A segment is worth a connection of its own from this many bytes on. */
const smallestSegment = 16 * 2 ** 20;
const mostSegments = 8;
/** The progress file is rewritten after so many new bytes. */
const saveEvery = 2 ** 18;

export type Partial = {
  /** Bytes of the whole file. */
  size: number;
  readonly segments: Segment[];
  /** Bytes that are there. */
  completed(): number;
  /** Put `chunk` where the segment goes on. Throws disk_full. */
  append(segment: Segment, chunk: Buffer): Promise<void>;
  /** Forget what is there: from now on one connection brings everything. */
  restart(): Promise<Segment>;
  /** What is there is everything: for a file of unknown size. */
  endHere(): void;
  /** Write down what is there, and close. */
  close(): Promise<void>;
  /** Close and remove. */
  discard(): Promise<void>;
  digest(signal: AbortSignal): Promise<Digest>;
  /** Give the whole file its final name. */
  finish(path: string): Promise<void>;
};

const progressPath = (path: string) => `${path}.json`;

/** Bytes of a partial download that are there already. A broken progress file counts as none. */
export async function partialCompleted(path: string): Promise<number> {
  const progress = await readProgress(path);
  return progress ? progress.segments.reduce((sum, { done }) => sum + done, 0) : 0;
}

async function readProgress(path: string): Promise<Progress | undefined> {
  try {
    const progress = progressSchema.parse(JSON.parse(await readFile(progressPath(path), 'utf8')));
    return isSound(progress) ? progress : undefined;
  } catch {
    return undefined;
  }
}

/** The segments cover the file without gap or overlap, and none has more than it holds. */
function isSound({ size, segments }: Progress): boolean {
  let at = 0;
  for (const { start, end, done } of segments) {
    if (start !== at || end < start || done > end - start) return false;
    at = end;
  }
  return at === size;
}

function plan(size: number): Segment[] {
  if (size === unknownSize) return [{ start: 0, end: size, done: 0 }];
  const count = Math.min(Math.max(1, Math.ceil(size / smallestSegment)), mostSegments);
  const length = Math.ceil(size / count);
  return Array.from({ length: count }, (_, index) => ({
    start: index * length,
    end: Math.min((index + 1) * length, size),
    done: 0,
  }));
}

/**
 * Open the partial download at `path`, or begin one. It is gone on with only if size and validator (the digest, or an
 * ETag) are still the same. Call it under the lock of `path`. Throws disk_full.
 */
export async function openPartial(path: string, size: number, validator: string): Promise<Partial> {
  const found = await readProgress(path);
  let data: FileHandle | undefined;
  if (found?.size === size && found.validator === validator && validator !== '')
    data = await open(path, 'r+').catch(() => undefined);
  const segments = data && found ? found.segments : plan(size);
  let progress: FileHandle;
  try {
    data ??= await open(path, 'w+');
    progress = await open(progressPath(path), 'w');
  } catch (cause) {
    throw diskError(cause, path);
  }
  return makePartial(path, size, validator, segments, data, progress);
}

function makePartial(
  path: string,
  size: number,
  validator: string,
  segments: Segment[],
  data: FileHandle,
  progress: FileHandle,
): Partial {
  let unsaved = 0;
  let longest = 0;
  let saving = Promise.resolve();
  let closed = false;

  /** One write at position 0, never shorter than the one before: no reader sees the rest of an older text. */
  async function save() {
    unsaved = 0;
    const text = JSON.stringify({ size, validator, segments }).padEnd(longest);
    longest = text.length;
    await progress.write(text, 0);
  }
  const saveInTurn = () => {
    saving = saving.then(save);
    return saving;
  };

  async function close() {
    if (closed) return;
    closed = true;
    await saving.then(save).catch(() => {});
    await data.close();
    await progress.close();
  }

  async function remove() {
    await rm(path, { force: true });
    await rm(progressPath(path), { force: true });
  }

  const partial: Partial = {
    size,
    segments,
    completed: () => segments.reduce((sum, { done }) => sum + done, 0),
    async append(segment, chunk) {
      try {
        let written = 0;
        while (written < chunk.length) {
          const { bytesWritten } = await data.write(
            chunk,
            written,
            chunk.length - written,
            segment.start + segment.done + written,
          );
          written += bytesWritten;
        }
        segment.done += chunk.length;
        unsaved += chunk.length;
        if (unsaved >= saveEvery || longest === 0) await saveInTurn();
      } catch (cause) {
        throw diskError(cause, path);
      }
    },
    async restart() {
      const whole = { start: 0, end: size, done: 0 };
      segments.splice(0, segments.length, whole);
      await saveInTurn();
      return whole;
    },
    endHere() {
      const [segment] = segments;
      if (segment) segment.end = segment.done;
      partial.size = segment?.done ?? 0;
    },
    close,
    async discard() {
      await close();
      await remove();
    },
    async digest(signal) {
      const hash = createHash('sha256');
      for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 19, signal })) hash.update(chunk);
      return `sha256:${hash.digest('hex')}`;
    },
    async finish(final) {
      await data.sync();
      await close();
      await rename(path, final);
      await rm(progressPath(path), { force: true });
    },
  };
  return partial;
}
