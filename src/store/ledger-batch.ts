/**
 * Rows on their way into the ledger. What waits longer than a moment as objects grows old, and old objects are dear: so a row
 * becomes a line and a part of its day's sums as it comes, and is an object again only when something went wrong.
 */
import { PendingLines } from '../lib/pending-lines.ts';
import { dayOf, type LedgerRow, ledgerColumns, type Sums, type UsageDay } from './ledger-tables.ts';

export class LedgerBatch {
  readonly #lines = new PendingLines();
  readonly #days = new Map<string, UsageDay>();
  readonly #lastUsed = new Map<string, number>();
  #size = 0;

  static of(rows: readonly LedgerRow[]): LedgerBatch {
    const batch = new LedgerBatch();
    batch.add(rows);
    return batch;
  }

  /** Rows in it. */
  get size(): number {
    return this.#size;
  }

  /** One JSON list a row, in the order of `ledgerColumns`. */
  lines(): string {
    return this.#lines.bytes.toString();
  }

  /** Sorted, so that two instances on PostgreSQL do not lock each other's rows crosswise. */
  days(): UsageDay[] {
    return sorted(this.#days).map(([, sums]) => sums);
  }

  /** Key → `started_at` of its latest row; sorted. */
  lastUsed(): [keyId: string, at: number][] {
    return sorted(this.#lastUsed);
  }

  rows(): LedgerRow[] {
    return decodeRows(this.lines());
  }

  /** The same, each as the list that its line is. */
  values(): unknown[][] {
    return decodeLines(this.lines());
  }

  /** Gives the lines of `rows`, good until `clear`. */
  add(rows: readonly LedgerRow[]): Buffer {
    let lines = '';
    for (const row of rows) {
      lines += `${JSON.stringify(valuesOf(row))}\n`;
      this.#sum(row);
    }
    this.#size += rows.length;
    return this.#lines.push(lines);
  }

  clear(): void {
    this.#lines.clear();
    this.#days.clear();
    this.#lastUsed.clear();
    this.#size = 0;
  }

  #sum(row: LedgerRow): void {
    const { key_id, team_id, model, provider, shadow, started_at } = row;
    const day = dayOf(started_at);
    const name = `${day}\0${key_id}\0${team_id}\0${model}\0${provider}\0${shadow}`;
    let sums = this.#days.get(name);
    if (!sums) {
      sums = { day, key_id, team_id, model, provider, shadow, ...noSums };
      this.#days.set(name, sums);
    }
    sums.requests += row.attempt === 1 ? 1 : 0;
    sums.attempts += 1;
    sums.errors += row.status === 'error' ? 1 : 0;
    sums.input_tokens += row.input_tokens;
    sums.output_tokens += row.output_tokens;
    sums.cache_read_tokens += row.cache_read_tokens;
    sums.reasoning_tokens += row.reasoning_tokens;
    sums.image_tokens += row.image_tokens;
    sums.cost_nano += row.cost_nano ?? 0;
    sums.unpriced += row.cost_nano === null ? 1 : 0;
    if (key_id) this.#lastUsed.set(key_id, Math.max(started_at, this.#lastUsed.get(key_id) ?? 0));
  }
}

/** In the order of `ledgerColumns`. */
export const valuesOf = (row: LedgerRow): unknown[] => ledgerColumns.map((name) => row[name]);

/** Lines of a batch → its rows. What is no such line (half a line at the end belongs to a request that did not end) ends them. */
export const decodeRows = (lines: string): LedgerRow[] =>
  decodeLines(lines).map(
    (values) => Object.fromEntries(ledgerColumns.map((name, place) => [name, values[place]])) as LedgerRow,
  );

function decodeLines(lines: string): unknown[][] {
  const lists: unknown[][] = [];
  for (const line of lines.split('\n')) {
    if (line === '') continue;
    const values = decodeLine(line);
    if (!values) break;
    lists.push(values);
  }
  return lists;
}

function decodeLine(line: string): unknown[] | undefined {
  let values: unknown;
  try {
    values = JSON.parse(line);
  } catch {
    return undefined;
  }
  return Array.isArray(values) && values.length === ledgerColumns.length ? values : undefined;
}

const noSums: Sums = {
  requests: 0,
  attempts: 0,
  errors: 0,
  input_tokens: 0,
  output_tokens: 0,
  cache_read_tokens: 0,
  reasoning_tokens: 0,
  image_tokens: 0,
  cost_nano: 0,
  unpriced: 0,
};
export const sumNames = Object.keys(noSums) as (keyof Sums)[];

const sorted = <T>(map: Map<string, T>): [string, T][] => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
