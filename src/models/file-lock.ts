/** A lock between processes: a file that names its holder and shows that the holder lives. */
import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { diskError } from './disk.ts';

const heartbeat = 2_000;
/** A holder that showed no life for this long is dead, wherever it ran. */
const deadAfter = 15_000;
const poll = 250;

/**
 * Run `work` while no other process holds the lock at `path`. `waiting` is called between tries; it may return true
 * when there is nothing left to do, and `work` is then not run. The lock of a process that died is taken over.
 */
export async function withFileLock(
  path: string,
  signal: AbortSignal,
  { work, waiting }: { work: () => Promise<void>; waiting: () => Promise<boolean> },
): Promise<void> {
  const token = JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() });
  while (!(await acquire(path, token))) {
    if (await waiting()) return;
    await sleep(poll, undefined, { signal });
  }
  const alive = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, heartbeat);
  try {
    await work();
  } finally {
    clearInterval(alive);
    if ((await holder(path)) === token) await rm(path, { force: true });
  }
}

const holder = (path: string) => readFile(path, 'utf8').catch(() => undefined);

async function acquire(path: string, token: string): Promise<boolean> {
  try {
    await writeFile(path, token, { flag: 'wx' });
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw diskError(cause, path);
  }
  const held = await holder(path);
  if (held === undefined || !(await isDead(path, held))) return false;
  // Two may find the same dead holder: only one of them can move its file away, and must have moved that very file.
  const grave = `${path}.${randomUUID()}`;
  const moved = await rename(path, grave).then(
    () => holder(grave),
    () => undefined,
  );
  if (moved !== undefined && moved !== held) await rename(grave, path).catch(() => {});
  await rm(grave, { force: true });
  return false;
}

async function isDead(path: string, held: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return false;
  const age = Date.now() - found.mtimeMs;
  try {
    const { pid, host } = JSON.parse(held) as { pid: number; host: string };
    if (host === hostname() && !isRunning(pid)) return true;
  } catch {
    // Killed between making the file and writing into it: its age decides.
    return age > heartbeat;
  }
  return age > deadAfter;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'EPERM';
  }
}
