/**
 * Imported first by main.ts, before anything else is loaded.
 *
 * Says so when Node is too old, before anything newer is asked of it.
 *
 * Compiled code is kept in the system's cache folder, so that only the first start compiles.
 *
 * A server lives for months beside the models' memory, and V8 and glibc keep several times of what it needs unless told
 * otherwise; both can be told only when a process starts. So `serve` begins by replacing itself with the same program under
 * these settings: no second process, 50 ms once.
 */
import module from 'node:module';
import { leanEnvironment, leanSettings } from './lean.ts';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 14)) {
  process.stderr.write(
    `Error: viaduct needs Node 22.14 or newer, this is ${process.versions.node}. In a clone of it, npm run viaduct -- COMMAND uses its own Node.\n`,
  );
  process.exit(1);
}

module.enableCompileCache();

const settings = [...leanSettings, '--disable-warning=ExperimentalWarning'];

const [node, script, command, ...rest] = process.argv;
const isServer = command === 'serve' || command === 'start';
const isLean = process.execArgv.some((argument) => argument.startsWith('--max-semi-space-size'));

if (isServer && !isLean && process.execve && node && script)
  process.execve(node, [node, ...process.execArgv, ...settings, script, command, ...rest], {
    ...leanEnvironment,
    ...process.env,
  });
