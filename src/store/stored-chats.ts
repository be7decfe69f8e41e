/** Chat completions that were asked to be kept: the completion object and the messages that led to it. */
import type { Kysely } from 'kysely';
import { ViaductError } from '../core/errors.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { Database } from './schema.ts';

export type StoredChatTables = {
  stored_chats: {
    id: string;
    owner: string;
    model: string;
    metadata: string;
    messages: string;
    completion: string;
    created_at: number;
  };
};

export type StoredChat = {
  id: string;
  /** Caller.owner. */
  owner: string;
  /** Model name as the client wrote it. */
  model: string;
  metadata: Record<string, string>;
  /** The request's messages as they came. */
  messages: Json[];
  /** The completion object as it went out. */
  completion: JsonObject;
  /** Milliseconds since 1970. */
  createdAt: number;
};

export type StoredChatQuery = {
  limit: number;
  order: 'asc' | 'desc';
  /** Id of the last one seen. */
  after?: string | undefined;
  model?: string | undefined;
  /** Every pair must be among the chat's own. */
  metadata: Record<string, string>;
};

export type StoredChatStore = ReturnType<typeof storedChatStore>;

/** Rows read at a time while looking for metadata. */
const batch = 200;

export function storedChatStore(db: Kysely<Database>) {
  const find = async (owner: string, id: string): Promise<StoredChat | undefined> => {
    const row = await db
      .selectFrom('stored_chats')
      .selectAll()
      .where('id', '=', id)
      .where('owner', '=', owner)
      .executeTakeFirst();
    return row && decode(row);
  };

  return {
    find,

    async insert(chat: StoredChat): Promise<void> {
      await db
        .insertInto('stored_chats')
        .values({
          id: chat.id,
          owner: chat.owner,
          model: chat.model,
          metadata: JSON.stringify(chat.metadata),
          messages: JSON.stringify(chat.messages),
          completion: JSON.stringify(chat.completion),
          created_at: chat.createdAt,
        })
        .execute();
    },

    /** False when there is none of this owner. */
    async setMetadata(owner: string, id: string, metadata: Record<string, string>): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('stored_chats')
        .set({ metadata: JSON.stringify(metadata) })
        .where('id', '=', id)
        .where('owner', '=', owner)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },

    /** False when there was none of this owner. */
    async remove(owner: string, id: string): Promise<boolean> {
      const { numDeletedRows } = await db
        .deleteFrom('stored_chats')
        .where('id', '=', id)
        .where('owner', '=', owner)
        .executeTakeFirst();
      return numDeletedRows > 0n;
    },

    /** One page by time. Throws not_found when there is no chat `after`. */
    async list(owner: string, query: StoredChatQuery): Promise<{ chats: StoredChat[]; hasMore: boolean }> {
      const wanted = Object.entries(query.metadata);
      let last = query.after === undefined ? undefined : await find(owner, query.after);
      if (query.after !== undefined && !last)
        throw new ViaductError('not_found', `There is no stored completion '${query.after}'.`, { param: 'after' });
      const found: StoredChat[] = [];
      while (found.length <= query.limit) {
        const rows = await page(owner, query, last);
        for (const row of rows) {
          last = decode(row);
          const { metadata } = last;
          if (wanted.every(([key, value]) => metadata[key] === value)) found.push(last);
        }
        if (rows.length < batch) break;
      }
      return { chats: found.slice(0, query.limit), hasMore: found.length > query.limit };
    },
  };

  function page(owner: string, { order, model }: StoredChatQuery, last: StoredChat | undefined) {
    const beyond = order === 'asc' ? '>' : '<';
    let select = db.selectFrom('stored_chats').selectAll().where('owner', '=', owner);
    if (model !== undefined) select = select.where('model', '=', model);
    if (last) {
      const { createdAt, id } = last;
      select = select.where(({ or, and, eb }) =>
        or([eb('created_at', beyond, createdAt), and([eb('created_at', '=', createdAt), eb('id', beyond, id)])]),
      );
    }
    return select.orderBy('created_at', order).orderBy('id', order).limit(batch).execute();
  }
}

function decode(row: StoredChatTables['stored_chats']): StoredChat {
  return {
    id: row.id,
    owner: row.owner,
    model: row.model,
    metadata: JSON.parse(row.metadata) as Record<string, string>,
    messages: JSON.parse(row.messages) as Json[],
    completion: JSON.parse(row.completion) as JsonObject,
    createdAt: row.created_at,
  };
}
