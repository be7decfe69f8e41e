/** /admin/keys: make, list, look, change, rotate, revoke. The secret is in the answer that makes it, and never again. */
import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import type { Key } from '../../store/keys.ts';
import { type Actor, type AdminEndpoint, type AdminExchange, mayManage, maySee, visibleTeams } from './actor.ts';
import { record } from './audit-trail.ts';
import {
  amountShape,
  keyView,
  moment,
  oneLine,
  parsed,
  periodOf,
  periodShape,
  policyFields,
  policyWith,
  roleShape,
  timeOf,
} from './shapes.ts';

const texts = z.record(oneLine, z.string().max(512));
const tags = z.array(oneLine).max(32);
const budget = z.strictObject({
  amount: amountShape,
  period: periodShape.default('month'),
  soft: z.boolean().optional(),
  webhook: z.url().optional(),
});

const createShape = z.strictObject({
  name: oneLine,
  role: roleShape.optional(),
  team: oneLine.nullish(),
  ...policyFields,
  tags: tags.optional(),
  metadata: texts.optional(),
  expires_at: moment.nullish(),
  budget: z.union([budget, amountShape.transform((amount) => ({ amount, period: 'month' as const }))]).optional(),
});

const updateShape = z.strictObject({
  name: oneLine.optional(),
  role: roleShape.optional(),
  ...policyFields,
  tags: tags.optional(),
  metadata: texts.optional(),
  expires_at: moment.nullish(),
  disabled: z.boolean().optional(),
});

const flag = z.enum(['true', 'false', '1', '0', '']).transform((text) => text !== 'false' && text !== '0');
const listShape = z.strictObject({
  team: oneLine.optional(),
  revoked: flag.optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  after: oneLine.optional(),
});
const rotateShape = z.strictObject({
  overlap: z
    .string()
    .regex(/^\d+[smhdw]$|^0$/, 'Write a duration: 24h, 7d, or 0')
    .optional(),
});

export const keys: AdminEndpoint[] = [
  {
    method: 'POST',
    path: '/admin/keys',
    needs: 'manage',
    body: createShape,
    async handle(exchange) {
      const { request, reply, actor, services } = exchange;
      const { administration } = services.boundary;
      const { budget: wanted, team, role, ...body } = parsed(createShape, request.body);
      const teamId = team ? (await administration.teams.get(team)).id : ownTeam(actor);
      refuseRole(actor, role);
      if (!mayManage(actor, teamId ?? null)) throw notYours('team', team ?? 'none');
      const expiresAt = body.expires_at ? timeOf(body.expires_at, 'expires_at', services.now()) : undefined;
      if (expiresAt !== undefined && expiresAt <= services.now())
        throw new ViaductError('invalid_request', `expires_at: ${body.expires_at} is over already.`, {
          param: 'expires_at',
        });
      const { key, secret } = await administration.keys.create({
        name: body.name,
        policy: policyWith({}, body),
        createdBy: actor.name,
        ...(role && { role }),
        ...(teamId !== undefined && { teamId }),
        ...(body.tags && { tags: body.tags }),
        ...(body.metadata && { metadata: body.metadata }),
        ...(expiresAt !== undefined && { expiresAt }),
      });
      if (wanted)
        await administration.budgets.create({
          scope: 'key',
          scopeId: key.id,
          amount: wanted.amount,
          period: periodOf(wanted.period),
          ...('soft' in wanted && wanted.soft !== undefined && { soft: wanted.soft }),
          ...('webhook' in wanted && wanted.webhook !== undefined && { webhook: wanted.webhook }),
        });
      await record(exchange, 'key.create', key.id, { ...body, team: key.teamId, role: key.role });
      return reply.status(201).send({ ...keyView(key, services.now()), secret });
    },
  },
  {
    method: 'GET',
    path: '/admin/keys',
    needs: 'read',
    query: listShape,
    async handle({ request, reply, actor, services }) {
      const { team, revoked, limit, after } = parsed(listShape, request.query);
      const teamIds = await visibleTeams(actor, team, services);
      const page = await services.boundary.administration.keys.list({
        limit: limit + 1,
        ...(teamIds && { teamIds }),
        ...(revoked !== undefined && { revoked }),
        ...(after !== undefined && { after }),
      });
      const now = services.now();
      return reply.send({
        object: 'list',
        data: page.slice(0, limit).map((key) => keyView(key, now)),
        has_more: page.length > limit,
      });
    },
  },
  {
    method: 'GET',
    path: '/admin/keys/:id',
    needs: 'read',
    async handle(exchange) {
      const key = await keyFor(exchange, maySee);
      return exchange.reply.send(keyView(key, exchange.services.now()));
    },
  },
  {
    method: 'POST',
    path: '/admin/keys/:id',
    needs: 'manage',
    body: updateShape,
    async handle(exchange) {
      const { request, reply, actor, services } = exchange;
      const key = await keyFor(exchange, mayManage);
      const body = parsed(updateShape, request.body);
      refuseRole(actor, body.role);
      const expiresAt =
        typeof body.expires_at === 'string' ? timeOf(body.expires_at, 'expires_at', services.now()) : body.expires_at;
      const changed = await services.boundary.administration.keys.update(key.id, {
        policy: policyWith(key.policy, body),
        ...(body.name !== undefined && { name: body.name }),
        ...(body.role && { role: body.role }),
        ...(body.tags && { tags: body.tags }),
        ...(body.metadata && { metadata: body.metadata }),
        ...(expiresAt !== undefined && { expiresAt }),
        ...(body.disabled !== undefined && { disabled: body.disabled }),
      });
      await record(exchange, 'key.update', key.id, body);
      return reply.send(keyView(changed, services.now()));
    },
  },
  {
    method: 'POST',
    path: '/admin/keys/:id/rotate',
    needs: 'manage',
    body: rotateShape,
    async handle(exchange) {
      const { request, reply, services } = exchange;
      const key = await keyFor(exchange, mayManage);
      const { overlap } = parsed(rotateShape, request.body);
      const overlapMs = overlap === undefined ? undefined : overlap === '0' ? 0 : timeOf(overlap, 'overlap', 0);
      const rotated = await services.boundary.administration.keys.rotate(key.id, overlapMs);
      await record(exchange, 'key.rotate', key.id, { overlap: overlap ?? null });
      return reply.send({ ...keyView(rotated.key, services.now()), secret: rotated.secret });
    },
  },
  {
    method: 'DELETE',
    path: '/admin/keys/:id',
    needs: 'manage',
    async handle(exchange) {
      const key = await keyFor(exchange, mayManage);
      const revoked = await exchange.services.boundary.administration.keys.revoke(key.id);
      await record(exchange, 'key.revoke', key.id);
      return exchange.reply.send(keyView(revoked, exchange.services.now()));
    },
  },
];

/** Without a word about it, the key of a manager's only team. */
const ownTeam = ({ managed }: Actor) => (managed !== 'all' && managed.length === 1 ? managed[0] : undefined);

/** A manager hands out no more than the own rights. */
function refuseRole({ role: own }: Actor, wanted: string | undefined) {
  if (own !== 'admin' && wanted === 'admin')
    throw new ViaductError('permission_denied', 'Only an administrator makes administrators.', { param: 'role' });
}

const notYours = (what: string, name: string) =>
  new ViaductError('permission_denied', `You do not manage the ${what} ${name}.`, { param: what });

/** Another team's key is as if it were not there. */
async function keyFor({ request, actor, services }: AdminExchange, may: typeof maySee): Promise<Key> {
  const { id } = request.params as { id: string };
  const key = await services.boundary.administration.keys.get(id);
  if (!maySee(actor, key.teamId)) throw new ViaductError('not_found', `There is no key ${id}.`, { param: 'id' });
  if (!may(actor, key.teamId)) throw new ViaductError('permission_denied', 'You may see this key, not change it.');
  if (may === mayManage && key.role === 'admin' && actor.role !== 'admin')
    throw new ViaductError('permission_denied', 'Only an administrator changes an administrator’s key.');
  return key;
}
