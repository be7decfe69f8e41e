/** viaduct engine — install what runs the models, or say what is there. */
import { SingleBar } from 'cli-progress';
import { ViaductError } from '../core/errors.ts';
import { type Engine, findEngine } from '../engine/engine.ts';
import { installEngine } from '../engine/install.ts';
import type { InstallProgress } from '../engine/install-task.ts';
import { homeOf } from '../lib/home.ts';
import { formatBytes } from '../models/disk.ts';
import { type Command, type Io, jsonOption } from './define.ts';

const install: Command = {
  usage: 'install',
  summary: 'Install the engine, unless there is one',
  options: [jsonOption],
  async run(_args, { json }, io) {
    const progress = reporter(io);
    try {
      const engine = await installEngine({ home: homeOf(), onProgress: progress.report });
      progress.end();
      io.out(json ? JSON.stringify(engine) : `The engine is ${describe(engine)}.`);
    } finally {
      progress.end();
    }
  },
};

const info: Command = {
  usage: 'info',
  summary: 'Say which engine is used',
  options: [jsonOption],
  async run(_args, { json }, io) {
    // Every provider comes with it: loaded only when asked for.
    const { loadSettings } = await import('../config.ts');
    const { config, home } = loadSettings();
    const engine = await findEngine({ configured: config.engine.path, home });
    if (json) return io.out(JSON.stringify(engine ?? null));
    if (!engine)
      throw new ViaductError('engine_unavailable', 'No engine is installed. Install it with: viaduct engine install');
    io.out(`The engine is ${describe(engine)}.`);
  },
};

export const engine: Command = {
  usage: 'engine',
  summary: 'Install or show the engine that runs local models',
  subcommands: [install, info],
};

const sources: Record<Engine['from'], string> = {
  configured: 'VIADUCT_ENGINE or engine.path',
  path: 'found on the PATH',
  installed: 'installed',
};

const describe = ({ kind, version, from, path }: Engine) =>
  `${kind}${version === 'unknown' ? '' : ` ${version}`} (${sources[from]}) at ${path}`;

/** A bar on a terminal, a line per step elsewhere. */
function reporter(io: Io) {
  let bar: SingleBar | undefined;
  let last = '';
  const end = () => {
    bar?.stop();
    bar = undefined;
  };
  return {
    end,
    report({ status, completed = 0, total }: InstallProgress) {
      if (status !== last) {
        end();
        if (!io.interactive || total === undefined) io.note(total ? `${status} (${formatBytes(total)})` : status);
        else {
          bar = new SingleBar({ format: `${status} [{bar}] {percentage}%`, stream: process.stderr });
          bar.start(total, completed);
        }
      }
      last = status;
      bar?.update(completed);
    },
  };
}
