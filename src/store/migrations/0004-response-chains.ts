/** Finds the responses that continue one, when it is deleted. */
import type { Migration } from 'kysely/migration';

export const responseChains: Migration = {
  async up(db) {
    await db.schema.createIndex('responses_previous').on('responses').column('previous_id').execute();
  },
};
