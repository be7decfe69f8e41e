#!/usr/bin/env node
/** The command line: `viaduct COMMAND`. Everything else is loaded after startup.ts has settled how this process runs. */
import './cli/startup.ts';

const { runCommand } = await import('./cli/commands.ts');
process.exitCode = await runCommand(process.argv.slice(2));
