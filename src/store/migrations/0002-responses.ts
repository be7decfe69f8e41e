/** Stored responses with their items and the events of background ones; conversations. */
import type { Migration } from 'kysely/migration';

export const responses: Migration = {
  async up(db) {
    await db.schema
      .createTable('responses')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('owner', 'text', (column) => column.notNull())
      .addColumn('previous_id', 'text')
      .addColumn('compacted', 'integer', (column) => column.notNull())
      .addColumn('status', 'text', (column) => column.notNull())
      .addColumn('background', 'integer', (column) => column.notNull())
      .addColumn('resource', 'text', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('lease_until', 'bigint')
      .execute();
    await db.schema.createIndex('responses_lease').on('responses').column('lease_until').execute();
    await db.schema.createIndex('responses_time').on('responses').column('created_at').execute();

    await db.schema
      .createTable('response_items')
      .addColumn('response_id', 'text', (column) => column.notNull().references('responses.id').onDelete('cascade'))
      .addColumn('kind', 'integer', (column) => column.notNull())
      .addColumn('position', 'integer', (column) => column.notNull())
      .addColumn('item_id', 'text', (column) => column.notNull())
      .addColumn('item', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('response_items_pk', ['response_id', 'kind', 'position'])
      .execute();
    await db.schema.createIndex('response_items_item').on('response_items').column('item_id').execute();

    await db.schema
      .createTable('response_events')
      .addColumn('response_id', 'text', (column) => column.notNull().references('responses.id').onDelete('cascade'))
      .addColumn('sequence', 'integer', (column) => column.notNull())
      .addColumn('event', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('response_events_pk', ['response_id', 'sequence'])
      .execute();

    await db.schema
      .createTable('conversations')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('owner', 'text', (column) => column.notNull())
      .addColumn('metadata', 'text', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema
      .createTable('conversation_items')
      .addColumn('conversation_id', 'text', (column) =>
        column.notNull().references('conversations.id').onDelete('cascade'),
      )
      .addColumn('position', 'integer', (column) => column.notNull())
      .addColumn('item_id', 'text', (column) => column.notNull())
      .addColumn('item', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('conversation_items_pk', ['conversation_id', 'position'])
      .execute();
    await db.schema.createIndex('conversation_items_item').on('conversation_items').column('item_id').execute();
  },
};
