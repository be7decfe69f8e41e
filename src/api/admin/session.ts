/** /admin/session: sign-in of people to the console, by OIDC or with an admin key. The cookie is httpOnly and sameSite. */
import { createHmac, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import { createId, hashSecret } from '../../gateway/secrets.ts';
import type { Role } from '../../store/policy.ts';
import type { Endpoint } from '../define.ts';
import { type AdminServices, actorOf, sessionCookie, sessionToken } from './actor.ts';
import type { Pending, Person } from './oidc.ts';
import { parsed } from './shapes.ts';

const path = '/admin/session';
const pendingCookie = 'viaduct_sign_in';
const pendingSeconds = 600;

export type SessionOptions = {
  /** How long a sign-in lasts, ms; absent: half a day. */
  sessionMs: number | undefined;
  /** As registered at the sign-in server; absent: this server as the browser names it. */
  redirectUrl: string | undefined;
};

export function sessionEndpoints(
  services: AdminServices,
  { sessionMs = 43_200_000, redirectUrl }: SessionOptions,
): Endpoint[] {
  const { signIn, boundary, now } = services;

  const callbackUrl = ({ protocol, headers }: FastifyRequest) =>
    redirectUrl ?? `${protocol}://${headers.host}${path}/callback`;

  const open = async (request: FastifyRequest, reply: FastifyReply, person: Person) => {
    const token = randomBytes(32).toString('base64url');
    const createdAt = now();
    await services.sessions.insert(hashSecret(boundary.serverSecret, token), {
      ...person,
      createdAt,
      expiresAt: createdAt + sessionMs,
    });
    setCookie(request, reply, sessionCookie, token, '/admin', sessionMs / 1000);
    await services.audit.append({
      id: createId('audit'),
      at: createdAt,
      actor: person.email ? `user:${person.email}` : 'admin-key',
      address: request.ip,
      action: 'session.open',
      subject: person.email || 'admin-key',
      detail: { role: person.role },
    });
  };

  return [
    {
      method: 'GET',
      path,
      access: 'public',
      /** Who is signed in, and whether one can sign in with OIDC. */
      async handle({ request, reply }) {
        const actor = await actorOf(request, reply, services).catch(() => undefined);
        reply.header('cache-control', 'no-store');
        return reply.send({
          object: 'session',
          oidc: signIn !== undefined,
          actor: actor ? { name: actor.name, role: actor.role, managed: actor.managed, visible: actor.visible } : null,
        });
      },
    },
    {
      method: 'POST',
      path,
      access: 'public',
      /** `{ key }`: an admin key, for consoles without OIDC. */
      async handle({ request, reply }) {
        const { key } = parsed(z.strictObject({ key: z.string().min(1) }), request.body);
        const actor = await actorOf(request, reply, services, key);
        if (actor.role !== 'admin')
          throw new ViaductError('permission_denied', 'This needs an admin key.', { param: 'key' });
        await open(request, reply, { email: '', name: actor.name, role: actor.role });
        return reply.send({ object: 'session', role: actor.role });
      },
    },
    {
      method: 'DELETE',
      path,
      access: 'public',
      async handle({ request, reply }) {
        const token = sessionToken(request);
        if (token) await services.sessions.remove(hashSecret(boundary.serverSecret, token));
        setCookie(request, reply, sessionCookie, '', '/admin', 0);
        return reply.send({ object: 'session', deleted: true });
      },
    },
    {
      method: 'GET',
      path: `${path}/login`,
      access: 'public',
      async handle({ request, reply }) {
        if (!signIn)
          throw new ViaductError('not_implemented', 'No sign-in server is configured: set oidc in viaduct.yaml.');
        const { return_to: wanted } = request.query as { return_to?: string };
        const { url, pending } = await signIn.begin(callbackUrl(request), ownPath(wanted));
        setCookie(request, reply, pendingCookie, seal(pending, boundary.serverSecret), path, pendingSeconds);
        return reply.redirect(url);
      },
    },
    {
      method: 'GET',
      path: `${path}/callback`,
      access: 'public',
      async handle({ request, reply }) {
        const pending = unseal(cookieOf(request, pendingCookie), boundary.serverSecret);
        if (!signIn || !pending)
          throw new ViaductError(
            'permission_denied',
            'This sign-in was not begun here, or took too long. Begin again.',
          );
        const person = await signIn.finish(new URL(request.url, callbackUrl(request)), pending);
        await refuseStrangers(person, services);
        await open(request, reply, person);
        // Good for one sign-in.
        setCookie(request, reply, pendingCookie, '', path, 0);
        return reply.redirect(pending.returnTo);
      },
    },
  ];
}

/** Whoever has no role and no team has nothing to see. */
async function refuseStrangers({ email, role }: { email: string; role: Role }, { boundary }: AdminServices) {
  if (role !== 'member') return;
  const memberships = await boundary.administration.teams.membershipsOf(email);
  if (memberships.length === 0)
    throw new ViaductError('permission_denied', `${email} has no role here and is in no team. Ask an administrator.`);
}

/** Only back to a page of this server. */
const ownPath = (wanted: string | undefined) =>
  wanted && /^\/(?![/\\])[\w\-./?=&%#]*$/.test(wanted) ? wanted : '/console';

function cookieOf(request: FastifyRequest, name: string): string | undefined {
  return (request.headers.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .find((pair) => pair.startsWith(`${name}=`))
    ?.slice(name.length + 1);
}

function setCookie(
  request: FastifyRequest,
  reply: FastifyReply,
  name: string,
  value: string,
  at: string,
  seconds: number,
) {
  const secure = request.protocol === 'https' ? '; Secure' : '';
  const cookie = `${name}=${value}; Path=${at}; Max-Age=${Math.floor(seconds)}; HttpOnly; SameSite=Lax${secure}`;
  // Lax and not strict: the browser comes back from the sign-in server by a link.
  const before = reply.getHeader('set-cookie');
  reply.removeHeader('set-cookie');
  reply.header('set-cookie', [...(Array.isArray(before) ? before : before ? [String(before)] : []), cookie]);
}

const signature = (text: string, key: KeyObject) => createHmac('sha256', key).update(`sign-in ${text}`).digest();

function seal(pending: Pending, key: KeyObject): string {
  const text = Buffer.from(JSON.stringify(pending)).toString('base64url');
  return `${text}.${signature(text, key).toString('base64url')}`;
}

function unseal(cookie: string | undefined, key: KeyObject): Pending | undefined {
  const [text = '', given = ''] = (cookie ?? '').split('.');
  const right = signature(text, key);
  const mac = Buffer.from(given, 'base64url');
  if (mac.length !== right.length || !timingSafeEqual(mac, right)) return undefined;
  return JSON.parse(Buffer.from(text, 'base64url').toString()) as Pending;
}
