/**
 * Runs SQLite on a thread of its own, so that no query ever blocks a request. Started by sqlite.ts; speaks in messages:
 * a Query in, a Reply out, in order. `close` is answered after the file is closed.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';

export type Question = {
  id: number;
  sql: string;
  /** Many come as one JSON text, which costs a fifth of what a list of them costs to send. */
  parameters?: readonly unknown[] | string;
  /** Instead of parameters: a JSON list of them a line, with each of which the statement is run. */
  lines?: string;
};
export type Query = Question | { id: number; close: true };
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

function run({ sql, parameters = [], lines }: Question): Record<string, unknown>[] {
  const statement = prepare(sql);
  if (lines === undefined) return statement.all(...valuesIn(parameters));
  for (const line of lines.split('\n')) if (line !== '') statement.run(...valuesIn(line));
  return [];
}

const valuesIn = (parameters: readonly unknown[] | string) =>
  (typeof parameters === 'string' ? JSON.parse(parameters) : parameters) as SQLInputValue[];

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
    reply({ id, rows: run(query), changes: changesSoFar() - before });
  } catch (thrown) {
    const error = thrown as Error & { code?: string };
    reply({ id, error: { message: error.message, code: error.code } });
  }
});
