/** Stored responses: the object, what went in and came out as items, and the events of background ones. */
import { type Kysely, sql } from 'kysely';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { type Page, type PageOptions, pageOf, type StoredItem } from './page.ts';
import type { Database } from './schema.ts';

export type ResponseTables = {
  responses: {
    id: string;
    owner: string;
    previous_id: string | null;
    /** 1 when its items hold a compaction, so that nothing before it is needed. */
    compacted: number;
    status: string;
    background: number;
    /** The response object without its output. */
    resource: string;
    created_at: number;
    /** Until when the instance that works on it is known to live; null when nobody works on it. */
    lease_until: number | null;
  };
  response_items: { response_id: string; kind: number; position: number; item_id: string; item: string };
  response_events: { response_id: string; sequence: number; event: string };
};

/** Kinds of items. */
const input = 0;
const output = 1;

export type { StoredItem };

export type NewResponse = {
  id: string;
  /** Caller.owner. */
  owner: string;
  previousId: string | null;
  compacted: boolean;
  status: string;
  background: boolean;
  /** The response object; its `output` is kept as items. */
  resource: JsonObject;
  input: StoredItem[];
  output: StoredItem[];
  createdAt: number;
  leaseUntil: number | null;
};

export type StoredResponse = {
  id: string;
  status: string;
  background: boolean;
  resource: JsonObject;
  leaseUntil: number | null;
};

export type StoredEvent = { sequence: number; event: string };

type ChainLink = { id: string; previous_id: string | null; compacted: number; status: string; depth: number };

/** Longest chain of `previous_response_id` that is followed. */
const maxChain = 10_000;

/** Rows of one insert: SQLite takes 32,766 parameters. */
const batch = 1000;

/** Oldest link first. */
function checkChain(chain: readonly ChainLink[]): void {
  const param = 'previous_response_id';
  const last = chain.at(-1);
  if (last?.status === 'queued' || last?.status === 'in_progress')
    throw new ViaductError(
      'invalid_request',
      `Response '${last.id}' is still in progress: continue it when it is over.`,
      { param },
    );
  const circle = new Set(chain.map(({ id }) => id)).size < chain.length;
  if (circle || (chain[0] && chain[0].depth >= maxChain))
    throw new ViaductError('conflict', 'The chain of previous_response_id runs in a circle or is too long.', { param });
}

export type ResponseStore = ReturnType<typeof responseStore>;

export function responseStore(db: Kysely<Database>) {
  return {
    async insert(response: NewResponse): Promise<void> {
      await db.transaction().execute(async (tx) => {
        await tx
          .insertInto('responses')
          .values({
            id: response.id,
            owner: response.owner,
            previous_id: response.previousId,
            compacted: response.compacted ? 1 : 0,
            status: response.status,
            background: response.background ? 1 : 0,
            resource: withoutOutput(response.resource),
            created_at: response.createdAt,
            lease_until: response.leaseUntil,
          })
          .execute();
        await insertItems(tx, response.id, input, response.input);
        await insertItems(tx, response.id, output, response.output);
      });
    },

    /** A response that is being worked on gets its new state. False when it is no longer worked on: cancelled, or given up. */
    async update(
      id: string,
      change: { status: string; resource: JsonObject; output?: StoredItem[]; compacted?: boolean; done?: boolean },
    ): Promise<boolean> {
      return db.transaction().execute(async (tx) => {
        const { numUpdatedRows } = await tx
          .updateTable('responses')
          .set({
            status: change.status,
            resource: withoutOutput(change.resource),
            ...(change.compacted && { compacted: 1 }),
            ...(change.done && { lease_until: null }),
          })
          .where('id', '=', id)
          .where('lease_until', 'is not', null)
          .executeTakeFirst();
        if (numUpdatedRows === 0n) return false;
        if (change.output) await insertItems(tx, id, output, change.output);
        return true;
      });
    },

    /** The response with its output. Another owner's is not found: undefined. */
    async find(owner: string, id: string): Promise<StoredResponse | undefined> {
      const row = await db
        .selectFrom('responses')
        .selectAll()
        .where('id', '=', id)
        .where('owner', '=', owner)
        .executeTakeFirst();
      if (!row) return undefined;
      const items = await db
        .selectFrom('response_items')
        .select('item')
        .where('response_id', '=', id)
        .where('kind', '=', output)
        .orderBy('position')
        .execute();
      const resource = {
        ...(JSON.parse(row.resource) as JsonObject),
        output: items.map(({ item }) => JSON.parse(item)),
      };
      return { id, status: row.status, background: row.background === 1, resource, leaseUntil: row.lease_until };
    },

    /**
     * True when there was one of this owner. Responses that continued it continue the one before it: their chain goes
     * on without.
     */
    async remove(owner: string, id: string): Promise<boolean> {
      return db.transaction().execute(async (tx) => {
        const removed = await tx
          .deleteFrom('responses')
          .where('id', '=', id)
          .where('owner', '=', owner)
          .returning('previous_id')
          .executeTakeFirst();
        if (!removed) return false;
        await tx
          .updateTable('responses')
          .set({ previous_id: removed.previous_id })
          .where('previous_id', '=', id)
          .where('owner', '=', owner)
          .execute();
        return true;
      });
    },

    /**
     * Everything said up to and including the response `id`: inputs and outputs of it and of those before it, oldest first,
     * back to the last compaction. Undefined when the response, or one before it, does not exist for this owner.
     * Throws invalid_request when it is still running, conflict when the chain runs in a circle or is longer than 10,000.
     */
    async context(owner: string, id: string): Promise<StoredItem[] | undefined> {
      const { rows: chain } = await sql<ChainLink>`
        with recursive chain(id, previous_id, compacted, status, depth) as (
          select id, previous_id, compacted, status, 0 from responses where id = ${id} and owner = ${owner}
          union all
          select r.id, r.previous_id, r.compacted, r.status, chain.depth + 1
          from responses r join chain on r.id = chain.previous_id
          where r.owner = ${owner} and chain.compacted = 0 and chain.depth < ${maxChain}
        )
        select id, previous_id, compacted, status, depth from chain order by depth desc`.execute(db);
      checkChain(chain);
      const [first] = chain;
      if (!first || (first.previous_id !== null && first.compacted === 0)) return undefined;
      const items: StoredItem[] = [];
      for (let from = 0; from < chain.length; from += batch) {
        const slice = chain.slice(from, from + batch).map((entry) => entry.id);
        const rows = await db
          .selectFrom('response_items')
          .select(['response_id', 'item'])
          .where('response_id', 'in', slice)
          .orderBy('response_id')
          .orderBy('kind')
          .orderBy('position')
          .execute();
        const byResponse = Map.groupBy(rows, (row) => row.response_id);
        for (const response of slice)
          for (const { item } of byResponse.get(response) ?? []) items.push(JSON.parse(item) as StoredItem);
      }
      return items;
    },

    /** What went in with this response itself, in pages. */
    async inputItems(owner: string, id: string, options: PageOptions): Promise<Page | undefined> {
      const known = await db
        .selectFrom('responses')
        .select('id')
        .where('id', '=', id)
        .where('owner', '=', owner)
        .executeTakeFirst();
      if (!known) return undefined;
      return pageOf(
        options,
        async (itemId) =>
          (
            await db
              .selectFrom('response_items')
              .select('position')
              .where('response_id', '=', id)
              .where('kind', '=', input)
              .where('item_id', '=', itemId)
              .executeTakeFirst()
          )?.position,
        async (after, limit) => {
          let select = db
            .selectFrom('response_items')
            .select(['position', 'item'])
            .where('response_id', '=', id)
            .where('kind', '=', input)
            .orderBy('position', options.order)
            .limit(limit);
          if (after !== undefined) select = select.where('position', options.order === 'asc' ? '>' : '<', after);
          return select.execute();
        },
      );
    },

    /** Stored items of this owner by their ids, of responses and conversations alike. */
    async itemsById(owner: string, ids: string[]): Promise<Map<string, StoredItem>> {
      const found = new Map<string, StoredItem>();
      for (let from = 0; from < ids.length; from += batch) {
        const slice = ids.slice(from, from + batch);
        const rows = await db
          .selectFrom('response_items')
          .innerJoin('responses', 'responses.id', 'response_items.response_id')
          .select(['item_id', 'item'])
          .where('owner', '=', owner)
          .where('item_id', 'in', slice)
          .unionAll(
            db
              .selectFrom('conversation_items')
              .innerJoin('conversations', 'conversations.id', 'conversation_items.conversation_id')
              .select(['item_id', 'item'])
              .where('owner', '=', owner)
              .where('item_id', 'in', slice),
          )
          .execute();
        for (const { item_id, item } of rows) found.set(item_id, JSON.parse(item) as StoredItem);
      }
      return found;
    },

    /** Idempotent by sequence number. */
    async appendEvents(id: string, events: StoredEvent[]): Promise<void> {
      for (let from = 0; from < events.length; from += batch)
        await db
          .insertInto('response_events')
          .values(events.slice(from, from + batch).map((entry) => ({ response_id: id, ...entry })))
          .onConflict((conflict) => conflict.columns(['response_id', 'sequence']).doNothing())
          .execute();
    },

    async events(id: string, after: number, limit: number): Promise<StoredEvent[]> {
      return db
        .selectFrom('response_events')
        .select(['sequence', 'event'])
        .where('response_id', '=', id)
        .where('sequence', '>', after)
        .orderBy('sequence')
        .limit(limit)
        .execute();
    },

    async lastSequence(id: string): Promise<number> {
      const row = await db
        .selectFrom('response_events')
        .select(({ fn }) => fn.max('sequence').as('last'))
        .where('response_id', '=', id)
        .executeTakeFirst();
      return row?.last ?? -1;
    },

    /** The worker lives. False when the response is no longer its to work on. */
    async renewLease(id: string, until: number): Promise<boolean> {
      const { numUpdatedRows } = await db
        .updateTable('responses')
        .set({ lease_until: until })
        .where('id', '=', id)
        .where('lease_until', 'is not', null)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },

    /** Responses whose worker has not been heard of since `before`. */
    async abandoned(before: number): Promise<{ id: string; owner: string }[]> {
      return db.selectFrom('responses').select(['id', 'owner']).where('lease_until', '<', before).execute();
    },

    /** Responses created before this time go, with their items and events; not those that a younger one continues. */
    async removeOlderThan(time: number): Promise<void> {
      await sql`
        with recursive needed(id) as (
          select previous_id from responses
          where created_at >= ${time} and compacted = 0 and previous_id is not null
          union
          select r.previous_id from responses r join needed on r.id = needed.id
          where r.compacted = 0 and r.previous_id is not null
        )
        delete from responses
        where created_at < ${time} and lease_until is null
          and not exists (select 1 from needed where needed.id = responses.id)`.execute(db);
    },
  };
}

async function insertItems(db: Kysely<Database>, responseId: string, kind: number, items: StoredItem[]) {
  for (let from = 0; from < items.length; from += batch)
    await db
      .insertInto('response_items')
      .values(
        items.slice(from, from + batch).map((item, index) => ({
          response_id: responseId,
          kind,
          position: from + index,
          item_id: item.id,
          item: JSON.stringify(item),
        })),
      )
      .execute();
}

const withoutOutput = (resource: JsonObject) => JSON.stringify({ ...resource, output: [] });
