/** Sign-in against a real OpenID Connect provider. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { testBoundary } from '../../../test/support/boundary.ts';
import { clientId, clientSecret, type OidcPerson, signInAt, startOidc } from '../../../test/support/oidc.ts';
import { auditStore } from '../../store/audit.ts';
import { contentStore } from '../../store/contents.ts';
import { sessionStore } from '../../store/sessions.ts';
import { createApp } from '../app.ts';
import type { Services } from '../define.ts';
import { createAdminDoor, createSignIn } from './index.ts';

const person = (name: string, more: Partial<OidcPerson> = {}): OidcPerson => ({
  email: `${name}@example.org`,
  name,
  email_verified: true,
  groups: [],
  ...more,
});
const people = {
  ada: person('Ada', { groups: ['staff', 'platform'] }),
  bob: person('bob'),
  eve: person('eve'),
  mallory: person('mallory', { email_verified: false, groups: ['platform'] }),
};
const host = 'localhost';
const callback = `http://${host}/admin/session/callback`;

async function start(t: TestContext) {
  const oidc = await startOidc(callback, people);
  t.after(() => oidc.stop());
  let time = Date.now();
  const boundary = await testBoundary(t, { now: () => time });
  const { db } = boundary;
  const signIn = createSignIn({
    issuer: oidc.issuer,
    clientId,
    clientSecret,
    scopes: ['openid', 'email', 'profile'],
    rolesClaim: 'groups',
    roles: { platform: 'admin', staff: 'viewer' },
  });
  const door = createAdminDoor(
    {
      boundary,
      signIn,
      ledger: boundary.ledger.reports,
      audit: auditStore(db),
      contents: contentStore(db),
      sessions: sessionStore(db),
      config: () => ({}),
      now: () => time,
    },
    { sessionMs: 3_600_000, redirectUrl: undefined },
  );
  const app = createApp({} as Services, [door]);
  t.after(() => app.close());

  const get = async (url: string, cookies: string[]) => {
    const reply = await app.inject({ method: 'GET', url, headers: { host, cookie: cookies.join('; ') } });
    const set = [reply.headers['set-cookie'] ?? []].flat().map((cookie) => cookie.split(';')[0] ?? '');
    return { status: reply.statusCode, location: reply.headers.location ?? '', cookies: set, text: reply.body };
  };
  const begin = (path = '/admin/session/login') => get(path, []);
  const signInAs = async (login: string, path?: string) => {
    const begun = await begin(path);
    const back = await signInAt(begun.location, login, callback);
    return get(back.slice(`http://${host}`.length), begun.cookies);
  };
  const later = (ms: number) => {
    time += ms;
  };
  return { boundary, get, begin, signInAs, later };
}

const sessionOf = ({ cookies }: { cookies: string[] }) =>
  cookies.filter((cookie) => cookie.startsWith('viaduct_session='));

test('an administrator by group signs in, sees everything, and is out after the session’s time', async (t) => {
  const { signInAs, get, later } = await start(t);
  const done = await signInAs('ada', '/admin/session/login?return_to=/console/keys');
  assert.equal(done.status, 302, done.text);
  assert.equal(done.location, '/console/keys');
  const session = sessionOf(done);
  assert.equal((await get('/admin/keys', session)).status, 200);
  const audit = await get('/admin/audit', session);
  assert.match(audit.text, /"actor":"user:ada@example\.org".*"action":"session\.open"/);
  later(3_600_000);
  assert.equal((await get('/admin/keys', session)).status, 401);
});

test('a team’s manager by membership sees the own team; a stranger and an unverified address do not get in', async (t) => {
  const { boundary, signInAs, get } = await start(t);
  const { teams } = boundary.administration;
  const red = await teams.create({ name: 'red' });
  await teams.create({ name: 'blue' });
  await teams.setMember(red.id, { email: 'bob@example.org', role: 'manager' });
  const session = sessionOf(await signInAs('bob'));
  assert.match((await get('/admin/teams', session)).text, /"name":"red"/);
  assert.doesNotMatch((await get('/admin/teams', session)).text, /"name":"blue"/);
  assert.equal((await get('/admin/audit', session)).status, 403);
  await teams.removeMember(red.id, 'bob@example.org');
  assert.equal((await get('/admin/teams', session)).status, 403);

  const stranger = await signInAs('eve');
  assert.equal(stranger.status, 403);
  assert.match(stranger.text, /eve@example\.org has no role here/);
  const unverified = await signInAs('mallory');
  assert.equal(unverified.status, 403);
  assert.deepEqual(sessionOf(unverified), []);
});

test('an answer for another browser, a forged cookie, a code used twice and a foreign way back are refused', async (t) => {
  const { begin, get, signInAs } = await start(t);
  const begun = await begin();
  const back = (await signInAt(begun.location, 'ada', callback)).slice(`http://${host}`.length);
  assert.equal((await get(back, [])).status, 403);
  assert.equal((await get(back, (await begin()).cookies)).status, 403);
  const [pending = ''] = begun.cookies;
  assert.equal((await get(back, [`${pending.slice(0, -4)}AAAA`])).status, 403);
  assert.equal((await get(back, begun.cookies)).status, 302);
  assert.equal((await get(back, begun.cookies)).status, 403);
  for (const way of ['//evil.example', 'https://evil.example', '/\\evil.example', '/%0d%0aset-cookie:x']) {
    const done = await signInAs('ada', `/admin/session/login?return_to=${encodeURIComponent(way)}`);
    assert.equal(done.location, '/console', way);
  }
});
