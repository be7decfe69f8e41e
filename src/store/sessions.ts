/** Signed-in people of the console. The cookie holds a random token; here is only its hash. */
import type { Kysely } from 'kysely';
import type { Role } from './policy.ts';
import type { Database } from './schema.ts';

export type SessionTables = {
  sessions: { hash: string; email: string; name: string; role: string; created_at: number; expires_at: number };
};

/** `role` is what the sign-in gave; membership of teams comes on top and is looked up at each request. */
export type Session = { email: string; name: string; role: Role; createdAt: number; expiresAt: number };

export type SessionStore = ReturnType<typeof sessionStore>;

export function sessionStore(db: Kysely<Database>) {
  return {
    async insert(hash: string, session: Session): Promise<void> {
      await db.deleteFrom('sessions').where('expires_at', '<', session.createdAt).execute();
      await db
        .insertInto('sessions')
        .values({
          hash,
          email: session.email,
          name: session.name,
          role: session.role,
          created_at: session.createdAt,
          expires_at: session.expiresAt,
        })
        .execute();
    },

    /** Undefined when unknown or past its end. */
    async find(hash: string, now: number): Promise<Session | undefined> {
      const row = await db
        .selectFrom('sessions')
        .selectAll()
        .where('hash', '=', hash)
        .where('expires_at', '>', now)
        .executeTakeFirst();
      return (
        row && {
          email: row.email,
          name: row.name,
          role: row.role as Role,
          createdAt: row.created_at,
          expiresAt: row.expires_at,
        }
      );
    },

    async remove(hash: string): Promise<void> {
      await db.deleteFrom('sessions').where('hash', '=', hash).execute();
    },
  };
}
