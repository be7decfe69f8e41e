/** Conversations: an ordered list of items with metadata, appended to by its owner and by responses. */
import type { Kysely } from 'kysely';
import { type Page, type PageOptions, pageOf } from './page.ts';
import type { StoredItem } from './responses.ts';
import type { Database } from './schema.ts';

export type ConversationTables = {
  conversations: { id: string; owner: string; metadata: string; created_at: number };
  conversation_items: { conversation_id: string; position: number; item_id: string; item: string };
};

export type Conversation = { id: string; metadata: Record<string, string>; createdAt: number };

/** Rows of one insert: SQLite takes 32,766 parameters. */
const batch = 1000;

export type ConversationStore = ReturnType<typeof conversationStore>;

/** Every method takes the owner; another owner's conversation is not found: undefined or false. */
export function conversationStore(db: Kysely<Database>) {
  const exists = async (owner: string, id: string) =>
    (await db
      .selectFrom('conversations')
      .select('id')
      .where('id', '=', id)
      .where('owner', '=', owner)
      .executeTakeFirst()) !== undefined;

  return {
    async create(owner: string, { id, metadata, createdAt }: Conversation): Promise<void> {
      await db
        .insertInto('conversations')
        .values({ id, owner, metadata: JSON.stringify(metadata), created_at: createdAt })
        .execute();
    },

    async find(owner: string, id: string): Promise<Conversation | undefined> {
      const row = await db
        .selectFrom('conversations')
        .selectAll()
        .where('id', '=', id)
        .where('owner', '=', owner)
        .executeTakeFirst();
      return row && { id, metadata: JSON.parse(row.metadata) as Record<string, string>, createdAt: row.created_at };
    },

    async setMetadata(owner: string, id: string, metadata: Record<string, string>): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('conversations')
        .set({ metadata: JSON.stringify(metadata) })
        .where('id', '=', id)
        .where('owner', '=', owner)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },

    async remove(owner: string, id: string): Promise<boolean> {
      const { numDeletedRows } = await db
        .deleteFrom('conversations')
        .where('id', '=', id)
        .where('owner', '=', owner)
        .executeTakeFirst();
      return numDeletedRows > 0n;
    },

    /** Adds at the end. False when there is no such conversation. */
    async append(owner: string, id: string, items: StoredItem[]): Promise<boolean> {
      return db.transaction().execute(async (tx) => {
        // Writing the row first makes two writers wait for each other: positions never clash.
        const { numUpdatedRows } = await tx
          .updateTable('conversations')
          .set({ id })
          .where('id', '=', id)
          .where('owner', '=', owner)
          .executeTakeFirst();
        if (numUpdatedRows === 0n) return false;
        const last = await tx
          .selectFrom('conversation_items')
          .select(({ fn }) => fn.max('position').as('position'))
          .where('conversation_id', '=', id)
          .executeTakeFirst();
        const first = (last?.position ?? -1) + 1;
        for (let from = 0; from < items.length; from += batch)
          await tx
            .insertInto('conversation_items')
            .values(
              items.slice(from, from + batch).map((item, index) => ({
                conversation_id: id,
                position: first + from + index,
                item_id: item.id,
                item: JSON.stringify(item),
              })),
            )
            .execute();
        return true;
      });
    },

    /** All items, oldest first. */
    async items(owner: string, id: string): Promise<StoredItem[] | undefined> {
      if (!(await exists(owner, id))) return undefined;
      const rows = await db
        .selectFrom('conversation_items')
        .select('item')
        .where('conversation_id', '=', id)
        .orderBy('position')
        .execute();
      return rows.map(({ item }) => JSON.parse(item) as StoredItem);
    },

    async page(owner: string, id: string, options: PageOptions): Promise<Page | undefined> {
      if (!(await exists(owner, id))) return undefined;
      return pageOf(
        options,
        async (itemId) =>
          (
            await db
              .selectFrom('conversation_items')
              .select('position')
              .where('conversation_id', '=', id)
              .where('item_id', '=', itemId)
              .executeTakeFirst()
          )?.position,
        async (after, limit) => {
          let select = db
            .selectFrom('conversation_items')
            .select('item')
            .where('conversation_id', '=', id)
            .orderBy('position', options.order)
            .limit(limit);
          if (after !== undefined) select = select.where('position', options.order === 'asc' ? '>' : '<', after);
          return select.execute();
        },
      );
    },

    async item(owner: string, id: string, itemId: string): Promise<StoredItem | undefined> {
      if (!(await exists(owner, id))) return undefined;
      const row = await db
        .selectFrom('conversation_items')
        .select('item')
        .where('conversation_id', '=', id)
        .where('item_id', '=', itemId)
        .executeTakeFirst();
      return row && (JSON.parse(row.item) as StoredItem);
    },

    async removeItem(owner: string, id: string, itemId: string): Promise<boolean> {
      if (!(await exists(owner, id))) return false;
      const { numDeletedRows } = await db
        .deleteFrom('conversation_items')
        .where('conversation_id', '=', id)
        .where('item_id', '=', itemId)
        .executeTakeFirst();
      return numDeletedRows > 0n;
    },
  };
}
