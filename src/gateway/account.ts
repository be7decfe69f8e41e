/** The ledger's pen: every attempt into the write-ahead file at once, and in batches into the database. */

import { type LedgerStore, ledgerStore } from '../store/ledger.ts';
import { LedgerBatch } from '../store/ledger-batch.ts';
import type { LedgerRow } from '../store/ledger-tables.ts';
import type { Store } from '../store/open.ts';
import { nano } from './admit.ts';
import type { Account, LedgerEntry } from './contract.ts';
import type { Counters } from './counters.ts';
import type { Directory } from './directory.ts';
import { leftFiles, openLedgerFile, readLedgerFile } from './ledger-file.ts';

/** A batch costs much more than its rows, so that few are written where little happens; many rows at once would hold up the requests. */
const batchMs = 2000;
const fullBatch = 1000;
const retryMs = 2000;
/** Rows in memory while the database is away; beyond that they are read from the files when it is back. */
const maxWaiting = 20_000;

/** What was spent and asked, everything accounted before the question included. */
export type LedgerReports = Pick<LedgerStore, 'usage' | 'requests' | 'spent'>;

export type Ledger = {
  /** Everything accounted so far into the database. Throws when the database fails. */
  flush(): Promise<void>;
  /**
   * Run `read` while the database has exactly what was accounted before, then call `use` with its result and the rows that
   * were accounted since, before any further row is.
   */
  readExactly<T>(read: () => Promise<T>, use: (value: T, since: readonly LedgerRow[]) => void): Promise<void>;
  /** Resolves, in the same turn of the event loop, when the row outlives a kill of the process. Never rejects. */
  append(row: LedgerRow): Promise<void>;
  readonly reports: LedgerReports;
  /** Flushes. What cannot be flushed stays in its file for the next start. */
  close(): Promise<void>;
};

/**
 * Reads what a killed program left before it resolves, so that budgets begin with the whole truth.
 * `failed` hears of a database or a disk that fails; entries are kept meanwhile.
 */
export async function openLedger(db: Store, folder: string, failed: (error: unknown) => void): Promise<Ledger> {
  const store = ledgerStore(db);
  const file = openLedgerFile(folder);
  /** Rows that the database does not have yet. */
  let waiting = new LedgerBatch();
  /** What the last batch was in. */
  let spare = new LedgerBatch();
  /** Rows of this turn of the event loop, which go into the file in one write when it ends. */
  let unfiled: LedgerRow[] = [];
  let filed: Promise<void> | undefined;
  let overflowed = false;
  let written: string[] = [];
  let timer: NodeJS.Timeout | undefined;
  /** Batches and exact reads, one after another. */
  let last: Promise<unknown> = Promise.resolve();

  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work);
    last = turn.catch(() => {});
    return turn;
  };

  const intoFile = () => {
    const rows = unfiled;
    unfiled = [];
    filed = undefined;
    if (rows.length === 0) return;
    const wasFull = waiting.size >= fullBatch;
    const lines = waiting.add(rows);
    shorten();
    try {
      file.append(lines);
    } catch (error) {
      // No room on the disk: the rows are in memory and go to the database as ever.
      failed(error);
    }
    // Only as it becomes full: while the database is away it stays so.
    if (!wasFull && waiting.size >= fullBatch) writeDue();
  };

  const writeBatch = async () => {
    intoFile();
    if (waiting.size === 0 && !overflowed) return;
    const batch = waiting;
    const fromFiles = overflowed;
    waiting = spare;
    overflowed = false;
    written.push(...file.rotate());
    try {
      await store.append(batch);
      if (fromFiles) for (const path of written) await store.append(LedgerBatch.of(readLedgerFile(path)));
      await file.forget(written);
      written = [];
      batch.clear();
      spare = batch;
    } catch (error) {
      batch.add(waiting.rows());
      waiting.clear();
      spare = waiting;
      waiting = batch;
      overflowed ||= fromFiles;
      shorten();
      throw error;
    }
  };

  const shorten = () => {
    if (waiting.size <= maxWaiting) return;
    waiting.clear();
    overflowed = true;
  };

  const schedule = (ms: number) => {
    timer ??= setTimeout(writeDue, ms);
    timer.unref();
  };

  function writeDue() {
    clearTimeout(timer);
    timer = undefined;
    inTurn(writeBatch).catch((error) => {
      failed(error);
      schedule(retryMs);
    });
  }

  const flush = () => inTurn(writeBatch);

  for (const { path, alive } of leftFiles(folder)) {
    await store.append(LedgerBatch.of(readLedgerFile(path)));
    if (!alive) await file.forget([path]);
  }

  return {
    append(row) {
      unfiled.push(row);
      schedule(batchMs);
      filed ??= new Promise((resolve) => {
        setImmediate(() => {
          intoFile();
          resolve();
        });
      });
      return filed;
    },
    flush,
    readExactly: (read, use) =>
      inTurn(async () => {
        await writeBatch();
        const value = await read();
        intoFile();
        use(value, waiting.rows());
      }),
    reports: {
      async usage(query) {
        await flush();
        return store.usage(query);
      },
      async requests(query) {
        await flush();
        return store.requests(query);
      },
      async spent(...asked) {
        await flush();
        return store.spent(...asked);
      },
    },
    async close() {
      clearTimeout(timer);
      try {
        await inTurn(writeBatch);
      } finally {
        file.close();
      }
    },
  };
}

/** Entry → row, into the ledger and onto the budgets of whoever asked. */
export function createAccount(deps: { ledger: Ledger; directory: Directory; counters: Counters }): Account {
  const { ledger, directory, counters } = deps;
  return (entry) => {
    const metadata = entry.keyId ? directory.subject(entry.keyId)?.key.metadata : undefined;
    const row = toRow(entry, metadata);
    const filed = ledger.append(row);
    if (!entry.shadow && row.cost_nano)
      counters.spend(directory.budgets(row.key_id, row.team_id), row.cost_nano, row.started_at);
    return filed;
  };
}

function toRow(entry: LedgerEntry, metadata: Record<string, string> | undefined): LedgerRow {
  const { usage } = entry;
  return {
    id: entry.id,
    request_id: plain(entry.requestId),
    attempt: entry.attempt,
    shadow: entry.shadow ? 1 : 0,
    key_id: entry.keyId ?? '',
    team_id: entry.teamId ?? '',
    endpoint: plain(entry.endpoint),
    model: plain(entry.model),
    provider: entry.provider,
    target: plain(entry.targetModel),
    input_tokens: count(usage.input),
    output_tokens: count(usage.output),
    cache_read_tokens: count(usage.cacheRead),
    cache_write_tokens: count(usage.cacheWrite),
    reasoning_tokens: count(usage.reasoning),
    image_tokens: count(usage.image),
    cost_nano: entry.cost === undefined ? null : count(entry.cost * nano),
    status: entry.status,
    cause: entry.cause ?? null,
    started_at: Math.floor(entry.startedAt),
    first_token_ms: entry.firstTokenMs === undefined ? null : Math.round(entry.firstTokenMs),
    total_ms: Math.round(entry.totalMs),
    queue_ms: Math.round(entry.queueMs ?? 0),
    load_ms: Math.round(entry.loadMs ?? 0),
    digest: entry.digest ?? null,
    stream: entry.stream ? 1 : 0,
    estimated: entry.estimated ? 1 : 0,
    tags: entry.tags.length === 0 ? '[]' : JSON.stringify(entry.tags),
    metadata: metadata ? JSON.stringify(metadata) : '{}',
  };
}

const maxTextLength = 500;

/** Names come from clients: one that the database does not take would hold up every row behind it. */
const plain = (text: string) => (text.includes('\0') ? text.replaceAll('\0', '') : text).slice(0, maxTextLength);

/** Counts come from providers, some of which have their own idea of a number. */
const count = (value: number | undefined) => (value !== undefined && Number.isFinite(value) ? Math.round(value) : 0);
