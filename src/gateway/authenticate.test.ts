import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { credentials, type TestBoundary, testBoundary } from '../../test/support/boundary.ts';
import { keyStore } from '../store/keys.ts';
import { inRanges, parseRange } from './directory.ts';
import { allowed, intersect } from './patterns.ts';

const create = (boundary: TestBoundary, more = {}) =>
  boundary.administration.keys.create({ name: 'app', createdBy: 'test', ...more });
const enter = async (boundary: TestBoundary, secret: string | undefined, more = {}) =>
  boundary.authenticate(credentials(secret, more));
const rejected = (work: Promise<unknown>, code: string, message = /./) =>
  assert.rejects(work, (error: Error & { code?: string }) => {
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });

test('loopback without keys is open to any placeholder; the first key closes it, and revoking it does not open it', async (t) => {
  const boundary = await testBoundary(t);
  assert.equal((await enter(boundary, undefined)).owner, 'local');
  assert.equal((await enter(boundary, 'ollama')).owner, 'local');
  const { key, secret } = await create(boundary);
  assert.match(secret, /^vd-[\w-]{43}$/);
  assert.equal(secret.startsWith(key.prefix), true);
  assert.equal((await enter(boundary, secret)).keyId, key.id);
  await rejected(enter(boundary, undefined), 'invalid_api_key', /viaduct keys create/);
  await rejected(enter(boundary, 'ollama'), 'invalid_api_key');
  await boundary.administration.keys.revoke(key.id);
  await rejected(enter(boundary, secret), 'invalid_api_key', /revoked/);
  await rejected(enter(boundary, undefined), 'invalid_api_key');
});

test('beyond loopback a key is needed before there is one; `off` asks for none but still knows keys', async (t) => {
  const open = await testBoundary(t, { loopback: false });
  await rejected(enter(open, undefined), 'invalid_api_key');
  const off = await testBoundary(t, { loopback: false, authMode: 'off' });
  const { key, secret } = await create(off);
  assert.equal((await enter(off, undefined)).owner, 'local');
  assert.equal((await enter(off, secret)).keyId, key.id);
  await off.administration.keys.update(key.id, { disabled: true });
  await rejected(enter(off, secret), 'invalid_api_key', /disabled/);
});

test('expiry, and rotation with an overlap', async (t) => {
  let time = Date.now();
  const boundary = await testBoundary(t, { now: () => time });
  const { key, secret } = await create(boundary, { expiresAt: time + 10_000 });
  const rotated = await boundary.administration.keys.rotate(key.id, 5000);
  assert.notEqual(rotated.secret, secret);
  assert.equal((await enter(boundary, secret)).keyId, key.id);
  assert.equal((await enter(boundary, rotated.secret)).keyId, key.id);
  time += 5000;
  await rejected(enter(boundary, secret), 'invalid_api_key');
  assert.equal((await enter(boundary, rotated.secret)).keyId, key.id);
  time += 5000;
  await rejected(enter(boundary, rotated.secret), 'invalid_api_key', /expired on \d{4}-/);
});

test('endpoints and addresses of a key, models and privacy of key and team together', async (t) => {
  const boundary = await testBoundary(t);
  const team = await boundary.administration.teams.create({
    name: 'red',
    policy: { models: ['openai/*', 'fast'], privacy: 'local' },
  });
  const { secret } = await create(boundary, {
    teamId: 'red',
    tags: ['blue'],
    policy: {
      models: ['openai/gpt-*', 'smart'],
      endpoints: ['/v1/chat/*'],
      ipRanges: ['10.0.0.0/8', '2001:db8::/32', '192.0.2.7'],
    },
  });
  const from = (address: string) => enter(boundary, secret, { address });
  const { models, privacy, teamId, owner, tags } = await from('10.1.2.3');
  assert.deepEqual(
    { models, privacy, teamId, owner, tags },
    {
      models: ['openai/gpt-*'],
      privacy: 'local',
      teamId: team.id,
      owner: team.id,
      tags: ['blue'],
    },
  );
  await from('::ffff:10.9.9.9');
  await from('2001:db8::1');
  await from('192.0.2.7');
  await rejected(from('192.0.2.8'), 'permission_denied', /192\.0\.2\.8/);
  await rejected(
    enter(boundary, secret, { address: '10.0.0.1', endpoint: '/v1/models' }),
    'permission_denied',
    /\/v1\/models/,
  );
  await rejected(create(boundary, { policy: { ipRanges: ['nonsense'] } }), 'invalid_request', /nonsense/);
});

test('a key that another instance makes or revokes is known here within two seconds', async (t) => {
  const boundary = await testBoundary(t);
  const { key, secret } = await create(boundary);
  // Past this instance's own administration, as another instance would.
  await keyStore(boundary.db).update(key.id, { revokedAt: 1 });
  await sleep(2000);
  await rejected(enter(boundary, secret), 'invalid_api_key', /revoked/);
});

test('administrators: the configured key, the local token, a key with the role', async (t) => {
  const boundary = await testBoundary(t, { adminKey: 'a long admin secret', loopback: false });
  assert.equal(statSync(join(boundary.home, 'admin.token')).mode & 0o777, 0o600);
  for (const secret of boundary.adminSecrets) assert.equal((await enter(boundary, secret)).admin, true);
  assert.equal((await enter(boundary, (await create(boundary, { role: 'admin' })).secret)).admin, true);
  assert.equal((await enter(boundary, (await create(boundary)).secret)).admin, false);
});

test('no text but the secret itself gets in', async (t: TestContext) => {
  const boundary = await testBoundary(t);
  const { secret } = await create(boundary);
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string(),
        fc.integer({ min: 1, max: 45 }).map((n) => secret.slice(0, n)),
      ),
      async (guess) => {
        await rejected(enter(boundary, guess), 'invalid_api_key');
      },
    ),
    { numRuns: 200 },
  );
});

test('an intersection allows exactly what both allow', () => {
  const pattern = fc.stringMatching(/^[ab]{0,3}\*?$/);
  const name = fc.stringMatching(/^[ab]{0,4}$/);
  fc.assert(
    fc.property(fc.array(pattern), fc.array(pattern), name, (one, other, tried) => {
      assert.equal(allowed(intersect(one, other), tried), allowed(one, tried) && allowed(other, tried));
    }),
  );
});

test('addresses outside any notation are in no range', () => {
  assert.equal(inRanges('not an address', [parseRange('0.0.0.0/0')]), false);
  assert.equal(inRanges('::1', [parseRange('0.0.0.0/0')]), false);
});
