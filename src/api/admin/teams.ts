/** /admin/teams and their members. Administrators make teams; a team's manager looks after its members. */
import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import type { Team } from '../../store/teams.ts';
import { type AdminEndpoint, type AdminExchange, mayManage, maySee } from './actor.ts';
import { record } from './audit-trail.ts';
import { oneLine, parsed, policyFields, policyWith, teamView } from './shapes.ts';

const createShape = z.strictObject({ name: oneLine, ...policyFields });
const updateShape = z.strictObject({ name: oneLine.optional(), ...policyFields });
const memberShape = z.strictObject({ role: z.enum(['manager', 'viewer', 'member']).default('member') });
const email = z.email('Write an e-mail address');

export const teams: AdminEndpoint[] = [
  {
    method: 'POST',
    path: '/admin/teams',
    needs: 'admin',
    body: createShape,
    async handle(exchange) {
      const body = parsed(createShape, exchange.request.body);
      const team = await exchange.services.boundary.administration.teams.create({
        name: body.name,
        policy: policyWith({}, body),
      });
      await record(exchange, 'team.create', team.id, body);
      return exchange.reply.status(201).send(teamView(team));
    },
  },
  {
    method: 'GET',
    path: '/admin/teams',
    needs: 'read',
    async handle({ reply, actor, services }) {
      const all = await services.boundary.administration.teams.list();
      const data = all.filter(({ id }) => maySee(actor, id)).map(teamView);
      return reply.send({ object: 'list', data, has_more: false });
    },
  },
  {
    method: 'GET',
    path: '/admin/teams/:id',
    needs: 'read',
    async handle(exchange) {
      return exchange.reply.send(teamView(await teamFor(exchange)));
    },
  },
  {
    method: 'POST',
    path: '/admin/teams/:id',
    needs: 'admin',
    body: updateShape,
    async handle(exchange) {
      const team = await teamFor(exchange);
      const body = parsed(updateShape, exchange.request.body);
      const changed = await exchange.services.boundary.administration.teams.update(team.id, {
        policy: policyWith(team.policy, body),
        ...(body.name !== undefined && { name: body.name }),
      });
      await record(exchange, 'team.update', team.id, body);
      return exchange.reply.send(teamView(changed));
    },
  },
  {
    method: 'DELETE',
    path: '/admin/teams/:id',
    needs: 'admin',
    async handle(exchange) {
      const team = await teamFor(exchange);
      await exchange.services.boundary.administration.teams.remove(team.id);
      await record(exchange, 'team.remove', team.id, { name: team.name });
      return exchange.reply.send({ object: 'team', id: team.id, deleted: true });
    },
  },
  {
    method: 'GET',
    path: '/admin/teams/:id/members',
    needs: 'read',
    async handle(exchange) {
      const team = await teamFor(exchange);
      const data = await exchange.services.boundary.administration.teams.members(team.id);
      return exchange.reply.send({ object: 'list', data, has_more: false });
    },
  },
  {
    method: 'PUT',
    path: '/admin/teams/:id/members/:email',
    needs: 'manage',
    body: memberShape,
    async handle(exchange) {
      const team = await managedTeam(exchange);
      const { role } = parsed(memberShape, exchange.request.body);
      const member = { email: memberEmail(exchange), role };
      await exchange.services.boundary.administration.teams.setMember(team.id, member);
      await record(exchange, 'team.member', team.id, member);
      return exchange.reply.send(member);
    },
  },
  {
    method: 'DELETE',
    path: '/admin/teams/:id/members/:email',
    needs: 'manage',
    async handle(exchange) {
      const team = await managedTeam(exchange);
      const gone = memberEmail(exchange);
      await exchange.services.boundary.administration.teams.removeMember(team.id, gone);
      await record(exchange, 'team.member.remove', team.id, { email: gone });
      return exchange.reply.send({ email: gone, deleted: true });
    },
  },
];

function memberEmail({ request }: AdminExchange): string {
  const result = email.safeParse((request.params as { email: string }).email.toLowerCase());
  if (!result.success) throw new ViaductError('invalid_request', 'Write an e-mail address.', { param: 'email' });
  return result.data;
}

/** By id or name. Another team is as if it were not there. */
async function teamFor({ request, actor, services }: AdminExchange): Promise<Team> {
  const { id } = request.params as { id: string };
  const team = await services.boundary.administration.teams.get(id);
  if (!maySee(actor, team.id)) throw new ViaductError('not_found', `There is no team ${id}.`, { param: 'team' });
  return team;
}

async function managedTeam(exchange: AdminExchange): Promise<Team> {
  const team = await teamFor(exchange);
  if (!mayManage(exchange.actor, team.id))
    throw new ViaductError('permission_denied', 'You may see this team, not change it.');
  return team;
}
