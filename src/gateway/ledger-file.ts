/**
 * The write-ahead file of the ledger: an entry is in it before its request ends, so that a killed process loses none. A write
 * goes to the operating system's cache, which a kill does not touch and which costs microseconds; the disk itself is
 * asked for in the background, for the case of a power cut. Entries stay until the database has them. Replaying one twice is
 * harmless, because the database knows each by its id.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fdatasync,
  futimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { decodeRows } from '../store/ledger-batch.ts';
import type { LedgerRow } from '../store/ledger-tables.ts';

const syncMs = 200;
const touchMs = 60_000;
/** A file of another machine that nobody touched for so long has no writer any more. */
const abandonedMs = 10 * touchMs;
const maxSegmentBytes = 4 * 2 ** 20;

export type LedgerFile = {
  /** Lines of a batch. Synchronous. Throws when the disk is full. */
  append(lines: Buffer): void;
  /** Begin a new file and give the ones before, which hold everything appended so far. */
  rotate(): string[];
  /** The database has everything of these files. */
  forget(paths: string[]): Promise<void>;
  /** Closes the file; it stays when `forget` was not called for it. */
  close(): void;
};

/** Files are `HOST-PID-RANDOM.N.jsonl` in `folder`: several programs may share it. */
export function openLedgerFile(folder: string): LedgerFile {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const name = `${hostname()}-${process.pid}-${randomBytes(6).toString('hex')}`;
  let count = 0;
  let current: { path: string; descriptor: number; bytes: number } | undefined;
  let full: string[] = [];
  let syncTimer: NodeJS.Timeout | undefined;

  const open = () => {
    const path = join(folder, `${name}.${++count}.jsonl`);
    current = { path, descriptor: openSync(path, 'a', 0o600), bytes: 0 };
    return current;
  };
  const finish = () => {
    if (!current) return;
    closeSync(current.descriptor);
    full.push(current.path);
    current = undefined;
  };

  const sync = () => {
    syncTimer = undefined;
    // A failure shows at the next write; a file that was closed meanwhile is in the database.
    if (current) fdatasync(current.descriptor, () => {});
  };
  const touchTimer = setInterval(() => {
    const now = new Date();
    if (current) futimesSync(current.descriptor, now, now);
  }, touchMs);
  touchTimer.unref();

  return {
    append(lines) {
      const segment = current ?? open();
      try {
        for (let written = 0; written < lines.length; ) written += writeSync(segment.descriptor, lines, written);
      } catch (error) {
        // Half a line may be there: nothing may follow it.
        finish();
        throw error;
      }
      segment.bytes += lines.length;
      syncTimer ??= setTimeout(sync, syncMs).unref();
      if (segment.bytes > maxSegmentBytes) finish();
    },
    rotate() {
      finish();
      const paths = full;
      full = [];
      return paths;
    },
    async forget(paths) {
      await Promise.all(paths.map((path) => rm(path, { force: true })));
    },
    close() {
      clearTimeout(syncTimer);
      clearInterval(touchTimer);
      finish();
    },
  };
}

/** Files that other, ended programs left, and those of living ones with `alive` set: read them, delete only the former. */
export function leftFiles(folder: string): { path: string; alive: boolean }[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.jsonl'))
    .sort()
    .map((file) => {
      const path = join(folder, file);
      return { path, alive: hasWriter(file, path) };
    });
}

function hasWriter(file: string, path: string): boolean {
  const [, host, pid] = /^(.*)-(\d+)-[0-9a-f]+\.\d+\.jsonl$/.exec(file) ?? [];
  if (host === hostname()) return Number(pid) !== process.pid && isRunning(Number(pid));
  return Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < abandonedMs;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Rows of one file; none when it is gone, because whoever removed it has put them into the database. */
export const readLedgerFile = (path: string): LedgerRow[] => decodeRows(contentOf(path));

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
