/** viaduct keys create | list | revoke | rotate — who may use the server. */
import { ViaductError } from '../core/errors.ts';
import type { Client } from './client.ts';
import { type Command, jsonOption, type Options } from './define.ts';
import { table } from './table.ts';

type Key = {
  id: string;
  name: string;
  prefix: string;
  status: string;
  role: string;
  team: string | null;
  expires_at: string | null;
  last_used_at: string | null;
  secret?: string;
};

const create: Command = {
  usage: 'create <name>',
  summary: 'Make a key; the secret is printed once and kept nowhere',
  options: [
    ['--team <team>', 'belongs to this team and shares its budgets and limits'],
    ['--role <role>', 'member (models only), viewer, manager or admin'],
    ['--models <names>', 'allowed models, with commas: fast,openai/*'],
    ['--providers <names>', 'allowed providers, with commas'],
    ['--endpoints <paths>', 'allowed endpoints, with commas: /v1/chat/*'],
    ['--ip <ranges>', 'only from these addresses, with commas: 10.0.0.0/8'],
    ['--local', 'what this key sends never leaves the machine'],
    ['--rpm <count>', 'requests per minute'],
    ['--tpm <count>', 'tokens per minute'],
    ['--concurrent <count>', 'requests at the same time'],
    ['--budget <usd>', 'may spend so much'],
    ['--period <period>', 'of the budget: day, week, month (default) or forever'],
    ['--expires <time>', 'a date, or a duration: 30d'],
    ['--tags <tags>', 'into every entry of the ledger, with commas'],
    jsonOption,
  ],
  async run([name = ''], options, io) {
    const client = await io.connect();
    const key = await client.json<Key>('POST', '/admin/keys', { name, ...fieldsOf(options) });
    if (options['json']) return io.out(JSON.stringify(key));
    io.out(key.secret ?? '');
    io.note(
      `This is the key "${key.name}" (${key.id}). It is shown this once; clients send it as "Authorization: Bearer …".`,
    );
  },
};

function fieldsOf(options: Options): object {
  const list = (name: string) =>
    typeof options[name] === 'string' ? options[name].split(',').map((word) => word.trim()) : undefined;
  const number = (name: string) => {
    if (options[name] === undefined) return undefined;
    const value = Number(options[name]);
    if (Number.isNaN(value))
      throw new ViaductError('invalid_request', `--${name} needs a number, not "${options[name]}".`);
    return value;
  };
  const amount = number('budget');
  const fields = {
    team: options['team'],
    role: options['role'],
    models: list('models'),
    providers: list('providers'),
    endpoints: list('endpoints'),
    ip_ranges: list('ip'),
    privacy: options['local'] ? 'local' : undefined,
    limits: given({ rpm: number('rpm'), tpm: number('tpm'), concurrent: number('concurrent') }),
    budget: amount === undefined ? undefined : { amount, ...given({ period: options['period'] }) },
    expires_at: options['expires'],
    tags: list('tags'),
  };
  return given(fields);
}

/** Only the fields that are there. */
const given = (fields: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

const list: Command = {
  usage: 'list',
  aliases: ['ls'],
  summary: 'List keys, without their secrets',
  options: [['--all', 'revoked ones too'], ['--team <team>', 'of this team only'], jsonOption],
  async run(_args, { all, team, json }, io) {
    const keys = await allKeys(await io.connect(), all === true, typeof team === 'string' ? team : undefined);
    if (json) return io.out(JSON.stringify(keys));
    if (keys.length === 0) return io.out('There is no key. Make one with: viaduct keys create NAME');
    const rows = keys.map(({ id, name, prefix, status, role, last_used_at, expires_at }) => [
      id,
      name,
      `${prefix}…`,
      status,
      role,
      minute(last_used_at) ?? 'never',
      minute(expires_at) ?? 'never',
    ]);
    for (const line of table([['ID', 'NAME', 'KEY', 'STATUS', 'ROLE', 'LAST USED', 'EXPIRES'], ...rows])) io.out(line);
  },
};

const minute = (time: string | null) => time?.slice(0, 16).replace('T', ' ');

const revoke: Command = {
  usage: 'revoke <key...>',
  summary: 'End keys for good, by id, name or first characters',
  options: [jsonOption],
  async run(names, { json }, io) {
    const client = await io.connect();
    const revoked: Key[] = [];
    for (const name of names)
      revoked.push(await client.json<Key>('DELETE', `/admin/keys/${(await find(client, name)).id}`));
    if (json) return io.out(JSON.stringify(revoked));
    for (const { id, name } of revoked) io.out(`Revoked ${id} (${name}).`);
  },
};

const rotate: Command = {
  usage: 'rotate <key>',
  summary: 'Give a key a new secret; the former one stays good for a while',
  options: [['--overlap <duration>', 'how long: 24h, 0 for not at all'], jsonOption],
  async run([name = ''], { overlap, json }, io) {
    const client = await io.connect();
    const { id } = await find(client, name);
    const key = await client.json<Key>('POST', `/admin/keys/${id}/rotate`, given({ overlap }));
    if (json) return io.out(JSON.stringify(key));
    io.out(key.secret ?? '');
    io.note(`The new secret of "${key.name}" (${key.id}). It is shown this once.`);
  },
};

export const keys: Command = {
  usage: 'keys',
  aliases: ['key'],
  summary: 'Keys: who may use the server, for what, how much',
  subcommands: [create, list, revoke, rotate],
};

async function allKeys(client: Client, revoked: boolean, team: string | undefined): Promise<Key[]> {
  const keys: Key[] = [];
  for (;;) {
    const last = keys.at(-1);
    const query = new URLSearchParams({
      limit: '1000',
      ...(revoked && { revoked: 'true' }),
      ...(team !== undefined && { team }),
      ...(last && { after: last.id }),
    });
    const page = await client.json<{ data: Key[]; has_more: boolean }>('GET', `/admin/keys?${query}`);
    keys.push(...page.data);
    if (!page.has_more) return keys;
  }
}

async function find(client: Client, wanted: string): Promise<Key> {
  const keys = await allKeys(client, false, undefined);
  const byId = keys.find(({ id }) => id === wanted);
  if (byId) return byId;
  const found = keys.filter(({ name, prefix }) => name === wanted || prefix === wanted.replace(/…$/, ''));
  const [first, second] = found;
  if (!first) throw new ViaductError('not_found', `There is no key ${wanted}. See: viaduct keys list`);
  if (second)
    throw new ViaductError(
      'conflict',
      `Several keys are called ${wanted}: ${found.map(({ id }) => id).join(', ')}. Say which by id.`,
    );
  return first;
}
