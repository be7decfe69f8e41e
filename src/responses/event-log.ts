/** Events of background responses: written in batches as they come, read by whoever follows, also after a restart. */
import type { ResponseEvent } from '../protocols/openai-responses.ts';
import type { ResponseStore, StoredEvent } from '../store/responses.ts';

/** How often followers look for what another instance has written, ms. */
const pollMs = 500;
const pageSize = 500;

export type EventLog = ReturnType<typeof createEventLog>;

export function createEventLog(store: ResponseStore) {
  const pending = new Map<string, StoredEvent[]>();
  const writing = new Map<string, Promise<void>>();
  const waiters = new Map<string, Set<() => void>>();

  const wake = (id: string) => {
    for (const waiter of waiters.get(id) ?? []) waiter();
  };

  /** One write at a time for each response: what comes meanwhile goes with the next. */
  async function write(id: string) {
    for (let events = pending.get(id); events?.length; events = pending.get(id)) {
      pending.delete(id);
      await store.appendEvents(id, events);
      wake(id);
    }
  }

  const grown = (id: string, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      const mine = waiters.get(id) ?? new Set();
      waiters.set(id, mine);
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        mine.delete(done);
        if (mine.size === 0) waiters.delete(id);
        resolve();
      };
      const timer = setTimeout(done, pollMs);
      signal.addEventListener('abort', done);
      mine.add(done);
    });

  return {
    append(id: string, events: readonly ResponseEvent[]): void {
      const rows = events.map((event) => ({ sequence: event.sequence_number, event: JSON.stringify(event) }));
      pending.set(id, [...(pending.get(id) ?? []), ...rows]);
      if (writing.has(id)) return;
      const written = write(id).finally(() => writing.delete(id));
      // A failed write is told to who flushes.
      written.catch(() => {});
      writing.set(id, written);
    },

    /** Everything appended so far is in the store. Throws what the store threw. */
    async flush(id: string): Promise<void> {
      for (let written = writing.get(id); written; written = writing.get(id)) await written;
    },

    /** Somebody changed the response's state: followers look. */
    wake,

    /** Events after `after` as JSON texts, the ones to come included, until the response is over or `signal` aborts. */
    async *follow(id: string, after: number, isOver: () => Promise<boolean>, signal: AbortSignal) {
      let last = after;
      for (let over = false; !signal.aborted; ) {
        const rows = await store.events(id, last, pageSize);
        const newest = rows.at(-1);
        if (newest) {
          last = newest.sequence;
          yield rows.map(({ event }) => event);
        } else if (over) return;
        else {
          over = await isOver();
          if (!over) await grown(id, signal);
        }
      }
    },
  };
}
