/** What one WebSocket connection remembers of its responses, so that `store: false` turns can be continued. Bounded. */

import type { Item } from '../../protocols/openai-responses.ts';
import type { Memory } from '../../responses/context.ts';

const maxBytes = 64 * 2 ** 20;
const maxResponses = 1000;

export type ConnectionMemory = Memory & {
  set(id: string, items: readonly Item[], stored: boolean): void;
  delete(id: string): void;
  clear(): void;
};

/** The oldest responses go first when it grows beyond 64 MB or 1,000 responses; the newest always stays. */
export function createConnectionMemory(): ConnectionMemory {
  const entries = new Map<string, { items: readonly Item[]; stored: boolean; bytes: number }>();
  /** Items are shared between the responses of a chain: each is measured once. */
  const sizes = new WeakMap<Item, number>();
  let total = 0;

  const sizeOf = (item: Item) => {
    const known = sizes.get(item) ?? JSON.stringify(item).length;
    sizes.set(item, known);
    return known;
  };
  const remove = (id: string) => {
    total -= entries.get(id)?.bytes ?? 0;
    entries.delete(id);
  };

  return {
    get: (id) => entries.get(id),
    set(id, items, stored) {
      const bytes = items.reduce((sum, item) => sum + sizeOf(item), 0);
      entries.set(id, { items, stored, bytes });
      total += bytes;
      for (const oldest of entries.keys()) {
        if (oldest === id || (total <= maxBytes && entries.size <= maxResponses)) break;
        remove(oldest);
      }
    },
    delete: remove,
    clear() {
      entries.clear();
      total = 0;
    },
  };
}
