import { chmodSync, closeSync, existsSync, mkdirSync, openSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { ViaductError } from '../core/errors.ts';
import { migrations as ours } from './migrations.ts';
import type { Database } from './schema.ts';
import { sqliteDialect } from './sqlite.ts';

export type Store = Kysely<Database>;

export type StoreOptions = {
  /** `database` of the configuration: `sqlite` (a file in `home`), `sqlite:PATH`, `sqlite::memory:`, or `postgres://…`. */
  database: string;
  /** VIADUCT_HOME. */
  home: string;
  /** For tests of migrations. */
  migrations?: Record<string, Migration>;
};

/**
 * Open the database and bring its tables up to date. A SQLite file that needs it is copied first, to
 * `FILE.before-MIGRATION`. Throws conflict when a newer program wrote the database, and what a failing migration threw
 * (which leaves the tables as they were). Close with `destroy()`.
 */
export async function openStore({ database, home, migrations = ours }: StoreOptions): Promise<Store> {
  const path = sqlitePath(database, home);
  if (path !== undefined && path !== ':memory:') keepPrivate(path);
  const db = new Kysely<Database>({ dialect: path === undefined ? await postgres(database) : sqliteDialect(path) });
  try {
    const applied = await appliedMigrations(db);
    refuseNewer(applied, migrations);
    const next = Object.keys(migrations).sort()[applied.length];
    if (next && applied.length > 0 && path !== undefined && path !== ':memory:')
      await backUp(db, `${path}.before-${next}`);
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
    const { error } = await migrator.migrateToLatest();
    if (error) throw error;
    return db;
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

/** Its client is loaded only where it is used. */
async function postgres(url: string) {
  const { postgresDialect } = await import('./postgres.ts');
  return postgresDialect(url);
}

function sqlitePath(database: string, home: string): string | undefined {
  if (/^postgres(ql)?:\/\//.test(database)) return undefined;
  if (database === 'sqlite') return join(home, 'viaduct.db');
  if (database.startsWith('sqlite:')) return database.slice('sqlite:'.length);
  throw new ViaductError('invalid_request', 'database must be sqlite, sqlite:PATH or postgres://…', {
    param: 'database',
  });
}

/** The file holds hashes of keys and, where asked for, answers: nobody else on the machine may read it. */
function keepPrivate(path: string) {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (existsSync(path)) return;
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
}

async function appliedMigrations(db: Store): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name }) => name === 'kysely_migration')) return [];
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  return rows.map(({ name }) => name);
}

function refuseNewer(applied: string[], known: Record<string, Migration>) {
  const unknown = applied.filter((name) => !known[name]);
  if (unknown.length === 0) return;
  throw new ViaductError(
    'conflict',
    `The database was written by a newer Viaduct (it has ${unknown.join(', ')}, which this one does not know). ` +
      'Start that version, or restore the copy that it made before it changed the tables.',
  );
}

async function backUp(db: Store, path: string) {
  rmSync(path, { force: true });
  await sql`vacuum into ${path}`.execute(db);
  chmodSync(path, 0o600);
}
