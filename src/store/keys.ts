/** API keys. Only keyed hashes are here; the secret is shown once, by whoever made it, and is nowhere afterwards. */
import type { Kysely, Selectable } from 'kysely';
import type { Policy, Role } from './policy.ts';
import { nextRevision } from './revision.ts';
import type { Database } from './schema.ts';

export type KeyTables = {
  keys: {
    id: string;
    name: string;
    prefix: string;
    hash: string;
    /** The secret before the last rotation, good until `old_hash_until`. */
    old_hash: string | null;
    old_hash_until: number | null;
    role: string;
    team_id: string | null;
    policy: string;
    tags: string;
    metadata: string;
    created_by: string;
    created_at: number;
    expires_at: number | null;
    last_used_at: number | null;
    disabled: number;
    revoked_at: number | null;
    revision: number;
  };
};

export type Key = {
  id: string;
  name: string;
  /** First characters of the secret, by which its owner knows it again. */
  prefix: string;
  role: Role;
  teamId: string | null;
  policy: Policy;
  /** Into every ledger row of this key. */
  tags: string[];
  metadata: Record<string, string>;
  createdBy: string;
  createdAt: number;
  expiresAt: number | null;
  lastUsedAt: number | null;
  disabled: boolean;
  revokedAt: number | null;
};

/** A key with what authentication compares. */
export type HashedKey = Key & { hash: string; oldHash: string | null; oldHashUntil: number | null };

export type NewKey = Omit<HashedKey, 'lastUsedAt' | 'disabled' | 'revokedAt' | 'oldHash' | 'oldHashUntil'>;
export type KeyChange = Partial<
  Pick<
    HashedKey,
    'name' | 'role' | 'teamId' | 'policy' | 'tags' | 'metadata' | 'expiresAt' | 'disabled' | 'revokedAt'
  > &
    Pick<HashedKey, 'hash' | 'prefix' | 'oldHash' | 'oldHashUntil'>
>;

export function keyStore(db: Kysely<Database>) {
  return {
    async insert(key: NewKey): Promise<void> {
      await db.transaction().execute(async (transaction) => {
        const revision = await nextRevision(transaction);
        await transaction
          .insertInto('keys')
          .values({
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            hash: key.hash,
            role: key.role,
            team_id: key.teamId,
            policy: JSON.stringify(key.policy),
            tags: JSON.stringify(key.tags),
            metadata: JSON.stringify(key.metadata),
            created_by: key.createdBy,
            created_at: key.createdAt,
            expires_at: key.expiresAt,
            disabled: 0,
            revision,
            old_hash: null,
            old_hash_until: null,
            last_used_at: null,
            revoked_at: null,
          })
          .execute();
      });
    },

    /** Newest first, revoked ones only when asked for. `after` is the id of the last key of the page before. */
    async list(query: { teamIds?: string[]; revoked?: boolean; limit: number; after?: string }): Promise<Key[]> {
      if (query.teamIds?.length === 0) return [];
      let select = db.selectFrom('keys').selectAll().orderBy('created_at', 'desc').orderBy('id', 'desc');
      if (query.teamIds) select = select.where('team_id', 'in', query.teamIds);
      if (!query.revoked) select = select.where('revoked_at', 'is', null);
      if (query.after !== undefined) {
        const last = await db
          .selectFrom('keys')
          .select(['created_at', 'id'])
          .where('id', '=', query.after)
          .executeTakeFirst();
        if (last)
          select = select.where(({ eb, or, and }) =>
            or([
              eb('created_at', '<', last.created_at),
              and([eb('created_at', '=', last.created_at), eb('id', '<', last.id)]),
            ]),
          );
      }
      return (await select.limit(query.limit).execute()).map(toKey);
    },

    async get(id: string): Promise<Key | undefined> {
      const row = await db.selectFrom('keys').selectAll().where('id', '=', id).executeTakeFirst();
      return row && toKey(row);
    },

    async hashOf(id: string): Promise<string | undefined> {
      return (await db.selectFrom('keys').select('hash').where('id', '=', id).executeTakeFirst())?.hash;
    },

    /** Keys that are neither revoked nor disabled: what decides whether this server needs keys. */
    async count(): Promise<number> {
      const row = await db
        .selectFrom('keys')
        .select(({ fn }) => fn.countAll<number>().as('n'))
        .where('revoked_at', 'is', null)
        .where('disabled', '=', 0)
        .executeTakeFirstOrThrow();
      return Number(row.n);
    },

    /** False when there is no such key. */
    async update(id: string, change: KeyChange): Promise<boolean> {
      return db.transaction().execute(async (transaction) => {
        const revision = await nextRevision(transaction);
        const { numUpdatedRows } = await transaction
          .updateTable('keys')
          .set({ ...toColumns(change), revision })
          .where('id', '=', id)
          .executeTakeFirst();
        return numUpdatedRows > 0n;
      });
    },

    /** Everything that changed after `revision`, revoked keys included. */
    async changedSince(revision: number): Promise<HashedKey[]> {
      return (await db.selectFrom('keys').selectAll().where('revision', '>', revision).execute()).map(toHashedKey);
    },
  };
}

type Row = Selectable<KeyTables['keys']>;

function toKey(row: Row): Key {
  return {
    id: row.id,
    name: row.name,
    prefix: row.prefix,
    role: row.role as Role,
    teamId: row.team_id,
    policy: JSON.parse(row.policy) as Policy,
    tags: JSON.parse(row.tags) as string[],
    metadata: JSON.parse(row.metadata) as Record<string, string>,
    createdBy: row.created_by,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    disabled: row.disabled === 1,
    revokedAt: row.revoked_at,
  };
}

const toHashedKey = (row: Row): HashedKey => ({
  ...toKey(row),
  hash: row.hash,
  oldHash: row.old_hash,
  oldHashUntil: row.old_hash_until,
});

function toColumns(change: KeyChange): Partial<Row> {
  const columns: Partial<Row> = {};
  if (change.name !== undefined) columns.name = change.name;
  if (change.role !== undefined) columns.role = change.role;
  if (change.teamId !== undefined) columns.team_id = change.teamId;
  if (change.policy !== undefined) columns.policy = JSON.stringify(change.policy);
  if (change.tags !== undefined) columns.tags = JSON.stringify(change.tags);
  if (change.metadata !== undefined) columns.metadata = JSON.stringify(change.metadata);
  if (change.expiresAt !== undefined) columns.expires_at = change.expiresAt;
  if (change.disabled !== undefined) columns.disabled = change.disabled ? 1 : 0;
  if (change.revokedAt !== undefined) columns.revoked_at = change.revokedAt;
  if (change.hash !== undefined) columns.hash = change.hash;
  if (change.prefix !== undefined) columns.prefix = change.prefix;
  if (change.oldHash !== undefined) columns.old_hash = change.oldHash;
  if (change.oldHashUntil !== undefined) columns.old_hash_until = change.oldHashUntil;
  return columns;
}
