/** Budgets: how much a key, a team or everybody together may spend in a period. Money in nano-dollars. */
import type { Kysely, Selectable } from 'kysely';
import { nextRevision } from './revision.ts';
import type { Database } from './schema.ts';

export type BudgetTables = {
  budgets: {
    id: string;
    scope: string;
    scope_id: string;
    period: string;
    amount_nano: number;
    soft: number;
    webhook: string | null;
    created_at: number;
  };
};

export type BudgetScope = 'key' | 'team' | 'total';
export type BudgetPeriod = 'day' | 'week' | 'month' | 'forever';
export type Budget = {
  id: string;
  scope: BudgetScope;
  /** Id of the key or team; empty for `total`. */
  scopeId: string;
  period: BudgetPeriod;
  amountNano: number;
  /** Warns and calls the webhook, and lets requests through. */
  soft: boolean;
  webhook: string | null;
  createdAt: number;
};

export function budgetStore(db: Kysely<Database>) {
  return {
    async insert(budget: Budget): Promise<void> {
      await db.transaction().execute(async (transaction) => {
        await nextRevision(transaction);
        await transaction
          .insertInto('budgets')
          .values({
            id: budget.id,
            scope: budget.scope,
            scope_id: budget.scopeId,
            period: budget.period,
            amount_nano: budget.amountNano,
            soft: budget.soft ? 1 : 0,
            webhook: budget.webhook,
            created_at: budget.createdAt,
          })
          .execute();
      });
    },

    async list(scope?: { scope: BudgetScope; scopeId: string }): Promise<Budget[]> {
      let select = db.selectFrom('budgets').selectAll().orderBy('created_at').orderBy('id');
      if (scope) select = select.where('scope', '=', scope.scope).where('scope_id', '=', scope.scopeId);
      return (await select.execute()).map(toBudget);
    },

    async get(id: string): Promise<Budget | undefined> {
      const row = await db.selectFrom('budgets').selectAll().where('id', '=', id).executeTakeFirst();
      return row && toBudget(row);
    },

    /** False when there is no such budget. */
    async update(id: string, change: Partial<Pick<Budget, 'amountNano' | 'soft' | 'webhook'>>): Promise<boolean> {
      return db.transaction().execute(async (transaction) => {
        await nextRevision(transaction);
        const { numUpdatedRows } = await transaction
          .updateTable('budgets')
          .set({
            id,
            ...(change.amountNano !== undefined && { amount_nano: change.amountNano }),
            ...(change.soft !== undefined && { soft: change.soft ? 1 : 0 }),
            ...(change.webhook !== undefined && { webhook: change.webhook }),
          })
          .where('id', '=', id)
          .executeTakeFirst();
        return numUpdatedRows > 0n;
      });
    },

    /** False when there was no such budget. */
    async remove(id: string): Promise<boolean> {
      return db.transaction().execute(async (transaction) => {
        await nextRevision(transaction);
        const { numDeletedRows } = await transaction.deleteFrom('budgets').where('id', '=', id).executeTakeFirst();
        return numDeletedRows > 0n;
      });
    },
  };
}

const toBudget = (row: Selectable<BudgetTables['budgets']>): Budget => ({
  id: row.id,
  scope: row.scope as BudgetScope,
  scopeId: row.scope_id,
  period: row.period as BudgetPeriod,
  amountNano: row.amount_nano,
  soft: row.soft === 1,
  webhook: row.webhook,
  createdAt: row.created_at,
});
