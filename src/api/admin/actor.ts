/** Who administers, and what that one may see and change. Every endpoint of /admin starts here. */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import type { LedgerReports } from '../../gateway/account.ts';
import type { Boundary } from '../../gateway/boundary.ts';
import { hashSecret } from '../../gateway/secrets.ts';
import type { AuditStore } from '../../store/audit.ts';
import type { ContentStore } from '../../store/contents.ts';
import type { Role } from '../../store/policy.ts';
import type { SessionStore } from '../../store/sessions.ts';
import type { Endpoint, PublicExchange } from '../define.ts';
import { credentialsOf } from '../http.ts';
import type { SignIn } from './oidc.ts';

/** What the endpoints of /admin work with. */
export type AdminServices = {
  boundary: Boundary;
  ledger: LedgerReports;
  audit: AuditStore;
  contents: ContentStore;
  sessions: SessionStore;
  /** Absent: no OIDC provider is configured. */
  signIn?: SignIn;
  /** The running configuration. Redacted before it is shown. */
  config: () => unknown;
  now: () => number;
};

/** `managed` and `visible` are team ids, or all of them. */
export type Actor = {
  /** `admin-key`, `key:ID` or `user:EMAIL`, for the audit log. */
  name: string;
  role: Role;
  managed: 'all' | string[];
  visible: 'all' | string[];
  address: string;
};

export type AdminExchange = { request: FastifyRequest; reply: FastifyReply; actor: Actor; services: AdminServices };

/**
 * An endpoint of /admin. `needs`: `read` is for whoever may see something, `manage` for managers of some team, `admin`
 * for administrators.
 */
export type AdminEndpoint = {
  method: Endpoint['method'];
  path: string;
  needs: 'read' | 'manage' | 'admin';
  /** What checks the body, for /openapi.json. */
  body?: z.ZodType;
  /** The same of the query string. */
  query?: z.ZodObject;
  handle(exchange: AdminExchange): Promise<unknown>;
};

/** The actor is known and may do this kind of thing before `handle` runs, so no endpoint can forget to ask. */
export function guarded(
  { method, path, needs, body, query, handle }: AdminEndpoint,
  services: AdminServices,
): Endpoint {
  return {
    method,
    path,
    ...(body && { body }),
    ...(query && { query }),
    access: 'public',
    async handle({ request, reply }: PublicExchange) {
      const actor = await actorOf(request, reply, services);
      if (needs === 'admin' && actor.role !== 'admin')
        throw new ViaductError('permission_denied', 'This needs an administrator.');
      if (needs === 'manage' && isEmpty(actor.managed))
        throw new ViaductError('permission_denied', 'This needs an administrator or a manager of a team.');
      if (isEmpty(actor.visible)) throw new ViaductError('permission_denied', 'This needs an admin key.');
      // Answers hold other people's data: no cache keeps them.
      reply.header('cache-control', 'no-store');
      await handle({ request, reply, actor, services });
    },
  };
}

const isEmpty = (teams: 'all' | string[]) => teams !== 'all' && teams.length === 0;

/** From the key sent (`secret`: instead of the header's), else from the session's cookie. Throws invalid_api_key. */
export async function actorOf(
  request: FastifyRequest,
  reply: FastifyReply,
  services: AdminServices,
  secret?: string,
): Promise<Actor> {
  const sent = credentialsOf(request, reply);
  const { signal } = sent;
  const credentials = { ...sent, signal, ...(secret !== undefined && { secret }) };
  if (credentials.secret === undefined) return sessionActor(request, services);
  const { boundary } = services;
  const { address } = credentials;
  if (isAdminSecret(boundary, credentials.secret))
    return { name: 'admin-key', role: 'admin', managed: 'all', visible: 'all', address };
  const { keyId } = await boundary.authenticate(credentials);
  const key = keyId === undefined ? undefined : boundary.directory.subject(keyId)?.key;
  if (!key) throw new ViaductError('invalid_api_key', needsAdmin);
  return { name: `key:${key.id}`, role: key.role, address, ...teamsOf(key.role, key.teamId) };
}

const needsAdmin =
  'This needs an admin key: VIADUCT_ADMIN_KEY, a key with the role admin, or, for the command line on the same machine, the file admin.token in VIADUCT_HOME.';

function isAdminSecret({ adminSecrets, serverSecret }: Boundary, secret: string): boolean {
  const hash = Buffer.from(hashSecret(serverSecret, secret));
  return adminSecrets.some((known) => timingSafeEqual(Buffer.from(hashSecret(serverSecret, known)), hash));
}

/** A key speaks for its own team, and without a team only an administrator's or a viewer's speaks for anybody. */
function teamsOf(role: Role, teamId: string | null): Pick<Actor, 'managed' | 'visible'> {
  const own = teamId === null ? [] : [teamId];
  switch (role) {
    case 'admin':
      return { managed: 'all', visible: 'all' };
    case 'manager':
      return { managed: own, visible: own };
    case 'viewer':
      return { managed: [], visible: teamId === null ? 'all' : own };
    case 'member':
      return { managed: [], visible: [] };
  }
}

export const sessionCookie = 'viaduct_session';

/** The token of the console's cookie. */
export function sessionToken(request: FastifyRequest): string | undefined {
  const pairs = (request.headers.cookie ?? '').split(';').map((pair) => pair.trim().split('='));
  return pairs.find(([name]) => name === sessionCookie)?.[1];
}

async function sessionActor(request: FastifyRequest, services: AdminServices): Promise<Actor> {
  const token = sessionToken(request);
  const { boundary, sessions, now } = services;
  const session = token && (await sessions.find(hashSecret(boundary.serverSecret, token), now()));
  if (!session) throw new ViaductError('invalid_api_key', needsAdmin);
  refuseForeignPages(request);
  const memberships = await boundary.administration.teams.membershipsOf(session.email);
  const teamsAs = (...roles: string[]) =>
    memberships.filter(({ role }) => roles.includes(role)).map(({ teamId }) => teamId);
  // Who is a manager by the sign-in is one in each of the own teams.
  const managed = session.role === 'manager' ? teamsAs('manager', 'viewer', 'member') : teamsAs('manager');
  const seen = [...new Set([...managed, ...teamsAs('viewer')])];
  const all = session.role === 'admin';
  return {
    name: session.email ? `user:${session.email}` : 'admin-key',
    role: session.role,
    managed: all ? 'all' : managed,
    visible: all || session.role === 'viewer' ? 'all' : seen,
    address: request.ip,
  };
}

/** A browser sends the cookie along with whatever page asks; what changes something must come from our own pages. */
function refuseForeignPages({ method, headers }: FastifyRequest) {
  if (method === 'GET' || method === 'HEAD') return;
  const origin = headers.origin;
  const own = origin !== undefined && URL.canParse(origin) && new URL(origin).host === headers.host;
  if (!own) throw new ViaductError('permission_denied', 'This request did not come from the console’s own page.');
}

/** May the actor see what belongs to this team? Nobody but those who see everything sees what belongs to no team. */
export const maySee = ({ visible }: Actor, teamId: string | null) =>
  visible === 'all' || (teamId !== null && visible.includes(teamId));
export const mayManage = ({ managed }: Actor, teamId: string | null) =>
  managed === 'all' || (teamId !== null && managed.includes(teamId));

/**
 * Narrow a wish for one team, by id or name, to what the actor may see: team ids, or undefined for everything. Throws
 * not_found.
 */
export async function visibleTeams(
  actor: Actor,
  wanted: string | undefined,
  { boundary }: AdminServices,
): Promise<string[] | undefined> {
  if (wanted === undefined) return actor.visible === 'all' ? undefined : actor.visible;
  const { id } = await boundary.administration.teams.get(wanted);
  if (!maySee(actor, id)) throw new ViaductError('not_found', `There is no team ${wanted}.`, { param: 'team' });
  return [id];
}
