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
export async function pythonWithClients(): Promise<string> {
  const folder = join(cacheFolder, 'python');
  const python = join(folder, 'bin/python');
  const stamp = join(folder, 'requirements.txt');
  const wanted = [...requirements, ...withoutBounds].join('\n');
  const ready = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
  if (ready()) return python;
  return withLock('python', async () => {
    if (ready()) return python;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(cacheFolder, { recursive: true });
    await run('python3', ['-m', 'venv', folder]);
    const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    await run(python, [...install, ...requirements, ...theirNeeds]);
    await run(python, [...install, '--no-deps', ...withoutBounds]);
    writeFileSync(stamp, wanted);
    return python;
  });
}

/** Not synchronous: the lock must be seen to be alive meanwhile. */
async function run(command: string, args: string[]) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      output += chunk;
    });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${output}`);
}

export type PythonRun = { code: number | null; stdout: string; stderr: string };

/** Run a Python program given as text; `env` is added to the environment. */
export async function runPython(program: string, env: Record<string, string> = {}): Promise<PythonRun> {
  const python = await pythonWithClients();
  const child = spawn(python, ['-c', program], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
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
