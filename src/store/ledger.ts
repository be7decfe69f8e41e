/** The ledger: one row per attempt, append only, and its sums per day, which are what reports and budgets read. */
import { CompiledQuery, type Expression, type Kysely, type SqlBool, type Transaction } from 'kysely';
import type { BudgetScope } from './budgets.ts';
import { isPostgres } from './dialect.ts';
import { LedgerBatch, sumNames, valuesOf } from './ledger-batch.ts';
import { type LedgerRow, ledgerColumns, type Sums } from './ledger-tables.ts';
import { ParameterLines } from './parameter-lines.ts';
import type { Database } from './schema.ts';

export const usageGroups = ['key', 'team', 'model', 'provider', 'day'] as const;
export type UsageGroup = (typeof usageGroups)[number];

/** Bounds are days (00:00 UTC); `until` is not part of it. */
export type UsageQuery = {
  by: UsageGroup;
  from?: number;
  until?: number;
  keyId?: string;
  /** Only what these teams used. */
  teamIds?: string[];
  model?: string;
  provider?: string;
};

/** `group` is an id, a name, or for `day` its date (2026-11-25). `name` is the key's or team's. */
export type UsageLine = Sums & { group: string; name: string | null };

/** SQLite takes 32,766 parameters a statement. */
const daysPerInsert = 500;

export type LedgerStore = ReturnType<typeof ledgerStore>;

export function ledgerStore(db: Kysely<Database>) {
  return {
    /** Idempotent by `id`: a row that is there already is skipped and not summed again. All or nothing. */
    async append(batch: LedgerBatch): Promise<void> {
      if (batch.size === 0) return;
      try {
        await db.transaction().execute(async (transaction) => {
          await insertAll(transaction, batch);
          await addSums(transaction, batch);
        });
      } catch (error) {
        if (error !== someKnown) throw error;
        await db.transaction().execute(async (transaction) => {
          await addSums(transaction, LedgerBatch.of(await insertNew(transaction, batch.rows())));
        });
      }
    },

    /** Most spent first; days in order. */
    async usage(query: UsageQuery): Promise<UsageLine[]> {
      if (query.teamIds?.length === 0) return [];
      const column = columnOf[query.by];
      let select = db
        .selectFrom('usage_days')
        .select(column)
        .select(({ fn }) => [
          fn.sum<number>('requests').as('requests'),
          fn.sum<number>('attempts').as('attempts'),
          fn.sum<number>('errors').as('errors'),
          fn.sum<number>('input_tokens').as('input_tokens'),
          fn.sum<number>('output_tokens').as('output_tokens'),
          fn.sum<number>('cache_read_tokens').as('cache_read_tokens'),
          fn.sum<number>('reasoning_tokens').as('reasoning_tokens'),
          fn.sum<number>('image_tokens').as('image_tokens'),
          fn.sum<number>('cost_nano').as('cost_nano'),
          fn.sum<number>('unpriced').as('unpriced'),
        ])
        .groupBy(column);
      select =
        query.by === 'day' ? select.orderBy('day') : select.orderBy('cost_nano', 'desc').orderBy('requests', 'desc');
      if (query.from !== undefined) select = select.where('day', '>=', query.from);
      if (query.until !== undefined) select = select.where('day', '<', query.until);
      if (query.keyId !== undefined) select = select.where('key_id', '=', query.keyId);
      if (query.teamIds) select = select.where('team_id', 'in', query.teamIds);
      if (query.model !== undefined) select = select.where('model', '=', query.model);
      if (query.provider !== undefined) select = select.where('provider', '=', query.provider);
      const lines = await select.execute();
      const names = await namesFor(db, query.by);
      return lines.map(({ [column]: value, ...sums }) => ({
        group: query.by === 'day' ? new Date(Number(value)).toISOString().slice(0, 10) : String(value),
        name: names?.get(String(value)) ?? null,
        ...sums,
      }));
    },

    /** Nano-dollars that a scope spent from the day `from` on. Shadow traffic is the operator's experiment and on nobody's budget. */
    async spent(scope: BudgetScope, scopeId: string, from: number): Promise<number> {
      let select = db
        .selectFrom('usage_days')
        .select(({ fn }) => fn.sum<number | null>('cost_nano').as('total'))
        .where('day', '>=', from)
        .where('shadow', '=', 0);
      if (scope !== 'total') select = select.where(scope === 'key' ? 'key_id' : 'team_id', '=', scopeId);
      return (await select.executeTakeFirst())?.total ?? 0;
    },

    /** Newest first: the log of the console. `before` is the `started_at` of the last row of the page before. */
    async requests(query: {
      limit: number;
      before?: number;
      requestId?: string;
      keyId?: string;
      teamIds?: string[];
      failed?: boolean;
    }): Promise<LedgerRow[]> {
      if (query.teamIds?.length === 0) return [];
      let select = db.selectFrom('ledger').selectAll().orderBy('started_at', 'desc').limit(query.limit);
      if (query.before !== undefined) select = select.where('started_at', '<', query.before);
      if (query.requestId !== undefined) select = select.where('request_id', '=', query.requestId);
      if (query.keyId !== undefined) select = select.where('key_id', '=', query.keyId);
      if (query.teamIds) select = select.where('team_id', 'in', query.teamIds);
      if (query.failed) select = select.where('status', '=', 'error');
      return select.execute();
    },
  };
}

const columnOf = { key: 'key_id', team: 'team_id', model: 'model', provider: 'provider', day: 'day' } as const;

async function namesFor(db: Kysely<Database>, by: UsageGroup): Promise<Map<string, string> | undefined> {
  if (by !== 'key' && by !== 'team') return undefined;
  const rows = await db
    .selectFrom(by === 'key' ? 'keys' : 'teams')
    .select(['id', 'name'])
    .execute();
  return new Map(rows.map(({ id, name }) => [id, name]));
}

/** Rows that the statement of `texts` has places for: a batch is cut into such pieces, so that few statements are ever prepared. */
const pieceSizes = [500, 200, 50, 10, 1];

/**
 * The statement as text, made once per size: composing it anew for each batch with the query builder costs more than everything
 * else about the ledger together.
 */
function insertText(size: number, postgres: boolean): string {
  const name = `${size} ${postgres}`;
  const known = texts.get(name);
  if (known) return known;
  let place = 0;
  const row = () => `(${ledgerColumns.map(() => (postgres ? `$${++place}` : '?')).join(',')})`;
  const text = `insert into ledger (${ledgerColumns.join(',')}) values ${Array.from({ length: size }, row).join(',')} on conflict (id) do nothing`;
  texts.set(name, text);
  return text;
}
const texts = new Map<string, string>();

function* pieces<Row>(rows: Row[]): Generator<Row[]> {
  let start = 0;
  for (const size of pieceSizes)
    for (; rows.length - start >= size; start += size) yield rows.slice(start, start + size);
}

/** PostgreSQL takes many rows a statement to save round trips; SQLite is fastest with one statement run for each row. */
function* insertions(batch: LedgerBatch, postgres: boolean): Generator<{ query: CompiledQuery; size: number }> {
  if (postgres)
    for (const piece of pieces(batch.values()))
      yield { query: CompiledQuery.raw(insertText(piece.length, true), piece.flat()), size: piece.length };
  else yield { query: CompiledQuery.raw(insertText(1, false), [new ParameterLines(batch.lines())]), size: batch.size };
}

/** Thrown to undo a batch of which some rows were there already: then it matters which. */
const someKnown = new Error('Some rows of the batch are in the ledger already.');

async function insertAll(transaction: Transaction<Database>, batch: LedgerBatch): Promise<void> {
  for (const { query, size } of insertions(batch, isPostgres(transaction))) {
    const { numAffectedRows } = await transaction.executeQuery(query);
    if (numAffectedRows !== BigInt(size)) throw someKnown;
  }
}

async function insertNew(transaction: Transaction<Database>, rows: LedgerRow[]): Promise<LedgerRow[]> {
  const ids = new Set<string>();
  for (const piece of pieces(rows)) {
    const text = `${insertText(piece.length, isPostgres(transaction))} returning id`;
    const inserted = await transaction.executeQuery<{ id: string }>(CompiledQuery.raw(text, piece.flatMap(valuesOf)));
    for (const { id } of inserted.rows) ids.add(id);
  }
  // A batch may hold one id twice: the first wins, as in the database.
  return rows.filter(({ id }) => ids.delete(id));
}

async function addSums(transaction: Transaction<Database>, batch: LedgerBatch) {
  const days = batch.days();
  for (let start = 0; start < days.length; start += daysPerInsert)
    await transaction
      .insertInto('usage_days')
      .values(days.slice(start, start + daysPerInsert))
      .onConflict((conflict) =>
        conflict
          .columns(['day', 'key_id', 'team_id', 'model', 'provider', 'shadow'])
          .doUpdateSet(({ eb, ref }) =>
            Object.fromEntries(
              sumNames.map((name) => [name, eb(ref(`usage_days.${name}`), '+', ref(`excluded.${name}`))]),
            ),
          ),
      )
      .execute();
  for (const [id, at] of batch.lastUsed())
    await transaction
      .updateTable('keys')
      .set({ last_used_at: at })
      .where('id', '=', id)
      .where(({ eb, or }): Expression<SqlBool> => or([eb('last_used_at', 'is', null), eb('last_used_at', '<', at)]))
      .execute();
}
