/** Getting an engine: the official build, else the Python wheel with the same server. Nothing is left half-written. */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ViaductError } from '../core/errors.ts';
import { diskError, needFreeSpace } from '../models/disk.ts';
import { withFileLock } from '../models/file-lock.ts';
import { currentFile, type Engine, engineFolder, type InstalledRecord, installedEngine, recordFile } from './engine.ts';
import { installRelease } from './install-release.ts';
import type { InstallProgress, InstallTask } from './install-task.ts';
import { installWheel } from './install-wheel.ts';
import { releasePacks, releaseTag, wheelName, wheelPacks, wheelVersion } from './packs.ts';

export type InstallOptions = {
  /** VIADUCT_HOME. */
  home: string;
  onProgress?: (progress: InstallProgress) => void;
  signal?: AbortSignal;
  /** Tried in this order; absent means both. For tests and for people without a way to one of them. */
  sources?: readonly Source['name'][];
};

/** A way to get an engine. `fetch` throws engine_unavailable when another way may do better. */
type Source = {
  name: 'release' | 'wheel';
  /** Name of the engine's folder; undefined where there is no build for this platform. */
  version: string | undefined;
  fetch(task: InstallTask): Promise<InstalledRecord>;
};

const platform = `${process.platform}-${process.arch}`;

const release = releasePacks[platform];
const wheel = wheelPacks[platform];
const allSources: Source[] = [
  {
    name: 'release',
    version: release && `llama.cpp-${releaseTag}`,
    fetch: (task) => installRelease(release as NonNullable<typeof release>, task),
  },
  {
    name: 'wheel',
    version: wheel && `${wheelName}-${wheelVersion}`,
    fetch: (task) => installWheel(wheel as NonNullable<typeof wheel>, task),
  },
];

/** Download, unpacked copy, and room to breathe. */
const spaceNeeded = 250 * 2 ** 20;

/**
 * The installed engine, after installing it if need be; what is there already is not touched. Safe to run in several processes.
 * Throws engine_unavailable (says what to do), disk_full, permission_denied, digest_mismatch, or the signal's reason.
 */
export async function installEngine(options: InstallOptions): Promise<Engine> {
  const { home, onProgress = () => {}, signal = new AbortController().signal } = options;
  const present = () => installedEngine(home);
  const found = await present();
  if (found) return found;
  const folder = engineFolder(home);
  let waited = false;
  try {
    await mkdir(folder, { recursive: true });
    await needFreeSpace(folder, spaceNeeded);
    await withFileLock(join(folder, 'install.lock'), signal, {
      work: async () => {
        if (!(await present())) await installFirst(folder, options.sources, onProgress, signal);
      },
      waiting: async () => {
        if (!waited) onProgress({ status: 'waiting for another process that installs the engine' });
        waited = true;
        return (await present()) !== undefined;
      },
    });
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof ViaductError ? error : diskError(error, join(folder, recordFile));
  }
  const installed = await present();
  if (!installed) throw new ViaductError('engine_unavailable', `The engine in ${folder} cannot be read.`);
  onProgress({ status: 'success' });
  return installed;
}

/** Install from the first source that works. The last one's reason is the one told: it asks the least of the machine. */
async function installFirst(
  folder: string,
  names: InstallOptions['sources'],
  report: (progress: InstallProgress) => void,
  signal: AbortSignal,
) {
  await removeLeftovers(folder);
  let failure = new ViaductError(
    'engine_unavailable',
    `There is no prebuilt engine for ${platform}. Build llama.cpp and set VIADUCT_ENGINE to its llama-server.`,
  );
  const sources = allSources.filter(({ name, version }) => version && (!names || names.includes(name)));
  for (const source of sources) {
    const work = join(folder, `${temporary}${randomUUID()}`);
    const target = join(work, 'engine');
    const scratch = join(work, 'scratch');
    try {
      await mkdir(target, { recursive: true });
      await mkdir(scratch);
      const record = await source.fetch({ scratch, target, report, signal });
      await writeFile(join(target, recordFile), JSON.stringify(record));
      const version = source.version as string;
      const final = join(folder, version);
      await rm(final, { recursive: true, force: true });
      await rename(target, final);
      // In a file, so that switching to another version is one rename.
      await writeFile(join(work, currentFile), version);
      await rename(join(work, currentFile), join(folder, currentFile));
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ViaductError) || !tryNext.includes(error.code)) throw error;
      failure = error;
      if (source !== sources.at(-1)) report({ status: `${error.message} Trying another way.` });
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }
  throw failure;
}

const temporary = 'new-';
/** What another source may do better. */
const tryNext: string[] = ['engine_unavailable', 'digest_mismatch'];

/** What an installation that was killed left behind. We hold the lock, so it is nobody's. */
async function removeLeftovers(folder: string) {
  for (const entry of await readdir(folder))
    if (entry.startsWith(temporary)) await rm(join(folder, entry), { recursive: true, force: true });
}
