/** Chat completions that were asked to be kept (`store: true`). */
import type { Migration } from 'kysely/migration';

export const storedChats: Migration = {
  async up(db) {
    await db.schema
      .createTable('stored_chats')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('owner', 'text', (column) => column.notNull())
      .addColumn('model', 'text', (column) => column.notNull())
      .addColumn('metadata', 'text', (column) => column.notNull())
      .addColumn('messages', 'text', (column) => column.notNull())
      .addColumn('completion', 'text', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema
      .createIndex('stored_chats_owner')
      .on('stored_chats')
      .columns(['owner', 'created_at', 'id'])
      .execute();
  },
};
