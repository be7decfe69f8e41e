/** A child that cannot outlive us: it is killed when its guard's standard input ends, which even our own kill -9 brings about. */
import { type ChildProcess, spawn } from 'node:child_process';

/** Kills the command when standard input ends; else ends with the command's exit code, 128 + N after signal N. */
const shellGuard = [
  'exec 3<&0',
  '"$@" </dev/null 3<&- &',
  'child=$!',
  '{ cat <&3; kill -9 "$child"; } >/dev/null 2>&1 &',
  'guard=$!',
  'exec 3<&-',
  'wait "$child"',
  'code=$?',
  'kill "$guard" 2>/dev/null',
  'exit "$code"',
].join('\n');

/** The same where there is no shell. */
const nodeGuard = `
const [command, ...args] = process.argv.slice(1);
const child = require('node:child_process').spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
child.on('error', (error) => { console.error(error.message); process.exit(127); });
child.on('exit', (code) => process.exit(code ?? 137));
process.stdin.on('error', () => {}).on('end', () => { child.kill('SIGKILL'); process.exit(137); }).resume();
`;

/**
 * Start `command` under a guard. Its output is piped; end its life with `stdin.destroy()`.
 * It has a session of its own, so that Ctrl-C in a terminal reaches us alone and requests can be finished.
 */
export function spawnGuarded(command: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  const stdio = ['pipe', 'pipe', 'pipe'] as const;
  if (process.platform === 'win32')
    return spawn(process.execPath, ['-e', nodeGuard, ...command], { env, stdio: [...stdio], windowsHide: true });
  return spawn('/bin/sh', ['-c', shellGuard, 'viaduct-guard', ...command], { env, stdio: [...stdio], detached: true });
}
