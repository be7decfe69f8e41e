/** Kysely's dialect for node:sqlite in a worker thread: the main thread posts SQL and parameters and gets rows back. */
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import { ParameterLines } from './parameter-lines.ts';
import type { Query, Question, Reply } from './sqlite-worker.ts';

/** SQLite can undo DDL, so that a migration that fails half-way leaves nothing behind. */
class TransactionalSqliteAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl() {
    return true;
  }
}

/** `path` is a file or `:memory:`. */
export function sqliteDialect(path: string): Dialect {
  return {
    createAdapter: () => new TransactionalSqliteAdapter(),
    createDriver: () => createDriver(path),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
}

/** One connection, handed out to one query or transaction at a time, in order of asking. */
function createDriver(path: string): Driver {
  let thread: Thread | undefined;
  let lastRelease: Promise<void> = Promise.resolve();
  const releases = new WeakMap<DatabaseConnection, () => void>();

  const run = (connection: DatabaseConnection, sql: string) =>
    connection.executeQuery(CompiledQuery.raw(sql)).then(() => undefined);

  return {
    async init() {
      thread = startThread(path);
    },
    async acquireConnection() {
      const previous = lastRelease;
      const { promise, resolve } = Promise.withResolvers<void>();
      lastRelease = promise;
      await previous;
      if (!thread) throw new Error('The database is closed.');
      const connection = connect(thread);
      releases.set(connection, resolve);
      return connection;
    },
    async releaseConnection(connection) {
      releases.get(connection)?.();
    },
    // `immediate`: two processes on one file wait for each other here and not in the middle.
    beginTransaction: (connection) => run(connection, 'begin immediate'),
    commitTransaction: (connection) => run(connection, 'commit'),
    rollbackTransaction: (connection) => run(connection, 'rollback'),
    async destroy() {
      await lastRelease;
      await thread?.close();
      thread = undefined;
    },
  };
}

function connect(thread: Thread): DatabaseConnection {
  return {
    async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
      const { rows, changes } = await thread.query(sql, parameters);
      return { rows: rows as R[], numAffectedRows: BigInt(changes) };
    },
    // biome-ignore lint/correctness/useYield: the interface wants a generator, and this one only refuses
    async *streamQuery() {
      throw new Error('SQLite queries do not stream here: read in pages.');
    },
  };
}

type Rows = Extract<Reply, { rows: unknown }>;
type Thread = {
  query(sql: string, parameters: readonly unknown[]): Promise<Rows>;
  close(): Promise<void>;
};

/** The worker keeps the process alive only while a query is under way. */
function startThread(path: string): Thread {
  // Source runs as .ts and the build as .js: the worker's file has the same ending as this one.
  const extension = extname(fileURLToPath(import.meta.url));
  const worker = new Worker(new URL(`./sqlite-worker${extension}`, import.meta.url), {
    workerData: { path },
    // Megabytes. What a statement needs is gone when it has run: more would only lie there.
    resourceLimits: { maxYoungGenerationSizeMb: 3 },
  });
  worker.unref();
  const waiting = new Map<number, PromiseWithResolvers<Rows>>();
  let nextId = 0;
  let dead: Error | undefined;

  const fail = (error: Error) => {
    dead ??= error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('The database is closed.')));
  worker.on('message', (reply: Reply) => {
    const waiter = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (waiting.size === 0) worker.unref();
    if ('error' in reply) waiter?.reject(Object.assign(new Error(reply.error.message), { code: reply.error.code }));
    else waiter?.resolve(reply);
  });

  const ask = (query: Query) => {
    if (dead) return Promise.reject(dead);
    const waiter = Promise.withResolvers<Rows>();
    waiting.set(query.id, waiter);
    worker.ref();
    worker.postMessage(query);
    return waiter.promise;
  };
  return {
    query: (sql, parameters) => ask({ id: ++nextId, sql, ...packed(parameters) }),
    async close() {
      if (!dead) await ask({ id: ++nextId, close: true });
      await worker.terminate();
    },
  };
}

const manyParameters = 100;
const fitsJson = (value: unknown) => value === null || typeof value === 'string' || Number.isFinite(value);

function packed(parameters: readonly unknown[]): Pick<Question, 'parameters' | 'lines'> {
  const [first] = parameters;
  if (first instanceof ParameterLines) return { lines: first.text };
  const inJson = parameters.length >= manyParameters && parameters.every(fitsJson);
  return { parameters: inJson ? JSON.stringify(parameters) : parameters };
}
