/** Prompts and answers, kept only where a key or a route asks for it, and only for so long. */
import type { Kysely } from 'kysely';
import type { Database } from './schema.ts';

export type ContentTables = {
  contents: {
    id: string;
    request_id: string;
    owner: string;
    request: string;
    answer: string;
    created_at: number;
    expires_at: number;
  };
};

export type Content = {
  id: string;
  requestId: string;
  /** Caller.owner. */
  owner: string;
  /** Text, already redacted. */
  request: string;
  answer: string;
  createdAt: number;
  expiresAt: number;
};

export type ContentStore = ReturnType<typeof contentStore>;

export function contentStore(db: Kysely<Database>) {
  return {
    /** Idempotent by `id`. */
    async append(contents: Content[]): Promise<void> {
      for (const { id, requestId, owner, request, answer, createdAt, expiresAt } of contents)
        await db
          .insertInto('contents')
          .values({ id, request_id: requestId, owner, request, answer, created_at: createdAt, expires_at: expiresAt })
          .onConflict((conflict) => conflict.column('id').doNothing())
          .execute();
    },

    /** Every attempt's content of one request, of these owners only; all owners when undefined. */
    async find(requestId: string, owners: string[] | undefined): Promise<Content[]> {
      if (owners?.length === 0) return [];
      let select = db.selectFrom('contents').selectAll().where('request_id', '=', requestId);
      if (owners) select = select.where('owner', 'in', owners);
      return (await select.execute()).map((row) => ({
        id: row.id,
        requestId: row.request_id,
        owner: row.owner,
        request: row.request,
        answer: row.answer,
        createdAt: row.created_at,
        expiresAt: row.expires_at,
      }));
    },

    /** How many were past their time and are gone now. */
    async removeExpired(now: number): Promise<number> {
      const { numDeletedRows } = await db.deleteFrom('contents').where('expires_at', '<=', now).executeTakeFirst();
      return Number(numDeletedRows);
    },
  };
}
