/**
 * All tables as Kysely sees them. Each query file declares the types of its own tables; here they come together.
 *
 * Conventions, the same on SQLite and PostgreSQL: ids are text that the program makes; times are `bigint` milliseconds since
 * 1970; money is `bigint` nano-dollars; truth is an integer 0 or 1; lists and objects are JSON text; JavaScript sees numbers and
 * strings only. Everything that belongs to a tenant has an `owner` column (Caller.owner), and every query asks for it.
 */
import type { AuditTables } from './audit.ts';
import type { BudgetTables } from './budgets.ts';
import type { ContentTables } from './contents.ts';
import type { ConversationTables } from './conversations.ts';
import type { KeyTables } from './keys.ts';
import type { LedgerTables } from './ledger-tables.ts';
import type { ResponseTables } from './responses.ts';
import type { RevisionTables } from './revision.ts';
import type { SessionTables } from './sessions.ts';
import type { StoredChatTables } from './stored-chats.ts';
import type { TeamTables } from './teams.ts';

export type Database = RevisionTables &
  KeyTables &
  TeamTables &
  BudgetTables &
  LedgerTables &
  ContentTables &
  SessionTables &
  AuditTables &
  ResponseTables &
  ConversationTables &
  StoredChatTables;
