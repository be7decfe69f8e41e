/**
 * One counter for every change of keys, teams and budgets, so that an instance sees with one small query that another
 * changed something.
 */
import type { Kysely, Transaction } from 'kysely';
import type { Database } from './schema.ts';

export type RevisionTables = { revisions: { id: number; value: number } };

/** Inside the transaction that makes the change; gives the new value. */
export async function nextRevision(transaction: Transaction<Database>): Promise<number> {
  const { value } = await transaction
    .updateTable('revisions')
    .set(({ eb }) => ({ value: eb('value', '+', 1) }))
    .where('id', '=', 1)
    .returning('value')
    .executeTakeFirstOrThrow();
  return value;
}

export async function currentRevision(db: Kysely<Database>): Promise<number> {
  const { value } = await db.selectFrom('revisions').select('value').where('id', '=', 1).executeTakeFirstOrThrow();
  return value;
}
