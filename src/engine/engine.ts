/** Which engine runs the models: found, not installed. */
import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { ViaductError } from '../core/errors.ts';
import { packageRoot } from '../lib/package-root.ts';

/** How to run llama.cpp's server. */
export type Engine = {
  kind: 'llama-server' | 'xllamacpp';
  /** Command line to which llama-server's flags are appended. */
  command: string[];
  env?: NodeJS.ProcessEnv;
  version: string;
  /** Who chose it: the configuration, the PATH, or our own installation. */
  from: 'configured' | 'path' | 'installed';
  /** Known to have no GPU: all that we install, but for macOS. */
  cpuOnly: boolean;
  /** The program or the folder. */
  path: string;
};

/** Where to look. */
export type EnginePlaces = {
  /** VIADUCT_ENGINE or the configuration: a llama-server program, or a folder with one in it. */
  configured?: string | undefined;
  /** VIADUCT_HOME. */
  home: string;
  /** Search path; absent means the environment's. */
  path?: string | undefined;
};

export const programName = process.platform === 'win32' ? 'llama-server.exe' : 'llama-server';

/** Folder of installed engines. */
export const engineFolder = (home: string) => join(home, 'engine');

/**
 * The engine of the configuration, else the one on the PATH, else the installed one; undefined when there is none.
 * Throws engine_unavailable when the configured one cannot be run.
 */
export async function findEngine({
  configured,
  home,
  path = process.env['PATH'],
}: EnginePlaces): Promise<Engine | undefined> {
  if (configured) {
    const file = (await isFolder(configured)) ? join(configured, programName) : configured;
    if (!(await isProgram(file)))
      throw new ViaductError(
        'engine_unavailable',
        `There is no llama-server that can be run at ${configured}. Mend VIADUCT_ENGINE, or engine.path in viaduct.yaml.`,
      );
    return llamaServer(file, 'configured');
  }
  for (const folder of (path ?? '').split(delimiter)) {
    const file = join(folder, programName);
    if (folder && (await isProgram(file))) return llamaServer(file, 'path');
  }
  return installedEngine(home);
}

const llamaServer = (file: string, from: Engine['from']): Engine => ({
  kind: 'llama-server',
  command: [file],
  version: 'unknown',
  from,
  cpuOnly: false,
  path: file,
});

/** What `install` leaves in the folder of an engine. `program` is relative to it, or the Python that runs the wheel. */
export type InstalledRecord = { kind: Engine['kind']; version: string; program: string; sha256: string };

export const recordFile = 'engine.json';
/** Names the version in use, in a file so that changing it is one rename. */
export const currentFile = 'current';

/** The shim that runs the wheel's server, in the package's own folder. */
export const shimPath = join(packageRoot, 'python/viaduct-engine.py');

/** The engine that we installed under `home`, if any. */
export async function installedEngine(home: string): Promise<Engine | undefined> {
  try {
    const version = (await readFile(join(engineFolder(home), currentFile), 'utf8')).trim();
    const folder = join(engineFolder(home), version);
    const record: InstalledRecord = JSON.parse(await readFile(join(folder, recordFile), 'utf8'));
    const program = record.kind === 'llama-server' ? join(folder, record.program) : record.program;
    if (!(await isProgram(program))) return undefined;
    const cpuOnly = process.platform !== 'darwin';
    const common = { kind: record.kind, version: record.version, from: 'installed' as const, cpuOnly, path: folder };
    return record.kind === 'llama-server'
      ? { ...common, command: [program] }
      : { ...common, command: [program, shimPath], env: { PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' } };
  } catch {
    return undefined;
  }
}

const isFolder = async (path: string) => (await stat(path).catch(() => undefined))?.isDirectory() === true;

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
