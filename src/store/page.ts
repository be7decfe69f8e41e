/** Pages of lists by the id of the last item seen, as OpenAI's lists have them. */
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';

/** An item of a response or conversation, as its protocol has it. */
export type StoredItem = JsonObject & { id: string };

export type PageOptions = { limit: number; order: 'asc' | 'desc'; after: string | undefined };
export type Page = { items: StoredItem[]; hasMore: boolean };

/** Throws not_found when there is no item `after`. */
export async function pageOf(
  { limit, after }: PageOptions,
  positionOf: (itemId: string) => Promise<number | undefined>,
  rowsAfter: (position: number | undefined, limit: number) => Promise<{ item: string }[]>,
): Promise<Page> {
  const position = after === undefined ? undefined : await positionOf(after);
  if (after !== undefined && position === undefined)
    throw new ViaductError('not_found', `There is no item '${after}' in this list.`, { param: 'after' });
  const rows = await rowsAfter(position, limit + 1);
  const items = rows.slice(0, limit).map(({ item }) => JSON.parse(item) as StoredItem);
  return { items, hasMore: rows.length > limit };
}
