/** The Python clients that people already use, in a virtual environment under the user's cache folder. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, withLock } from './cache.ts';

const requirements = ['openai[realtime]', 'ollama', 'anthropic', 'httpx'];
// Its bound on jiter is older than the newest openai's, at which pip tries every version of openai for many minutes.
const withoutBounds = ['instructor'];
const theirNeeds = ['docstring-parser', 'jinja2', 'tenacity', 'typer', 'rich', 'aiohttp', 'requests', 'regex'];

/** Path of a Python that has the client libraries; makes the environment at first need. */
export const pythonWithClients = (): Promise<string> =>
  virtualEnvironment(
    'python',
    [...requirements, ...withoutBounds],
    [
      [...requirements, ...theirNeeds],
      ['--no-deps', ...withoutBounds],
    ],
  );

/**
 * Path of a Python in the environment `name`, made by `installs` (arguments of pip) when it is not there or was made
 * for another `purpose`.
 */
export async function virtualEnvironment(name: string, purpose: string[], installs: string[][]): Promise<string> {
  const folder = join(cacheFolder, name);
  const python = join(folder, 'bin/python');
  const stamp = join(folder, 'requirements.txt');
  const wanted = purpose.join('\n');
  const ready = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
  if (ready()) return python;
  return withLock(name, async () => {
    if (ready()) return python;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(cacheFolder, { recursive: true });
    await run('python3', ['-m', 'venv', folder]);
    for (const packages of installs)
      await run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]);
    writeFileSync(stamp, wanted);
    return python;
  });
}

/** Not synchronous: the lock must be seen to be alive meanwhile. */
async function run(command: string, args: string[]) {
  const { code, stdout, stderr } = await runCommand(command, args);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${stdout}${stderr}`);
}

export type CommandRun = { code: number | null; stdout: string; stderr: string };

/** Run a Python program given as text; `env` is added to the environment. */
export const runPython = async (program: string, env: Record<string, string> = {}): Promise<CommandRun> =>
  runCommand(await pythonWithClients(), ['-c', program], { ...process.env, ...env });

/** Run a command to its end, whatever that is, in the environment `env`. */
export async function runCommand(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<CommandRun> {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}
