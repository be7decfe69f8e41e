/** Keys, teams, budgets, the ledger and its daily sums, sessions of the console, the audit log. */
import type { Migration } from 'kysely/migration';

export const boundary: Migration = {
  async up(db) {
    // One number that grows with every change of keys, teams and budgets: what other instances watch.
    await db.schema
      .createTable('revisions')
      .addColumn('id', 'integer', (column) => column.primaryKey())
      .addColumn('value', 'bigint', (column) => column.notNull())
      .execute();
    await db.insertInto('revisions').values({ id: 1, value: 0 }).execute();

    await db.schema
      .createTable('teams')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('name', 'text', (column) => column.notNull().unique())
      .addColumn('policy', 'text', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema
      .createTable('team_members')
      .addColumn('team_id', 'text', (column) => column.notNull().references('teams.id').onDelete('cascade'))
      .addColumn('email', 'text', (column) => column.notNull())
      .addColumn('role', 'text', (column) => column.notNull())
      .addPrimaryKeyConstraint('team_members_pk', ['team_id', 'email'])
      .execute();
    await db.schema.createIndex('team_members_email').on('team_members').column('email').execute();

    await db.schema
      .createTable('keys')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('prefix', 'text', (column) => column.notNull())
      .addColumn('hash', 'text', (column) => column.notNull().unique())
      .addColumn('old_hash', 'text')
      .addColumn('old_hash_until', 'bigint')
      .addColumn('role', 'text', (column) => column.notNull())
      .addColumn('team_id', 'text', (column) => column.references('teams.id'))
      .addColumn('policy', 'text', (column) => column.notNull())
      .addColumn('tags', 'text', (column) => column.notNull())
      .addColumn('metadata', 'text', (column) => column.notNull())
      .addColumn('created_by', 'text', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('expires_at', 'bigint')
      .addColumn('last_used_at', 'bigint')
      .addColumn('disabled', 'integer', (column) => column.notNull())
      .addColumn('revoked_at', 'bigint')
      .addColumn('revision', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('keys_revision').on('keys').column('revision').execute();
    await db.schema.createIndex('keys_team').on('keys').columns(['team_id', 'created_at']).execute();
    await db.schema.createIndex('keys_time').on('keys').columns(['created_at', 'id']).execute();

    await db.schema
      .createTable('budgets')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('scope', 'text', (column) => column.notNull())
      .addColumn('scope_id', 'text', (column) => column.notNull())
      .addColumn('period', 'text', (column) => column.notNull())
      .addColumn('amount_nano', 'bigint', (column) => column.notNull())
      .addColumn('soft', 'integer', (column) => column.notNull())
      .addColumn('webhook', 'text')
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('budgets_scope').on('budgets').columns(['scope', 'scope_id']).execute();

    await db.schema
      .createTable('ledger')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('request_id', 'text', (column) => column.notNull())
      .addColumn('attempt', 'integer', (column) => column.notNull())
      .addColumn('shadow', 'integer', (column) => column.notNull())
      .addColumn('key_id', 'text', (column) => column.notNull())
      .addColumn('team_id', 'text', (column) => column.notNull())
      .addColumn('endpoint', 'text', (column) => column.notNull())
      .addColumn('model', 'text', (column) => column.notNull())
      .addColumn('provider', 'text', (column) => column.notNull())
      .addColumn('target', 'text', (column) => column.notNull())
      .addColumn('input_tokens', 'bigint', (column) => column.notNull())
      .addColumn('output_tokens', 'bigint', (column) => column.notNull())
      .addColumn('cache_read_tokens', 'bigint', (column) => column.notNull())
      .addColumn('cache_write_tokens', 'bigint', (column) => column.notNull())
      .addColumn('reasoning_tokens', 'bigint', (column) => column.notNull())
      .addColumn('image_tokens', 'bigint', (column) => column.notNull())
      .addColumn('cost_nano', 'bigint')
      .addColumn('status', 'text', (column) => column.notNull())
      .addColumn('cause', 'text')
      .addColumn('started_at', 'bigint', (column) => column.notNull())
      .addColumn('first_token_ms', 'integer')
      .addColumn('total_ms', 'bigint', (column) => column.notNull())
      .addColumn('queue_ms', 'integer', (column) => column.notNull())
      .addColumn('load_ms', 'integer', (column) => column.notNull())
      .addColumn('digest', 'text')
      .addColumn('stream', 'integer', (column) => column.notNull())
      .addColumn('estimated', 'integer', (column) => column.notNull())
      .addColumn('tags', 'text', (column) => column.notNull())
      .addColumn('metadata', 'text', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('ledger_time').on('ledger').column('started_at').execute();
    await db.schema.createIndex('ledger_request').on('ledger').column('request_id').execute();

    await db.schema
      .createTable('usage_days')
      .addColumn('day', 'bigint', (column) => column.notNull())
      .addColumn('key_id', 'text', (column) => column.notNull())
      .addColumn('team_id', 'text', (column) => column.notNull())
      .addColumn('model', 'text', (column) => column.notNull())
      .addColumn('provider', 'text', (column) => column.notNull())
      .addColumn('shadow', 'integer', (column) => column.notNull())
      .addColumn('requests', 'bigint', (column) => column.notNull())
      .addColumn('attempts', 'bigint', (column) => column.notNull())
      .addColumn('errors', 'bigint', (column) => column.notNull())
      .addColumn('input_tokens', 'bigint', (column) => column.notNull())
      .addColumn('output_tokens', 'bigint', (column) => column.notNull())
      .addColumn('cache_read_tokens', 'bigint', (column) => column.notNull())
      .addColumn('reasoning_tokens', 'bigint', (column) => column.notNull())
      .addColumn('image_tokens', 'bigint', (column) => column.notNull())
      .addColumn('cost_nano', 'bigint', (column) => column.notNull())
      .addColumn('unpriced', 'bigint', (column) => column.notNull())
      .addPrimaryKeyConstraint('usage_days_pk', ['day', 'key_id', 'team_id', 'model', 'provider', 'shadow'])
      .execute();
    await db.schema.createIndex('usage_days_key').on('usage_days').columns(['key_id', 'day']).execute();
    await db.schema.createIndex('usage_days_team').on('usage_days').columns(['team_id', 'day']).execute();

    // Prompts and answers, only where a key or a route asks for it, and only until `expires_at`.
    await db.schema
      .createTable('contents')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('request_id', 'text', (column) => column.notNull())
      .addColumn('owner', 'text', (column) => column.notNull())
      .addColumn('request', 'text', (column) => column.notNull())
      .addColumn('answer', 'text', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('expires_at', 'bigint', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('contents_expiry').on('contents').column('expires_at').execute();
    await db.schema.createIndex('contents_request').on('contents').column('request_id').execute();

    await db.schema
      .createTable('sessions')
      .addColumn('hash', 'text', (column) => column.primaryKey())
      .addColumn('email', 'text', (column) => column.notNull())
      .addColumn('name', 'text', (column) => column.notNull())
      .addColumn('role', 'text', (column) => column.notNull())
      .addColumn('created_at', 'bigint', (column) => column.notNull())
      .addColumn('expires_at', 'bigint', (column) => column.notNull())
      .execute();

    await db.schema
      .createTable('audit')
      .addColumn('id', 'text', (column) => column.primaryKey())
      .addColumn('at', 'bigint', (column) => column.notNull())
      .addColumn('actor', 'text', (column) => column.notNull())
      .addColumn('address', 'text', (column) => column.notNull())
      .addColumn('action', 'text', (column) => column.notNull())
      .addColumn('subject', 'text', (column) => column.notNull())
      .addColumn('detail', 'text', (column) => column.notNull())
      .execute();
    await db.schema.createIndex('audit_time').on('audit').columns(['at', 'id']).execute();
  },
};
