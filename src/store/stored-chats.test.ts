/** The same suite on SQLite and on a real PostgreSQL. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { startPostgres } from '../../test/support/postgres.ts';
import { unavailable } from '../../test/support/unavailable.ts';
import { openStore } from './open.ts';
import { type StoredChat, storedChatStore } from './stored-chats.ts';

const postgres = await startPostgres();
after(() => postgres?.stop());

const chat = (id: string, more: Partial<StoredChat> = {}): StoredChat => ({
  id,
  owner: 'ann',
  model: 'm',
  metadata: {},
  messages: [{ role: 'user', content: 'hi' }],
  completion: { id },
  createdAt: 1000,
  ...more,
});

for (const kind of ['SQLite', 'PostgreSQL'] as const)
  describe(kind, async () => {
    if (kind === 'PostgreSQL' && !postgres) {
      test('suite', (t) => unavailable(t, 'postgresql'));
      return;
    }
    const database = kind === 'SQLite' ? 'sqlite::memory:' : ((await postgres?.createDatabase()) ?? '');
    const db = await openStore({ database, home: '' });
    after(() => db.destroy());
    const chats = storedChatStore(db);

    test('belongs to its owner alone', async () => {
      await chats.insert(chat('a'));
      assert.deepEqual(await chats.find('ann', 'a'), chat('a'));
      assert.equal(await chats.find('bob', 'a'), undefined);
      assert.equal(await chats.setMetadata('bob', 'a', { x: 'y' }), false);
      assert.equal(await chats.remove('bob', 'a'), false);
      assert.deepEqual((await chats.list('bob', { limit: 5, order: 'asc', metadata: {} })).chats, []);
    });

    test('pages by time, then id, in both directions, with filters', async () => {
      for (const id of ['b', 'c', 'd'])
        await chats.insert(chat(id, { model: id === 'c' ? 'other' : 'm', metadata: { topic: id }, createdAt: 2000 }));
      const ids = async (query: Partial<Parameters<typeof chats.list>[1]>) => {
        const page = await chats.list('ann', { limit: 2, order: 'asc', metadata: {}, ...query });
        return [page.chats.map(({ id }) => id).join(''), page.hasMore];
      };
      assert.deepEqual(await ids({}), ['ab', true]);
      assert.deepEqual(await ids({ after: 'b' }), ['cd', false]);
      assert.deepEqual(await ids({ order: 'desc' }), ['dc', true]);
      assert.deepEqual(await ids({ model: 'other' }), ['c', false]);
      assert.deepEqual(await ids({ metadata: { topic: 'd' } }), ['d', false]);
      await assert.rejects(ids({ after: 'nothing' }), { code: 'not_found' });
    });

    test('metadata changes, and what is removed is gone', async () => {
      assert.equal(await chats.setMetadata('ann', 'a', { x: 'y' }), true);
      assert.deepEqual((await chats.find('ann', 'a'))?.metadata, { x: 'y' });
      assert.equal(await chats.remove('ann', 'a'), true);
      assert.equal(await chats.find('ann', 'a'), undefined);
    });
  });
