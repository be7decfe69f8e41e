/** The same suite on SQLite and on a real PostgreSQL. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startPostgres } from '../../test/support/postgres.ts';
import { unavailable } from '../../test/support/unavailable.ts';
import { conversationStore } from './conversations.ts';
import { openStore } from './open.ts';
import { type NewResponse, responseStore, type StoredItem } from './responses.ts';

const postgres = await startPostgres();
after(() => postgres?.stop());

const item = (id: string): StoredItem => ({ type: 'message', id, text: `text of ${id} \u0000 é` });

const response = (id: string, previousId: string | null, more: Partial<NewResponse> = {}): NewResponse => ({
  id,
  owner: 'ann',
  previousId,
  compacted: false,
  status: 'completed',
  background: false,
  resource: { id, output: [{ not: 'kept here' }] },
  input: [item(`${id}-in`)],
  output: [item(`${id}-out`)],
  createdAt: 1000,
  leaseUntil: null,
  ...more,
});

const ids = (items: StoredItem[] | undefined) => items?.map(({ id }) => id);

for (const kind of ['SQLite', 'PostgreSQL'] as const)
  describe(kind, async () => {
    if (kind === 'PostgreSQL' && !postgres) {
      test('suite', (t) => unavailable(t, 'postgresql'));
      return;
    }
    const database = kind === 'SQLite' ? 'sqlite::memory:' : ((await postgres?.createDatabase()) ?? '');
    const db = await openStore({ database, home: '' });
    after(() => db.destroy());
    const responses = responseStore(db);
    const conversations = conversationStore(db);

    test('a chain gives every input and output in order, for its owner only', async () => {
      await responses.insert(response('r1', null));
      await responses.insert(response('r2', 'r1'));
      await responses.insert(response('r3', 'r2', { input: [item('a'), item('b')], output: [] }));
      assert.deepEqual(ids(await responses.context('ann', 'r3')), ['r1-in', 'r1-out', 'r2-in', 'r2-out', 'a', 'b']);
      assert.equal(await responses.context('bob', 'r3'), undefined);
      assert.deepEqual((await responses.find('ann', 'r1'))?.resource, { id: 'r1', output: [item('r1-out')] });
      assert.equal(await responses.find('bob', 'r1'), undefined);
      assert.deepEqual([...(await responses.itemsById('ann', ['a', 'r2-out', 'none'])).keys()].sort(), ['a', 'r2-out']);
      assert.equal((await responses.itemsById('bob', ['a'])).size, 0);
    });

    test('a chain ends at a compaction, goes on without a response that is deleted, and never runs in a circle', async () => {
      await responses.insert(response('c1', null));
      await responses.insert(response('c2', 'c1', { compacted: true }));
      await responses.insert(response('c3', 'c2'));
      assert.deepEqual(ids(await responses.context('ann', 'c3')), ['c2-in', 'c2-out', 'c3-in', 'c3-out']);
      assert.equal(await responses.remove('bob', 'c2'), false);
      assert.equal(await responses.remove('ann', 'c2'), true);
      assert.deepEqual(ids(await responses.context('ann', 'c3')), ['c1-in', 'c1-out', 'c3-in', 'c3-out']);
      assert.equal(await responses.remove('ann', 'c1'), true);
      assert.deepEqual(ids(await responses.context('ann', 'c3')), ['c3-in', 'c3-out']);
      await responses.insert(response('x', 'y'));
      await responses.insert(response('y', 'x'));
      await assert.rejects(responses.context('ann', 'x'), { code: 'conflict' });
    });

    test('pages of input items', async () => {
      const input = ['1', '2', '3', '4', '5'].map((n) => item(`p${n}`));
      await responses.insert(response('p', null, { input }));
      const page = (order: 'asc' | 'desc', afterId?: string) =>
        responses.inputItems('ann', 'p', { limit: 2, order, after: afterId });
      assert.deepEqual(await page('asc'), { items: input.slice(0, 2), hasMore: true });
      assert.deepEqual(await page('asc', 'p3'), { items: input.slice(3), hasMore: false });
      assert.deepEqual(ids((await page('desc'))?.items), ['p5', 'p4']);
      assert.deepEqual(ids((await page('desc', 'p2'))?.items), ['p1']);
      await assert.rejects(page('asc', 'nobody'), { code: 'not_found' });
      assert.equal(await responses.inputItems('bob', 'p', { limit: 2, order: 'asc', after: undefined }), undefined);
    });

    test('who works on a response is known; a finished one is not changed again', async () => {
      await responses.insert(response('w', null, { status: 'queued', background: true, output: [], leaseUntil: 50 }));
      assert.deepEqual(await responses.abandoned(50), []);
      assert.deepEqual(await responses.abandoned(51), [{ id: 'w', owner: 'ann' }]);
      assert.equal(await responses.renewLease('w', 90), true);
      await responses.appendEvents('w', [
        { sequence: 0, event: 'a' },
        { sequence: 1, event: 'b' },
      ]);
      await responses.appendEvents('w', [{ sequence: 1, event: 'b' }]);
      assert.deepEqual(await responses.events('w', 0, 10), [{ sequence: 1, event: 'b' }]);
      assert.equal(await responses.lastSequence('w'), 1);
      const done = { status: 'completed', resource: { id: 'w' }, output: [item('w-out')], done: true };
      assert.equal(await responses.update('w', done), true);
      assert.equal(await responses.update('w', { ...done, status: 'failed' }), false);
      assert.equal(await responses.renewLease('w', 99), false);
      assert.equal((await responses.find('ann', 'w'))?.status, 'completed');
    });

    test('conversations grow at the end, also by several writers at once', async () => {
      await conversations.create('ann', { id: 'conv', metadata: { a: 'b' }, createdAt: 7 });
      assert.deepEqual(await conversations.find('ann', 'conv'), { id: 'conv', metadata: { a: 'b' }, createdAt: 7 });
      assert.equal(await conversations.find('bob', 'conv'), undefined);
      assert.equal(await conversations.append('bob', 'conv', [item('no')]), false);
      await Promise.all(
        ['k', 'l', 'm'].map((name) => conversations.append('ann', 'conv', [item(`${name}1`), item(`${name}2`)])),
      );
      const all = ids(await conversations.items('ann', 'conv')) ?? [];
      assert.equal(all.length, 6);
      for (const name of ['k', 'l', 'm']) assert.equal(all.indexOf(`${name}2`), all.indexOf(`${name}1`) + 1);
      assert.equal(await conversations.removeItem('bob', 'conv', 'k1'), false);
      assert.equal(await conversations.removeItem('ann', 'conv', 'k1'), true);
      assert.equal(await conversations.item('ann', 'conv', 'k1'), undefined);
      assert.deepEqual(await conversations.item('ann', 'conv', 'k2'), item('k2'));
      assert.equal(await conversations.remove('ann', 'conv'), true);
      assert.equal(await conversations.items('ann', 'conv'), undefined);
    });

    test('what is older than the retention goes, with its items', async () => {
      await responses.insert(response('old', null, { createdAt: 1 }));
      await responses.removeOlderThan(500);
      assert.equal(await responses.find('ann', 'old'), undefined);
      assert.equal((await responses.itemsById('ann', ['old-in'])).size, 0);
      for (const [id, previous, createdAt] of [
        ['o1', null, 1],
        ['o2', 'o1', 2],
        ['young', 'o2', 900],
        ['end', 'o2', 3],
      ] as const)
        await responses.insert(response(id, previous, { createdAt }));
      await responses.removeOlderThan(500);
      assert.equal(ids(await responses.context('ann', 'young'))?.length, 6);
      assert.equal(await responses.find('ann', 'end'), undefined);
    });
  });
