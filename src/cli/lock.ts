/** viaduct lock — write down which exact models a project runs on. */
import { existsSync } from 'node:fs';
import { ViaductError } from '../core/errors.ts';
import { type Lock, lockFile, readLock, writeLock } from '../models/lock.ts';
import { displayName, nameKey, parseName } from '../models/names.ts';
import type { Command } from './define.ts';

type Listed = { name: string; digest: string };

export const lock: Command = {
  usage: 'lock [names...]',
  summary: `Pin models in ${lockFile}: those named, or all that are here`,
  async run(names, _options, io) {
    const client = await io.connect();
    const { models } = await client.json<{ models: Listed[] }>('GET', '/api/tags');
    const here = new Map(models.map((model) => [nameKey(parseName(model.name)), model]));
    const chosen = names.length === 0 ? models : names.map((name) => find(here, name));
    const before: Lock = names.length > 0 && existsSync(lockFile) ? await readLock(lockFile) : {};
    const pins = Object.fromEntries(chosen.map(({ name, digest }) => [name, `sha256:${digest}`]));
    await writeLock(lockFile, { ...before, ...pins });
    for (const [name, digest] of Object.entries(pins)) io.note(`${name} ${digest}`);
    io.note(`Wrote ${lockFile}. Get the same elsewhere with: viaduct pull --frozen`);
  },
};

function find(here: Map<string, Listed>, text: string): Listed {
  const name = parseName(text);
  const model = here.get(nameKey(name));
  if (model) return model;
  const shown = displayName(name);
  throw new ViaductError('model_not_found', `${shown} is not here. Pull it with: viaduct pull ${shown}`);
}
