/** Can the server do its work now: what it stands on, asked at most once a second however often anybody asks. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Store } from '../store/open.ts';
import type { Counters } from './counters.ts';

export type ReadinessDeps = {
  db: Store;
  /** Of the ledger's write-ahead files. */
  ledgerFolder: string;
  counters: Counters;
  now: () => number;
};

const keptMs = 1000;
/** A part that takes longer to say anything counts as away. */
const patienceMs = 2000;

/** Gives what names the parts that fail: `database unreachable`, `redis unreachable`, `ledger file not writable`. */
export function createReadiness({ db, ledgerFolder, counters, now }: ReadinessDeps): () => Promise<string[]> {
  const parts: [problem: string, works: () => Promise<boolean>][] = [
    ['database unreachable', async () => (await sql`select 1`.execute(db)).rows.length === 1],
    ['ledger file not writable', () => isWritable(ledgerFolder)],
  ];
  const { isReachable } = counters;
  if (isReachable) parts.push(['redis unreachable', isReachable]);

  const look = async () => {
    const verdicts = await Promise.all(parts.map(([, works]) => inTime(works)));
    return parts.flatMap(([problem], index) => (verdicts[index] ? [] : [problem]));
  };
  let known: { until: number; problems: Promise<string[]> } | undefined;
  return () => {
    if (!known || now() >= known.until) known = { until: now() + keptMs, problems: look() };
    return known.problems;
  };
}

async function inTime(works: () => Promise<boolean>): Promise<boolean> {
  const late = new AbortController();
  try {
    return await Promise.race([works(), sleep(patienceMs, false, { ref: false, signal: late.signal })]);
  } catch {
    return false;
  } finally {
    late.abort();
  }
}

async function isWritable(folder: string): Promise<boolean> {
  const probe = join(folder, `probe-${process.pid}`);
  await writeFile(probe, '.', { mode: 0o600 });
  await rm(probe);
  return true;
}
