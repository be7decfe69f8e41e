/** Teams and their members. A member is known by e-mail address, as the sign-in gives it. */
import type { Kysely, Selectable } from 'kysely';
import type { Policy } from './policy.ts';
import { nextRevision } from './revision.ts';
import type { Database } from './schema.ts';

export type TeamTables = {
  teams: { id: string; name: string; policy: string; created_at: number };
  team_members: { team_id: string; email: string; role: string };
};

export type Team = { id: string; name: string; policy: Policy; createdAt: number };
export type Member = { email: string; role: 'manager' | 'viewer' | 'member' };

export function teamStore(db: Kysely<Database>) {
  return {
    async insert(team: Team): Promise<void> {
      await db.transaction().execute(async (transaction) => {
        await nextRevision(transaction);
        await transaction
          .insertInto('teams')
          .values({ id: team.id, name: team.name, policy: JSON.stringify(team.policy), created_at: team.createdAt })
          .execute();
      });
    },

    /** By name. */
    async list(): Promise<Team[]> {
      return (await db.selectFrom('teams').selectAll().orderBy('name').execute()).map(toTeam);
    },

    async get(id: string): Promise<Team | undefined> {
      const row = await db.selectFrom('teams').selectAll().where('id', '=', id).executeTakeFirst();
      return row && toTeam(row);
    },

    async findByName(name: string): Promise<Team | undefined> {
      const row = await db.selectFrom('teams').selectAll().where('name', '=', name).executeTakeFirst();
      return row && toTeam(row);
    },

    /** False when there is no such team. */
    async update(id: string, change: Partial<Pick<Team, 'name' | 'policy'>>): Promise<boolean> {
      return db.transaction().execute(async (transaction) => {
        await nextRevision(transaction);
        const { numUpdatedRows } = await transaction
          .updateTable('teams')
          .set({
            id,
            ...(change.name !== undefined && { name: change.name }),
            ...(change.policy && { policy: JSON.stringify(change.policy) }),
          })
          .where('id', '=', id)
          .executeTakeFirst();
        return numUpdatedRows > 0n;
      });
    },

    /**
     * Takes the members and budgets along; what the team used stays in the ledger. Fails while the team has keys that
     * are not revoked.
     */
    async remove(id: string): Promise<'removed' | 'unknown' | 'has keys'> {
      return db.transaction().execute(async (transaction) => {
        const key = await transaction
          .selectFrom('keys')
          .select('id')
          .where('team_id', '=', id)
          .where('revoked_at', 'is', null)
          .executeTakeFirst();
        if (key) return 'has keys';
        const revision = await nextRevision(transaction);
        await transaction.updateTable('keys').set({ team_id: null, revision }).where('team_id', '=', id).execute();
        await transaction.deleteFrom('budgets').where('scope', '=', 'team').where('scope_id', '=', id).execute();
        const { numDeletedRows } = await transaction.deleteFrom('teams').where('id', '=', id).executeTakeFirst();
        return numDeletedRows > 0n ? 'removed' : 'unknown';
      });
    },

    async members(teamId: string): Promise<Member[]> {
      const rows = await db
        .selectFrom('team_members')
        .selectAll()
        .where('team_id', '=', teamId)
        .orderBy('email')
        .execute();
      return rows.map(({ email, role }) => ({ email, role: role as Member['role'] }));
    },

    /** Adds the member or changes the role. */
    async setMember(teamId: string, { email, role }: Member): Promise<void> {
      await db
        .insertInto('team_members')
        .values({ team_id: teamId, email: email.toLowerCase(), role })
        .onConflict((conflict) => conflict.columns(['team_id', 'email']).doUpdateSet({ role }))
        .execute();
    },

    /** False when there was no such member. */
    async removeMember(teamId: string, email: string): Promise<boolean> {
      const { numDeletedRows } = await db
        .deleteFrom('team_members')
        .where('team_id', '=', teamId)
        .where('email', '=', email.toLowerCase())
        .executeTakeFirst();
      return numDeletedRows > 0n;
    },

    /** Teams that somebody belongs to, with the role in each. */
    async membershipsOf(email: string): Promise<{ teamId: string; role: Member['role'] }[]> {
      const rows = await db.selectFrom('team_members').selectAll().where('email', '=', email.toLowerCase()).execute();
      return rows.map((row) => ({ teamId: row.team_id, role: row.role as Member['role'] }));
    },
  };
}

const toTeam = (row: Selectable<TeamTables['teams']>): Team => ({
  id: row.id,
  name: row.name,
  policy: JSON.parse(row.policy) as Policy,
  createdAt: row.created_at,
});
