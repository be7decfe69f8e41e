/** The same suite on SQLite and on a real PostgreSQL. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { startPostgres } from '../../test/support/postgres.ts';
import { unavailable } from '../../test/support/unavailable.ts';
import { auditStore } from './audit.ts';
import { budgetStore } from './budgets.ts';
import { contentStore } from './contents.ts';
import { keyStore, type NewKey } from './keys.ts';
import { ledgerStore } from './ledger.ts';
import { LedgerBatch } from './ledger-batch.ts';
import { dayMs, type LedgerRow } from './ledger-tables.ts';
import { openStore } from './open.ts';
import { currentRevision } from './revision.ts';
import { sessionStore } from './sessions.ts';
import { teamStore } from './teams.ts';

const home = mkdtempSync(join(tmpdir(), 'viaduct-store-'));
const postgres = await startPostgres();
after(async () => {
  await postgres?.stop();
  rmSync(home, { recursive: true, force: true });
});

const noon = Date.UTC(2026, 10, 25, 12);

const newKey = (id: string, more: Partial<NewKey> = {}): NewKey => ({
  id,
  name: `name of ${id}`,
  prefix: 'vd-abcdef',
  hash: `hash of ${id}`,
  role: 'member',
  teamId: null,
  policy: {},
  tags: [],
  metadata: {},
  createdBy: 'test',
  createdAt: noon,
  expiresAt: null,
  ...more,
});

const row = (id: string, more: Partial<LedgerRow> = {}): LedgerRow => ({
  id,
  request_id: `request ${id}`,
  attempt: 1,
  shadow: 0,
  key_id: 'k1',
  team_id: '',
  endpoint: '/v1/chat/completions',
  model: 'fast',
  provider: 'openai',
  target: 'gpt-5',
  input_tokens: 10,
  output_tokens: 5,
  cache_read_tokens: 4,
  cache_write_tokens: 0,
  reasoning_tokens: 2,
  image_tokens: 0,
  cost_nano: 1_500,
  status: 'ok',
  cause: null,
  started_at: noon,
  first_token_ms: 20,
  total_ms: 50,
  queue_ms: 0,
  load_ms: 0,
  digest: null,
  stream: 0,
  estimated: 0,
  tags: '[]',
  metadata: '{}',
  ...more,
});

for (const kind of ['SQLite', 'PostgreSQL'] as const)
  describe(kind, async () => {
    if (kind === 'PostgreSQL' && !postgres) {
      test('suite', (t) => unavailable(t, 'postgresql'));
      return;
    }
    const database = kind === 'SQLite' ? 'sqlite' : ((await postgres?.createDatabase()) ?? '');
    const db = await openStore({ database, home });
    after(() => db.destroy());

    test('a key comes back as it went in, and every change is seen by its revision', async () => {
      const keys = keyStore(db);
      const before = await currentRevision(db);
      const key = newKey('k1', {
        policy: { models: ['fast', 'openai/*'], limits: { rpm: 3 }, privacy: 'local' },
        tags: ['blue'],
        metadata: { owner: 'Zoë' },
        expiresAt: noon + dayMs,
      });
      await keys.insert(key);
      const { hash: _hash, ...visible } = key;
      assert.deepEqual(await keys.get('k1'), { ...visible, lastUsedAt: null, disabled: false, revokedAt: null });
      const [changed] = await keys.changedSince(before);
      assert.equal(changed?.hash, 'hash of k1');
      const between = await currentRevision(db);
      assert.deepEqual(await keys.changedSince(between), []);
      assert.equal(await keys.update('k1', { disabled: true, policy: {} }), true);
      assert.equal((await keys.changedSince(between))[0]?.disabled, true);
      assert.equal(await keys.update('unknown', { disabled: true }), false);
      await keys.update('k1', { disabled: false });
    });

    test('keys are listed newest first, in pages, revoked ones only when asked for', async () => {
      const keys = keyStore(db);
      for (const n of [1, 2, 3]) await keys.insert(newKey(`page-${n}`, { createdAt: noon + 1000 + (n === 3 ? 2 : n) }));
      await keys.update('page-1', { revokedAt: noon });
      const first = await keys.list({ limit: 1 });
      assert.deepEqual(
        first.map(({ id }) => id),
        ['page-3'],
      );
      const second = await keys.list({ limit: 2, after: 'page-3' });
      assert.deepEqual(
        second.map(({ id }) => id),
        ['page-2', 'k1'],
      );
      assert.equal((await keys.list({ limit: 9, revoked: true })).length, 4);
      assert.equal(await keys.count(), 3);
    });

    test('teams, members and their end', async () => {
      const teams = teamStore(db);
      await teams.insert({ id: 't1', name: 'red', policy: { limits: { tpm: 9 } }, createdAt: noon });
      await assert.rejects(teams.insert({ id: 't2', name: 'red', policy: {}, createdAt: noon }));
      await teams.setMember('t1', { email: 'Ada@Example.org', role: 'member' });
      await teams.setMember('t1', { email: 'ada@example.org', role: 'manager' });
      assert.deepEqual(await teams.members('t1'), [{ email: 'ada@example.org', role: 'manager' }]);
      assert.deepEqual(await teams.membershipsOf('ADA@example.org'), [{ teamId: 't1', role: 'manager' }]);
      await keyStore(db).insert(newKey('of-team', { teamId: 't1' }));
      assert.equal(await teams.remove('t1'), 'has keys');
      await keyStore(db).update('of-team', { revokedAt: noon });
      assert.equal(await teams.remove('t1'), 'removed');
      assert.equal(await teams.remove('t1'), 'unknown');
      assert.deepEqual(await teams.membershipsOf('ada@example.org'), []);
    });

    test('budgets', async () => {
      const budgets = budgetStore(db);
      const budget = {
        id: 'b1',
        scope: 'key' as const,
        scopeId: 'k1',
        period: 'month' as const,
        amountNano: 5_000_000_000_000,
        soft: false,
        webhook: null,
        createdAt: noon,
      };
      await budgets.insert(budget);
      assert.deepEqual(await budgets.list({ scope: 'key', scopeId: 'k1' }), [budget]);
      assert.deepEqual(await budgets.list({ scope: 'total', scopeId: '' }), []);
      assert.equal(await budgets.update('b1', { soft: true }), true);
      assert.equal((await budgets.get('b1'))?.soft, true);
      assert.equal(await budgets.remove('b1'), true);
      assert.equal(await budgets.remove('b1'), false);
    });

    test('a ledger row written twice counts once, in one batch or in two', async () => {
      const ledger = ledgerStore(db);
      await ledger.append(
        LedgerBatch.of([
          row('a'),
          row('a'),
          row('b', { attempt: 2, status: 'error', cause: 'provider_timeout', cost_nano: null }),
        ]),
      );
      await ledger.append(LedgerBatch.of([row('a'), row('c', { started_at: noon + dayMs, model: 'smart' })]));
      await ledger.append(LedgerBatch.of([row('d', { shadow: 1, attempt: 0 })]));
      const days = await ledger.usage({ by: 'day' });
      assert.deepEqual(
        days.map(({ group, requests, attempts, errors, unpriced, input_tokens, cost_nano }) => ({
          group,
          requests,
          attempts,
          errors,
          unpriced,
          input_tokens,
          cost_nano,
        })),
        [
          { group: '2026-11-25', requests: 1, attempts: 3, errors: 1, unpriced: 1, input_tokens: 30, cost_nano: 3000 },
          { group: '2026-11-26', requests: 1, attempts: 1, errors: 0, unpriced: 0, input_tokens: 10, cost_nano: 1500 },
        ],
      );
      const [byKey] = await ledger.usage({
        by: 'key',
        from: noon - (noon % dayMs),
        until: noon - (noon % dayMs) + dayMs,
      });
      assert.equal(byKey?.name, 'name of k1');
      assert.equal(byKey?.cost_nano, 3000);
      assert.deepEqual(
        (await ledger.usage({ by: 'model' })).map(({ group }) => group),
        ['fast', 'smart'],
      );
      assert.equal(await ledger.spent('key', 'k1', 0), 3000);
      assert.equal(await ledger.spent('key', 'nobody', 0), 0);
      assert.equal(await ledger.spent('total', '', noon), 1500);
      assert.equal((await keyStore(db).get('k1'))?.lastUsedAt, noon + dayMs);
      assert.deepEqual(
        (await ledger.requests({ limit: 1 })).map(({ id }) => id),
        ['c'],
      );
      assert.deepEqual(
        (await ledger.requests({ limit: 9, failed: true })).map(({ id }) => id),
        ['b'],
      );
      assert.deepEqual(await ledger.requests({ limit: 9, teamIds: [] }), []);
    });

    test('a batch larger than one statement', async () => {
      const ledger = ledgerStore(db);
      const before = (await ledger.usage({ by: 'key', keyId: 'many' }))[0]?.requests ?? 0;
      await ledger.append(
        LedgerBatch.of(Array.from({ length: 1201 }, (_, n) => row(`many-${n}`, { key_id: 'many', model: `m${n}` }))),
      );
      assert.equal((await ledger.usage({ by: 'key', keyId: 'many' }))[0]?.requests, before + 1201);
    });

    test('sessions end', async () => {
      const sessions = sessionStore(db);
      const session = { email: 'a@b.c', name: 'A', role: 'admin' as const, createdAt: noon, expiresAt: noon + 1000 };
      await sessions.insert('s1', session);
      assert.deepEqual(await sessions.find('s1', noon), session);
      assert.equal(await sessions.find('s1', noon + 1000), undefined);
      await sessions.remove('s1');
      assert.equal(await sessions.find('s1', noon), undefined);
    });

    test('contents belong to their owner and go after their time', async () => {
      const contents = contentStore(db);
      const content = {
        id: 'c1',
        requestId: 'r',
        owner: 'team red',
        request: 'q',
        answer: 'a',
        createdAt: noon,
        expiresAt: noon + 5,
      };
      await contents.append([content, content]);
      assert.deepEqual(await contents.find('r', ['team red']), [content]);
      assert.deepEqual(await contents.find('r', ['team blue']), []);
      assert.equal(await contents.removeExpired(noon + 4), 0);
      assert.equal(await contents.removeExpired(noon + 5), 1);
    });

    test('the audit log is newest first', async () => {
      const audit = auditStore(db);
      for (const n of [1, 2])
        await audit.append({
          id: `e${n}`,
          at: n,
          actor: 'admin-key',
          address: '::1',
          action: 'key.create',
          subject: 'k1',
          detail: { n },
        });
      assert.deepEqual(
        (await audit.list({ limit: 9 })).map(({ id }) => id),
        ['e2', 'e1'],
      );
      assert.deepEqual((await audit.list({ limit: 9, before: 2 }))[0]?.detail, { n: 1 });
    });

    test('a transaction that fails leaves nothing, and others wait for it', async () => {
      const keys = keyStore(db);
      const failing = db.transaction().execute(async (transaction) => {
        await transaction.updateTable('keys').set({ name: 'changed' }).where('id', '=', 'k1').execute();
        throw new Error('no');
      });
      const [outcome, key] = await Promise.allSettled([failing, keys.get('k1')]);
      assert.equal(outcome.status, 'rejected');
      assert.equal(key.status === 'fulfilled' && key.value?.name, 'name of k1');
    });

    test('a newer database is refused, and a wrong statement says what is wrong', async () => {
      await assert.rejects(openStore({ database, home, migrations: {} }), {
        code: 'conflict',
        message: /written by a newer Viaduct \(it has 0001-boundary/,
      });
    });
  });

test('a SQLite file is copied before its tables change, is private, and a failing migration changes nothing', async () => {
  const folder = join(home, 'migrating');
  const path = join(folder, 'viaduct.db');
  const open = async (more = {}) => {
    const { migrations } = await import('./migrations.ts');
    return openStore({ database: 'sqlite', home: folder, migrations: { ...migrations, ...more } });
  };
  const first = await open();
  await keyStore(first).insert(newKey('kept'));
  await first.destroy();
  assert.equal(statSync(path).mode & 0o777, 0o600);

  const failing = {
    '9998-half': {
      async up(db: import('kysely').Kysely<unknown>) {
        await db.schema.createTable('half').addColumn('id', 'text').execute();
        throw new Error('half-way');
      },
    },
  };
  await assert.rejects(open(failing), /half-way/);
  const fine = {
    '9998-half': {
      async up(db: import('kysely').Kysely<unknown>) {
        await db.schema.createTable('half').addColumn('id', 'text').execute();
      },
    },
  };
  const second = await open(fine);
  assert.equal((await keyStore(second).get('kept'))?.id, 'kept');
  await second.destroy();
  const copy = await openStore({ database: `sqlite:${path}.before-9998-half`, home: folder });
  assert.equal((await keyStore(copy).get('kept'))?.id, 'kept');
  await copy.destroy();
});

test('two programs may open one new SQLite file at the same time', async () => {
  const folder = join(home, 'both');
  const both = await Promise.all([1, 2].map(() => openStore({ database: 'sqlite', home: folder })));
  for (const db of both) await db.destroy();
});

test('an unknown kind of database is refused by name', async () => {
  await assert.rejects(openStore({ database: 'mysql://x', home }), { code: 'invalid_request', param: 'database' });
});
