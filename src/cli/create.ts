/** viaduct create — a new model from a Modelfile or a GGUF file. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { ViaductError } from '../core/errors.ts';
import { parseModelfile } from '../models/modelfile.ts';
import type { Client } from './client.ts';
import type { Command, Io } from './define.ts';
import { showProgress } from './progress.ts';

export const create: Command = {
  usage: 'create <name>',
  summary: 'Create a model from a Modelfile or a GGUF file',
  options: [
    ['-f, --file <path>', 'Modelfile or .gguf file (default: Modelfile)'],
    ['-q, --quantize <type>', 'quantise the weights: q4_K_M, q8_0, …'],
  ],
  async run([name = ''], { file = 'Modelfile', quantize }, io) {
    const path = String(file);
    const client = await io.connect();
    if (await isGguf(path)) await createFromFile(client, io, name, path, quantize);
    else await createFromModelfile(client, io, name, path, quantize);
    io.note(`${name} is here.`);
  },
};

/** Told from a Modelfile by its first bytes. */
async function isGguf(path: string): Promise<boolean> {
  const file = await open(path).catch(() => undefined);
  if (!file) return /\.gguf$/i.test(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.toString('latin1') === 'GGUF' || /\.gguf$/i.test(path);
  } finally {
    await file.close();
  }
}

/** Upload one GGUF file and make a model of it. */
export async function createFromFile(
  client: Client,
  io: Io,
  model: string,
  path: string,
  quantize?: unknown,
): Promise<void> {
  await mustExist(path);
  const files = await upload(client, io, [path]);
  await showProgress(client, io, '/api/create', { model, files, ...(quantize !== undefined && { quantize }) });
}

async function createFromModelfile(client: Client, io: Io, model: string, path: string, quantize: unknown) {
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw new ViaductError('not_found', `There is no Modelfile at ${path}. Say where it is with -f.`, { cause });
  });
  const { from, adapters, template, system, params, messages, licenses } = parseModelfile(text);
  const folder = dirname(resolve(path));
  const sources = await Promise.all(from.map((source) => findSource(source, folder)));
  const names = sources.flatMap((source) => ('model' in source ? [source.model] : []));
  if (names.length > 1)
    throw new ViaductError(
      'invalid_modelfile',
      `FROM names two models, ${names.join(' and ')}; a model starts from one.`,
    );
  const files = sources.flatMap((source) => ('files' in source ? source.files : []));
  const adapterFiles = await Promise.all(adapters.map((adapter) => findAdapter(adapter, folder)));
  await showProgress(client, io, '/api/create', {
    model,
    ...(names[0] !== undefined && { from: names[0] }),
    ...(files.length > 0 && { files: await upload(client, io, files) }),
    ...(adapterFiles.length > 0 && { adapters: await upload(client, io, adapterFiles) }),
    ...(template !== undefined && { template }),
    ...(system !== undefined && { system }),
    ...(Object.keys(params).length > 0 && { parameters: params }),
    ...(messages.length > 0 && { messages }),
    ...(licenses.length > 0 && { license: licenses }),
    ...(quantize !== undefined && { quantize }),
  });
}

/** A FROM line → files on this machine, or the name of a model where no such file is. */
async function findSource(source: string, folder: string): Promise<{ files: string[] } | { model: string }> {
  const path = expand(source, folder);
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile()) return { files: [path] };
  if (found?.isDirectory()) return { files: await weightsIn(path) };
  if (/^[.~/]|\.gguf$/i.test(source)) throw new ViaductError('not_found', `FROM ${source}: there is no such file.`);
  return { model: source };
}

async function findAdapter(source: string, folder: string): Promise<string> {
  const path = expand(source, folder);
  await mustExist(path);
  return path;
}

/** Throws not_implemented for a folder of safetensors, not_found for one without weights. */
async function weightsIn(folder: string): Promise<string[]> {
  const entries = (await readdir(folder)).sort();
  const files = entries.filter((entry) => /\.gguf$/i.test(entry));
  if (files.length > 0) return files.map((file) => join(folder, file));
  if (entries.some((entry) => entry.endsWith('.safetensors')))
    throw new ViaductError(
      'not_implemented',
      `${folder} has safetensors, which cannot be used as they are. Convert them first with llama.cpp's convert_hf_to_gguf.py.`,
    );
  throw new ViaductError('not_found', `${folder} has no GGUF file.`);
}

const expand = (path: string, folder: string) => resolve(folder, path.replace(/^~(?=\/|$)/, homedir()));

async function mustExist(path: string) {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) throw new ViaductError('not_found', `There is no file ${path}.`);
}

/** Bring files to the server, those only that it lacks → name of each file with its digest. */
async function upload(client: Client, io: Io, paths: string[]): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const path of paths) {
    const hash = createHash('sha256');
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk);
    const digest = `sha256:${hash.digest('hex')}`;
    if (!(await client.exists(`/api/blobs/${digest}`))) {
      io.note(`copying ${basename(path)}`);
      await client.upload(`/api/blobs/${digest}`, path);
    }
    // Two files of one name in different folders stay two.
    files[basename(path) in files ? path : basename(path)] = digest;
  }
  return files;
}
