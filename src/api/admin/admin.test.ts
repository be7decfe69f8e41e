import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { ask, entry, type TestBoundary, testBoundary } from '../../../test/support/boundary.ts';
import { startPostgres } from '../../../test/support/postgres.ts';
import { unavailable } from '../../../test/support/unavailable.ts';
import { auditStore } from '../../store/audit.ts';
import { contentStore } from '../../store/contents.ts';
import { sessionStore } from '../../store/sessions.ts';
import { createApp } from '../app.ts';
import type { Services } from '../define.ts';
import { createAdminDoor } from './index.ts';

type Reply = { status: number; body: Record<string, never> & { data: never[] }; text: string; cookies: string[] };

/** The admin door on a real boundary. `call(secret)` speaks with a key, `cookie` with a session. */
async function start(t: TestContext, database = 'sqlite') {
  const boundary = await testBoundary(t, { adminKey: 'an-administrators-key', database });
  const { db } = boundary;
  const door = createAdminDoor(
    {
      boundary,
      ledger: boundary.ledger.reports,
      audit: auditStore(db),
      contents: contentStore(db),
      sessions: sessionStore(db),
      config: () => ({ providers: { openai: { api_key: 'sk-secret' } }, database: 'postgres://u:hunter2@db/x' }),
      now: Date.now,
    },
    { sessionMs: 60_000, redirectUrl: undefined },
  );
  // Nothing of /admin uses the other services.
  const app = createApp({} as Services, [door]);
  t.after(() => app.close());
  const admin = caller(app, 'an-administrators-key');
  return { app, boundary, admin };
}

const caller =
  (app: FastifyInstance, secret: string | undefined, headers: Record<string, string> = {}) =>
  async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, body?: object): Promise<Reply> => {
    const reply = await app.inject({
      method,
      url,
      headers: { ...headers, ...(secret !== undefined && { authorization: `Bearer ${secret}` }) },
      ...(body && { payload: body }),
    });
    const json = reply.headers['content-type']?.toString().includes('json');
    return {
      status: reply.statusCode,
      body: (json ? reply.json() : {}) as Reply['body'],
      text: reply.body,
      cookies: [reply.headers['set-cookie'] ?? []].flat(),
    };
  };

const code = ({ body }: Reply) => (body as unknown as { error?: { code: string } }).error?.code;

async function teamsOfTwo(boundary: TestBoundary) {
  const { teams, keys, budgets } = boundary.administration;
  const red = await teams.create({ name: 'red' });
  const blue = await teams.create({ name: 'blue' });
  const make = (name: string, teamId: string, role: 'member' | 'manager' | 'viewer') =>
    keys.create({ name, teamId, role, createdBy: 'test' });
  const people = {
    member: await make('red app', red.id, 'member'),
    manager: await make('red manager', red.id, 'manager'),
    viewer: await make('red viewer', red.id, 'viewer'),
    stranger: await make('blue manager', blue.id, 'manager'),
  };
  const budget = await budgets.create({ scope: 'team', scopeId: red.id, period: 'month', amount: 5 });
  await ask(boundary, people.member.secret, { cost: 0.5 });
  await boundary.ledger.flush();
  return { red, blue, budget, ...people };
}

test('without an admin key /admin is closed, also on an open loopback server; a member’s key does not open it', async (t) => {
  const { app, boundary } = await start(t);
  assert.equal(code(await caller(app, undefined)('GET', '/admin/keys')), 'invalid_api_key');
  assert.equal(code(await caller(app, 'ollama')('GET', '/admin/keys')), 'invalid_api_key');
  const { secret } = await boundary.administration.keys.create({ name: 'app', createdBy: 'test' });
  for (const path of ['keys', 'teams', 'budgets', 'usage', 'requests', 'audit', 'config'])
    assert.equal((await caller(app, secret)('GET', `/admin/${path}`)).status, 403, path);
});

test('the life of a key: made once, listed without its secret, changed, rotated, revoked, all in the audit log', async (t) => {
  const { admin, boundary } = await start(t);
  const made = await admin('POST', '/admin/keys', {
    name: 'app',
    models: ['fast'],
    limits: { rpm: 5 },
    ip_ranges: ['10.0.0.0/8'],
    tags: ['blue'],
    metadata: { owner: 'Ada' },
    expires_at: '30d',
    budget: { amount: 10, period: 'monthly' },
  });
  assert.equal(made.status, 201);
  const { id, secret, prefix } = made.body as unknown as Record<string, string>;
  assert.match(secret ?? '', /^vd-/);
  const list = await admin('GET', '/admin/keys');
  assert.ok(!list.text.includes(secret ?? ''));
  assert.ok(!list.text.includes('hash'));
  assert.deepEqual(
    list.body.data.map(({ id, prefix, status, models, limits }) => ({ id, prefix, status, models, limits })),
    [{ id, prefix, status: 'active', models: ['fast'], limits: { rpm: 5 } }],
  );
  const changed = await admin('POST', `/admin/keys/${id}`, { models: null, disabled: true, expires_at: null });
  assert.equal(changed.body['models'], null);
  assert.equal(changed.body['status'], 'disabled');
  assert.equal(changed.body['expires_at'], null);
  const rotated = await admin('POST', `/admin/keys/${id}/rotate`, { overlap: '1h' });
  assert.notEqual(rotated.body['secret'], secret);
  const revoked = await admin('DELETE', `/admin/keys/${id}`);
  assert.equal(revoked.body['status'], 'revoked');
  assert.deepEqual((await admin('GET', '/admin/keys')).body.data, []);
  assert.equal((await admin('GET', '/admin/keys?revoked=true')).body.data.length, 1);
  assert.equal((await admin('GET', '/admin/budgets')).body.data.length, 1);
  const audit = await admin('GET', '/admin/audit');
  assert.deepEqual(
    audit.body.data.map(({ action, actor, subject }) => [action, actor, subject]),
    [
      ['key.revoke', 'admin-key', id],
      ['key.rotate', 'admin-key', id],
      ['key.update', 'admin-key', id],
      ['key.create', 'admin-key', id],
    ],
  );
  assert.ok(!audit.text.includes(secret ?? ''));
  assert.equal(boundary.directory.hasKeys(), true);
});

test('what is wrong with a body is said by field', async (t) => {
  const { admin } = await start(t);
  const param = async (body: object) => {
    const reply = await admin('POST', '/admin/keys', body);
    assert.equal(reply.status, 400);
    return (reply.body as unknown as { error: { param: string } }).error.param;
  };
  assert.equal(await param({}), 'name');
  assert.equal(await param({ name: 'a', limits: { rpm: -1 } }), 'limits.rpm');
  assert.equal(await param({ name: 'a', modles: [] }), 'modles');
  assert.equal(await param({ name: 'a', expires_at: 'soon' }), 'expires_at');
  assert.equal(await param({ name: 'a', expires_at: '46462550370305w' }), 'expires_at');
  assert.match(await param({ name: 'a', budget: { amount: 1e30 } }), /^budget/);
  assert.equal(await param({ name: 'a', ip_ranges: ['10.0.0.0/99'] }), 'policy.ip_ranges');
  assert.equal(code(await admin('POST', '/admin/keys', { name: 'a', team: 'nobody' })), 'not_found');
  assert.equal(code(await admin('GET', '/admin/usage?by=colour')), 'invalid_request');
  assert.equal(code(await admin('GET', '/admin/keys/nothing')), 'not_found');
});

test('a manager rules the own team, a viewer looks, and no team sees another', async (t) => {
  const { app, boundary, admin } = await start(t);
  const { red, blue, budget, member, manager, viewer, stranger } = await teamsOfTwo(boundary);
  const [asManager, asViewer, asStranger] = [manager, viewer, stranger].map(({ secret }) => caller(app, secret));
  assert.ok(asManager && asViewer && asStranger);

  const made = await asManager('POST', '/admin/keys', { name: 'new' });
  assert.equal(made.body['team'], red.id);
  assert.equal((await asManager('POST', '/admin/keys', { name: 'new', team: blue.id })).status, 403);
  assert.equal((await asManager('POST', '/admin/keys', { name: 'new', role: 'admin' })).status, 403);
  assert.equal((await asManager('POST', '/admin/teams', { name: 'mine' })).status, 403);
  assert.equal((await asManager('POST', `/admin/teams/${red.id}`, { limits: null })).status, 403);
  assert.equal(
    (await asManager('PUT', `/admin/teams/${red.id}/members/ada@example.org`, { role: 'viewer' })).status,
    200,
  );
  assert.equal((await asManager('DELETE', `/admin/budgets/${budget.id}`)).status, 403);
  const ownBudget = { scope: 'key', scope_id: member.key.id, amount: 1 };
  assert.equal((await asManager('POST', '/admin/budgets', ownBudget)).status, 201);
  assert.equal((await asManager('POST', '/admin/budgets', { scope: 'total', amount: 1 })).status, 403);
  assert.equal((await asManager('GET', '/admin/audit')).status, 403);
  assert.equal((await asManager('GET', '/admin/config')).status, 403);

  assert.equal((await asViewer('GET', `/admin/keys/${member.key.id}`)).status, 200);
  assert.equal((await asViewer('DELETE', `/admin/keys/${member.key.id}`)).status, 403);
  assert.equal((await asViewer('POST', '/admin/keys', { name: 'new' })).status, 403);

  for (const path of [
    `keys/${member.key.id}`,
    `teams/${red.id}`,
    `teams/red`,
    `teams/${red.id}/members`,
    `budgets/${budget.id}`,
    'usage?team=red',
    'keys?team=red',
  ])
    assert.equal((await asStranger('GET', `/admin/${path}`)).status, 404, path);
  for (const [method, path] of [
    ['DELETE', `keys/${member.key.id}`],
    ['POST', `keys/${member.key.id}`],
    ['POST', `keys/${member.key.id}/rotate`],
    ['PUT', `teams/${red.id}/members/eve@example.org`],
  ] as const)
    assert.equal((await asStranger(method, `/admin/${path}`, {})).status, 404, path);
  assert.equal((await asStranger('GET', '/admin/usage')).body.data.length, 0);
  assert.equal((await asStranger('GET', `/admin/usage?by=key&key=${member.key.id}`)).body.data.length, 0);
  assert.equal((await asStranger('GET', '/admin/requests')).body.data.length, 0);
  assert.equal((await asStranger('GET', '/admin/budgets')).body.data.length, 0);
  const teams = await asStranger('GET', '/admin/teams');
  assert.deepEqual(
    teams.body.data.map(({ name }) => name),
    ['blue'],
  );
  const [row] = (await admin('GET', '/admin/requests')).body.data as unknown as { request_id: string }[];
  assert.equal((await asStranger('GET', `/admin/requests/${row?.request_id}`)).status, 404);
  assert.equal((await asManager('GET', `/admin/requests/${row?.request_id}`)).status, 200);
});

test('usage as JSON and CSV; names that look like formulas are harmless', async (t) => {
  const { admin, boundary } = await start(t);
  const { key, secret } = await boundary.administration.keys.create({ name: '=cmd("x"),1', createdBy: 'test' });
  for (let i = 0; i < 3; i++) await ask(boundary, secret, { cost: 0.25 });
  boundary.account(entry({ model: 'other', status: 'error', cause: 'provider_timeout' }));
  await boundary.ledger.flush();
  const byKey = await admin('GET', '/admin/usage?by=key');
  assert.deepEqual(
    byKey.body.data.map(({ group, requests, cost, errors }) => ({ group, requests, cost, errors })),
    [
      { group: key.id, requests: 3, cost: 0.75, errors: 0 },
      { group: '', requests: 1, cost: 0, errors: 1 },
    ],
  );
  const csv = await admin('GET', '/admin/usage?by=key&format=csv');
  assert.match(csv.text, /^group,name,requests,.*\r\n/);
  assert.ok(csv.text.includes(`${key.id},"'=cmd(""x""),1",3,`));
  const today = new Date().toISOString().slice(0, 10);
  assert.equal((await admin('GET', `/admin/usage?from=${today}&until=${today}`)).body.data.length, 1);
  assert.equal((await admin('GET', '/admin/usage?until=2020-01-01')).body.data.length, 0);
});

test('the configuration is shown without its secrets', async (t) => {
  const { admin } = await start(t);
  const { text, status } = await admin('GET', '/admin/config');
  assert.equal(status, 200);
  assert.ok(!text.includes('sk-secret') && !text.includes('hunter2'));
});

test('a console session: opened with an admin key, refused to foreign pages, closed', async (t) => {
  const { app } = await start(t);
  const anonymous = caller(app, undefined);
  assert.equal((await anonymous('POST', '/admin/session', { key: 'wrong' })).status, 401);
  const again = await anonymous('POST', '/admin/session', { key: 'an-administrators-key' });
  assert.equal(again.status, 200);
  const [cookie = ''] = again.cookies;
  assert.match(cookie, /^viaduct_session=[\w-]{43}; Path=\/admin; Max-Age=60; HttpOnly; SameSite=Lax$/);
  const session = { cookie: cookie.split(';')[0] ?? '', host: 'localhost' };
  const page = caller(app, undefined, { ...session, origin: 'http://localhost' });
  assert.equal((await page('POST', '/admin/teams', { name: 'red' })).status, 201);
  for (const origin of ['http://evil.example', 'null', 'http://localhost.evil.example']) {
    const foreign = caller(app, undefined, { ...session, origin });
    assert.equal((await foreign('POST', '/admin/teams', { name: 'evil' })).status, 403, origin);
  }
  assert.equal((await caller(app, undefined, session)('POST', '/admin/teams', { name: 'evil' })).status, 403);
  assert.equal((await page('DELETE', '/admin/session')).status, 200);
  assert.equal((await page('GET', '/admin/teams')).status, 401);
});

for (const database of ['SQLite', 'PostgreSQL'])
  test(`no body and no query gets a 5xx out of /admin: ${database}`, async (t) => {
    const postgres = database === 'PostgreSQL' ? await startPostgres() : undefined;
    if (database === 'PostgreSQL' && !postgres) return unavailable(t, 'postgresql');
    const { admin } = await start(t, await postgres?.createDatabase());
    t.after(() => postgres?.stop());
    const endpoints = ['keys', 'keys/x', 'keys/x/rotate', 'teams', 'teams/x', 'budgets', 'budgets/x', 'session'];
    const words = fc.constantFrom(
      'name',
      'role',
      'team',
      'models',
      'limits',
      'rpm',
      'scope',
      'period',
      'amount',
      'budget',
      'expires_at',
      'tags',
      'key',
      'total',
      'day',
      'admin',
    );
    const text = fc.oneof(
      words,
      fc.string(),
      fc.constantFrom('\0', 'a\0b', '\ud800', '__proto__', '30d', '2026-99-99'),
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 3 },
        text,
        fc.double(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(text, tie('any'), { maxKeys: 5 }),
      ),
    })).any;
    const body = fc.oneof(
      fc.dictionary(text, value, { maxKeys: 6 }),
      fc.record({ name: text, team: text }, { requiredKeys: ['name'] }),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...endpoints), body, async (path, given) => {
        const { status, text } = await admin('POST', `/admin/${path}`, given as object);
        assert.ok(status < 500, text);
      }),
      { numRuns: 300 },
    );
    const lists = ['keys', 'usage', 'requests', 'audit', 'keys/', 'teams/', 'requests/', 'budgets/'];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...lists),
        fc.dictionary(fc.oneof(words, fc.constantFrom('by', 'from', 'until', 'limit', 'before', 'after')), text),
        text,
        async (path, query, rest) => {
          const tail = path.endsWith('/') ? encodeURIComponent(rest.toWellFormed()) : '';
          const { status, text } = await admin('GET', `/admin/${path}${tail}?${new URLSearchParams(query)}`);
          assert.ok(status < 500, text);
        },
      ),
      { numRuns: 300 },
    );
  });
