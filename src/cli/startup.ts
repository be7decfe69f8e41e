/**
 * Imported first by main.ts.
 *
 * Compiled code is kept in the system's cache folder, so that only the first start compiles.
 *
 * A server lives for months beside the models' memory, and V8 and glibc keep several times of what it needs unless told
 * otherwise; both can be told only when a process starts. So `serve` begins by replacing itself with the same program under
 * these settings: no second process, 50 ms once.
 */
import { enableCompileCache } from 'node:module';

enableCompileCache();

const settings = ['--max-semi-space-size=4', '--heap-growing-percent=20', '--disable-warning=ExperimentalWarning'];
const environment = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' };

const [node, script, command, ...rest] = process.argv;
const isServer = command === 'serve' || command === 'start';
const isLean = process.execArgv.some((argument) => argument.startsWith('--max-semi-space-size'));

if (isServer && !isLean && process.execve && node && script)
  process.execve(node, [node, ...process.execArgv, ...settings, script, command, ...rest], {
    ...environment,
    ...process.env,
  });
