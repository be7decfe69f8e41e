#!/usr/bin/env node
/** The command line: `viaduct COMMAND`. Adding a command = its file and its line here. */
import './cli/startup.ts';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { config } from './cli/config.ts';
import { connect } from './cli/connect.ts';
import { cp } from './cli/cp.ts';
import { create } from './cli/create.ts';
import { engine } from './cli/engine.ts';
import { importConfig } from './cli/import.ts';
import { keys } from './cli/keys.ts';
import { list } from './cli/list.ts';
import { lock } from './cli/lock.ts';
import { runProgram } from './cli/program.ts';
import { ps } from './cli/ps.ts';
import { pull } from './cli/pull.ts';
import { push } from './cli/push.ts';
import { rm } from './cli/rm.ts';
import { run } from './cli/run.ts';
import { serve } from './cli/serve.ts';
import { show } from './cli/show.ts';
import { stop } from './cli/stop.ts';
import { teams } from './cli/teams.ts';
import { usage } from './cli/usage.ts';

const commands = [
  ...[serve, pull, list, show, ps, run, stop, rm, cp, create, push, lock],
  ...[keys, teams, usage, engine, config, importConfig],
];

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
  version: string;
};

process.exitCode = await runProgram(process.argv.slice(2), {
  version,
  commands,
  connect: () =>
    connect({
      env: process.env,
      startServer: async () => {
        const { startServer } = await import('./server.ts');
        return startServer({ address: { host: '127.0.0.1', port: 0 }, quiet: true });
      },
    }),
});
