/** Commands in their own processes. */
import { join } from 'node:path';
import { type CommandRun, runCommand } from './python.ts';
import { cleanEnvironment } from './server.ts';

const main = join(import.meta.dirname, '../../src/main.ts');

/**
 * Run `viaduct ARGS` for the owner of `home`, against the server at `url`; without one the command serves itself.
 */
export const viaduct = (
  args: string[],
  { home, url, env = {} }: { home: string; url?: string; env?: Record<string, string> },
): Promise<CommandRun> =>
  runCommand(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
    ...cleanEnvironment(),
    VIADUCT_HOME: home,
    VIADUCT_HOST: url === undefined ? '127.0.0.1:1' : new URL(url).host,
    ...env,
  });

/** The same, for what prints JSON. Throws what the command wrote when it fails. */
export async function viaductJson<Reply>(args: string[], options: Parameters<typeof viaduct>[1]): Promise<Reply> {
  const { code, stdout, stderr } = await viaduct([...args, '--json'], options);
  if (code !== 0) throw new Error(`viaduct ${args.join(' ')} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as Reply;
}
