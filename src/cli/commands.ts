/** The commands of `viaduct`. Adding one = its file and its line here. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../lib/package-root.ts';
import { config } from './config.ts';
import { connect } from './connect.ts';
import { cp } from './cp.ts';
import { create } from './create.ts';
import { engine } from './engine.ts';
import { importConfig } from './import.ts';
import { keys } from './keys.ts';
import { list } from './list.ts';
import { lock } from './lock.ts';
import { runProgram } from './program.ts';
import { ps } from './ps.ts';
import { pull } from './pull.ts';
import { push } from './push.ts';
import { rm } from './rm.ts';
import { run } from './run.ts';
import { serve } from './serve.ts';
import { show } from './show.ts';
import { stop } from './stop.ts';
import { teams } from './teams.ts';
import { usage } from './usage.ts';

const commands = [
  ...[serve, pull, list, show, ps, run, stop, rm, cp, create, push, lock],
  ...[keys, teams, usage, engine, config, importConfig],
];

const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
  version: string;
};

/** Runs the command of `argv`; resolves with the exit code. */
export const runCommand = (argv: string[]) =>
  runProgram(argv, {
    version,
    commands,
    connect: () =>
      connect({
        env: process.env,
        startServer: async () => {
          const { startServer } = await import('../server.ts');
          return startServer({ address: { host: '127.0.0.1', port: 0 }, quiet: true });
        },
      }),
  });
