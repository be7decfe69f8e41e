import { PostgresAdapter, type QueryExecutor } from 'kysely';

/** For the few statements that the two databases write differently. */
export const isPostgres = (db: { getExecutor(): QueryExecutor }): boolean =>
  db.getExecutor().adapter instanceof PostgresAdapter;
