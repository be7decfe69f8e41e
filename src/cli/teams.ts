/** viaduct teams create | list | remove | members | add | drop — who belongs together. */
import { type Command, jsonOption } from './define.ts';
import { table } from './table.ts';

type Team = { id: string; name: string; models: string[] | null; created_at: string };
type Member = { email: string; role: string };

const path = (team = '') => `/admin/teams/${encodeURIComponent(team)}`;

const create: Command = {
  usage: 'create <name>',
  summary: 'Make a team',
  options: [['--models <names>', 'models that its keys may use, with commas'], jsonOption],
  async run([name = ''], { models, json }, io) {
    const body = { name, ...(typeof models === 'string' && { models: models.split(',').map((word) => word.trim()) }) };
    const team = await (await io.connect()).json<Team>('POST', '/admin/teams', body);
    io.out(
      json
        ? JSON.stringify(team)
        : `Made the team ${team.name} (${team.id}). Give it a key: viaduct keys create NAME --team ${team.name}`,
    );
  },
};

const list: Command = {
  usage: 'list',
  aliases: ['ls'],
  summary: 'List teams',
  options: [jsonOption],
  async run(_args, { json }, io) {
    const { data } = await (await io.connect()).json<{ data: Team[] }>('GET', '/admin/teams');
    if (json) return io.out(JSON.stringify(data));
    if (data.length === 0) return io.out('There is no team. Make one with: viaduct teams create NAME');
    const rows = data.map(({ id, name, models }) => [id, name, models?.join(', ') ?? 'all']);
    for (const line of table([['ID', 'NAME', 'MODELS'], ...rows])) io.out(line);
  },
};

const remove: Command = {
  usage: 'remove <team>',
  aliases: ['rm'],
  summary: 'Remove a team whose keys are revoked',
  async run([team], _options, io) {
    await (await io.connect()).json('DELETE', path(team));
    io.out(`Removed ${team}.`);
  },
};

const members: Command = {
  usage: 'members <team>',
  summary: 'List who is in a team',
  options: [jsonOption],
  async run([team], { json }, io) {
    const { data } = await (await io.connect()).json<{ data: Member[] }>('GET', `${path(team)}/members`);
    if (json) return io.out(JSON.stringify(data));
    for (const line of table([['E-MAIL', 'ROLE'], ...data.map(({ email, role }) => [email, role])])) io.out(line);
  },
};

const add: Command = {
  usage: 'add <team> <email>',
  summary: 'Put somebody into a team, or change the role there',
  options: [['--role <role>', 'member (default), viewer or manager']],
  async run([team, email = ''], { role }, io) {
    const body = { ...(typeof role === 'string' && { role }) };
    const member = await (await io.connect()).json<Member>(
      'PUT',
      `${path(team)}/members/${encodeURIComponent(email)}`,
      body,
    );
    io.out(`${member.email} is ${member.role} of ${team}.`);
  },
};

const drop: Command = {
  usage: 'drop <team> <email>',
  summary: 'Take somebody out of a team',
  async run([team, email = ''], _options, io) {
    await (await io.connect()).json('DELETE', `${path(team)}/members/${encodeURIComponent(email)}`);
    io.out(`${email} is no longer in ${team}.`);
  },
};

export const teams: Command = {
  usage: 'teams',
  aliases: ['team'],
  summary: 'Teams: keys and people that share budgets, limits and what they store',
  subcommands: [create, list, remove, members, add, drop],
};
