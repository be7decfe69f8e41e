/** The official build of llama.cpp: one archive over HTTPS, verified, unpacked, tried. */
import { createWriteStream } from 'node:fs';
import { chmod, readdir } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { EnvHttpProxyAgent, interceptors, request } from 'undici';
import { ViaductError } from '../core/errors.ts';
import { diskError } from '../models/disk.ts';
import { type InstalledRecord, programName } from './engine.ts';
import { type InstallTask, verifyFile } from './install-task.ts';
import { type ReleasePack, releaseTag } from './packs.ts';
import { run } from './run.ts';

/** Milliseconds without a byte, or without a connection, after which the site counts as out of reach. */
const patience = 15_000;
const connectPatience = 5_000;

/** Throws engine_unavailable when the site is out of reach or the build does not run here; digest_mismatch; disk_full. */
export async function installRelease(pack: ReleasePack, task: InstallTask): Promise<InstalledRecord> {
  const { scratch, target, report, signal } = task;
  const archive = join(scratch, basename(new URL(pack.url).pathname));
  await download(pack, archive, task);
  report({ status: 'verifying sha256 digest' });
  await verifyFile(archive, pack.sha256, basename(archive));
  report({ status: 'unpacking' });
  // tar of Windows and macOS reads zip archives too.
  const unpacked = await run('tar', ['-xf', archive, '-C', target], { signal });
  if (unpacked.code !== 0) throw unavailable(`The archive could not be unpacked: ${unpacked.lastLine}`);
  const file = await findProgram(target);
  if (!file) throw unavailable(`There is no ${programName} in ${basename(archive)}.`);
  await chmod(file, 0o755);
  const tried = await run(file, ['--version'], { signal });
  if (tried.code !== 0)
    throw unavailable(`The official build does not run on this system (${tried.lastLine || `code ${tried.code}`}).`);
  return { kind: 'llama-server', version: releaseTag, program: relative(target, file), sha256: pack.sha256 };
}

const unavailable = (message: string, cause?: unknown) => new ViaductError('engine_unavailable', message, { cause });

async function download({ url, bytes }: ReleasePack, path: string, { report, signal }: InstallTask): Promise<void> {
  const status = `downloading llama.cpp ${releaseTag}`;
  report({ status, completed: 0, total: bytes });
  const agent = new EnvHttpProxyAgent({
    connect: { timeout: connectPatience },
    headersTimeout: patience,
    bodyTimeout: patience,
  });
  try {
    const reply = await request(url, {
      dispatcher: agent.compose(interceptors.redirect({ maxRedirections: 5 })),
      signal,
    });
    if (reply.statusCode !== 200) throw unavailable(`${new URL(url).host} answered with status ${reply.statusCode}.`);
    let completed = 0;
    await pipeline(
      reply.body,
      async function* count(chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          completed += chunk.length;
          if (completed > bytes) throw unavailable(`The archive is larger than the ${bytes} bytes that were recorded.`);
          report({ status, completed, total: bytes });
          yield chunk;
        }
      },
      createWriteStream(path),
    );
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ViaductError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw diskError(error, path);
    throw unavailable(`${new URL(url).host} cannot be reached.`, error);
  } finally {
    // close() would wait for an answer that may never end.
    await agent.destroy();
  }
}

async function findProgram(folder: string): Promise<string | undefined> {
  const files = await readdir(folder, { recursive: true });
  const found = files.find((file) => basename(file) === programName);
  return found && join(folder, found);
}
