import { spawn } from 'node:child_process';

/** How a helper program ended; `code` is 127 when it could not be started. */
export type RunResult = { code: number; output: string; lastLine: string };

/** Run a program to its end and keep what it wrote. Throws only the signal's reason. */
export function run(
  program: string,
  args: readonly string[],
  { signal, env }: { signal: AbortSignal; env?: NodeJS.ProcessEnv },
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      windowsHide: true,
    });
    let output = '';
    const keep = (chunk: string) => {
      output = (output + chunk).slice(-65_536);
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    const stop = () => child.kill('SIGKILL');
    signal.addEventListener('abort', stop, { once: true });
    const settle = (code: number) => {
      signal.removeEventListener('abort', stop);
      if (signal.aborted) reject(signal.reason);
      else resolve({ code, output, lastLine: output.trim().split(/\r?\n/).at(-1) ?? '' });
    };
    child.on('error', (error) => {
      keep(error.message);
      settle(127);
    });
    child.on('close', (code) => settle(code ?? 1));
  });
}
