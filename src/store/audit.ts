/** Who changed what in /admin, and from where. Append only. */
import type { Kysely } from 'kysely';
import type { Database } from './schema.ts';

export type AuditTables = {
  audit: {
    id: string;
    at: number;
    actor: string;
    address: string;
    action: string;
    subject: string;
    detail: string;
  };
};

export type AuditRecord = {
  id: string;
  /** Milliseconds since 1970. */
  at: number;
  /** `key:ID`, `user:EMAIL`, or `admin-key` for the configured one. */
  actor: string;
  address: string;
  /** `key.create`, `budget.remove`, … */
  action: string;
  /** Id of what was changed. */
  subject: string;
  /** The change, without secrets. */
  detail: Record<string, unknown>;
};

export type AuditStore = ReturnType<typeof auditStore>;

export function auditStore(db: Kysely<Database>) {
  return {
    async append({ detail, ...record }: AuditRecord): Promise<void> {
      await db
        .insertInto('audit')
        .values({ ...record, detail: JSON.stringify(detail) })
        .execute();
    },

    /** Newest first. `before` is the `at` of the last record of the page before. */
    async list({ limit, before }: { limit: number; before?: number }): Promise<AuditRecord[]> {
      let select = db.selectFrom('audit').selectAll().orderBy('at', 'desc').orderBy('id', 'desc').limit(limit);
      if (before !== undefined) select = select.where('at', '<', before);
      return (await select.execute()).map((row) => ({
        ...row,
        detail: JSON.parse(row.detail) as Record<string, unknown>,
      }));
    },
  };
}
