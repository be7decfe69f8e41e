/** viaduct pull — bring models here. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { ViaductError } from '../core/errors.ts';
import { lockFile, readLock } from '../models/lock.ts';
import { displayName, nameKey, parseName } from '../models/names.ts';
import type { PullProgress } from '../models/pull.ts';
import { nameFromUrl } from '../models/sources/url.ts';
import type { Client } from './client.ts';
import { createFromFile } from './create.ts';
import type { Command, Io } from './define.ts';
import { showProgress } from './progress.ts';

export const pull: Command = {
  usage: 'pull [names...]',
  summary: 'Pull models: NAME, hf.co/ORG/REPO:QUANT, HOST/NAMESPACE/NAME, the address of a GGUF file, or a file',
  options: [
    ['--frozen', `pull exactly what ${lockFile} pins; without names, all of it`],
    ['--as <name>', 'name for a model that comes from an address or a file'],
    ['--insecure', 'allow plain http to any host'],
    ['--json', 'print progress as JSON lines'],
  ],
  async run(names, { frozen, as, insecure, json }, io) {
    const wanted = frozen ? await pinned(names) : names;
    if (wanted.length === 0)
      throw new ViaductError('invalid_request', 'Say which model to pull: viaduct pull smollm2:135m');
    if (as && wanted.length > 1)
      throw new ViaductError('invalid_request', '--as names one model, and several are pulled.');
    const client = await io.connect();
    for (const name of wanted)
      if (isFile(name)) await pullFile(client, io, name, typeof as === 'string' ? as : undefined);
      else
        await pullName(
          client,
          io,
          { model: name, insecure: insecure === true, ...(typeof as === 'string' && { as }) },
          json === true,
        );
  },
};

type PullBody = { model: string; insecure: boolean; as?: string };

async function pullName(client: Client, io: Io, body: PullBody, json: boolean) {
  const { as } = body;
  if (!json) {
    await showProgress(client, io, '/api/pull', body);
    const [name] = as ? [as] : body.model.split('@');
    io.note(`${name} is here. Try it: viaduct run ${name}`);
    return;
  }
  for await (const progress of client.lines<PullProgress>('/api/pull', { ...body, stream: true }))
    io.out(JSON.stringify(progress));
}

/** `./model.gguf`: told from a name by being there. */
const isFile = (text: string) =>
  /\.gguf$/i.test(text) && !/^https?:/.test(text) && existsSync(text.replace(/^file:\/\//, ''));

async function pullFile(client: Client, io: Io, file: string, as: string | undefined) {
  const path = resolve(file.replace(/^file:\/\//, ''));
  const name = as ?? nameFromUrl(new URL(`file://${path}`).href);
  await createFromFile(client, io, name, path);
  io.note(`${name} is here. Try it: viaduct run ${name}`);
}

/** Names with the digests that the lock file gives them. Throws lock_drift for a name that it lacks. */
async function pinned(names: string[]): Promise<string[]> {
  const lock = await readLock(lockFile);
  if (names.length === 0) return Object.entries(lock).map(([name, digest]) => `${name}@${digest}`);
  const byKey = new Map(Object.entries(lock).map(([name, digest]) => [nameKey(parseName(name)), digest]));
  return names.map((text) => {
    const name = parseName(text);
    const digest = byKey.get(nameKey(name));
    if (digest && (!name.digest || name.digest === digest)) return `${displayName(name)}@${digest}`;
    throw new ViaductError(
      'lock_drift',
      digest
        ? `${lockFile} pins ${displayName(name)} to ${digest}.`
        : `${displayName(name)} is not in ${lockFile}. Add it with: viaduct lock ${displayName(name)}`,
    );
  });
}
