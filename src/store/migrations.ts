/**
 * Every change to the tables, in order. Append only: a released migration is never edited or removed.
 *
 * To add tables: write `migrations/NNNN-name.ts` with the next free number, exporting one `Migration` with `up` only
 * (there is no way back but the backup), list it here, write the queries as `src/store/NAME.ts`, and add its tables'
 * type to schema.ts. Use Kysely's schema builder, and `bigint` (not `integer`) for times, sizes and money: SQLite does
 * not care, PostgreSQL does.
 */
import type { Migration } from 'kysely/migration';
import { boundary } from './migrations/0001-boundary.ts';
import { responses } from './migrations/0002-responses.ts';
import { storedChats } from './migrations/0003-stored-chats.ts';
import { responseChains } from './migrations/0004-response-chains.ts';

export const migrations: Record<string, Migration> = {
  '0001-boundary': boundary,
  '0002-responses': responses,
  '0003-stored-chats': storedChats,
  '0004-response-chains': responseChains,
};
