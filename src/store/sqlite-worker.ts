/**
 * Runs SQLite on a thread of its own, so that no query ever blocks a request. Started by sqlite.ts; speaks in messages:
 * a Query in, a Reply out, in order. `close` is answered after the file is closed.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * Many parameters come as one JSON text, which costs a fifth of what a list of them costs to send. When they are lists themselves, the
 * statement is run once with each.
 */
export type Query = { id: number; sql: string; parameters: readonly unknown[] | string } | { id: number; close: true };
export type Reply =
  | { id: number; rows: Record<string, unknown>[]; changes: number }
  | { id: number; error: { message: string; code: string | undefined } };

/** Prepared statements kept; beyond that the oldest is dropped. */
const maxStatements = 256;

const { path } = workerData as { path: string };
const database = new DatabaseSync(path);
database.exec(`
  pragma busy_timeout = 10000;
  pragma journal_mode = wal;
  pragma synchronous = normal;
  pragma foreign_keys = on;
`);
const totalChanges = database.prepare('select total_changes() as n');
const statements = new Map<string, StatementSync>();

function prepare(sql: string): StatementSync {
  const known = statements.get(sql);
  if (known) return known;
  const statement = database.prepare(sql);
  statements.set(sql, statement);
  const [oldest] = statements.keys();
  if (statements.size > maxStatements && oldest !== undefined) statements.delete(oldest);
  return statement;
}

function run(statement: StatementSync, values: SQLInputValue[] | SQLInputValue[][]): Record<string, unknown>[] {
  if (!isMany(values)) return statement.all(...values);
  for (const one of values) statement.run(...one);
  return [];
}

const isMany = (values: SQLInputValue[] | SQLInputValue[][]): values is SQLInputValue[][] => Array.isArray(values[0]);

const changesSoFar = () => Number(totalChanges.get()?.['n'] ?? 0);

parentPort?.on('message', (query: Query) => {
  const reply = (message: Reply) => parentPort?.postMessage(message);
  const { id } = query;
  try {
    if ('close' in query) {
      statements.clear();
      database.close();
      reply({ id, rows: [], changes: 0 });
      parentPort?.close();
      return;
    }
    const before = changesSoFar();
    const { parameters } = query;
    const values = (typeof parameters === 'string' ? JSON.parse(parameters) : parameters) as SQLInputValue[];
    reply({ id, rows: run(prepare(query.sql), values), changes: changesSoFar() - before });
  } catch (thrown) {
    const error = thrown as Error & { code?: string };
    reply({ id, error: { message: error.message, code: error.code } });
  }
});
