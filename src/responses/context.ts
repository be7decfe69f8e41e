/** What a request refers to → the items themselves: earlier responses, a conversation, single items by their id. */
import { ViaductError } from '../core/errors.ts';
import { decodeInput, type Item, type Settings } from '../protocols/openai-responses.ts';
import type { ConversationStore } from '../store/conversations.ts';
import type { ResponseStore, StoredItem } from '../store/responses.ts';
import { newId } from './ids.ts';
import { isCall, isOutput } from './items.ts';
import { hasForeignCompaction } from './sealed-items.ts';

export type Context = {
  /** What was said before, oldest first; compactions not yet opened. */
  before: Item[];
  /** What this request adds. */
  input: Item[];
  conversationId: string | undefined;
  /** The stored response that this one continues. */
  previousId: string | undefined;
};

/**
 * What one connection remembers of its responses: everything said up to and including each; `stored` ones are in the
 * store too.
 */
export type Memory = { get(id: string): { items: readonly Item[]; stored: boolean } | undefined };

export type Stores = { responses: ResponseStore; conversations: ConversationStore };

/** Items go into the store as JSON and come out as what they were. */
export const asStored = (items: readonly Item[]) => items as unknown as StoredItem[];
const asItems = (items: readonly StoredItem[]) => items as unknown as Item[];

/**
 * Throws previous_response_not_found, not_found (a conversation or item of nobody or of another owner), conflict (a chain in a
 * circle), invalid_request.
 */
export async function resolveContext(
  input: unknown,
  settings: Settings,
  owner: string,
  stores: Stores,
  memory?: Memory,
): Promise<Context> {
  const conversation = settings.conversation;
  const conversationId = typeof conversation === 'string' ? conversation : conversation?.id;
  const previous = settings.previous_response_id ?? undefined;
  const remembered = previous === undefined ? undefined : memory?.get(previous);
  const before = remembered?.items.slice() ?? (await earlierItems(previous, conversationId, owner, stores));
  const own = await resolveInput(input, owner, stores, before);
  if (before.length === 0 && own.length === 0 && !settings.instructions && settings.prompt == null)
    throw new ViaductError('invalid_request', "Missing required parameter: 'input'.", { param: 'input' });
  return { before, input: own, conversationId, previousId: remembered && !remembered.stored ? undefined : previous };
}

/** Items as a client sends them → complete ones. A reference to what `before` holds already adds nothing. */
export async function resolveInput(
  input: unknown,
  owner: string,
  { responses }: Stores,
  before: readonly Item[] = [],
  place = 'input',
): Promise<Item[]> {
  const given = decodeInput(input, newId, place);
  const said = new Set(before.map(({ id }) => id));
  const wanted = given.flatMap((item) => (item.type === 'item_reference' && !said.has(item.id) ? [item.id] : []));
  const stored = wanted.length === 0 ? new Map<string, never>() : await responses.itemsById(owner, wanted);
  return given.flatMap((item, index): Item[] => {
    if (item.type !== 'item_reference') return [item];
    if (said.has(item.id)) return [];
    const found = stored.get(item.id);
    if (!found)
      throw new ViaductError('not_found', `Item with id '${item.id}' not found.`, { param: `${place}[${index}].id` });
    return asItems([found]);
  });
}

async function earlierItems(
  previousId: string | undefined,
  conversationId: string | undefined,
  owner: string,
  { responses, conversations }: Stores,
): Promise<Item[]> {
  if (previousId !== undefined) {
    const items = await responses.context(owner, previousId);
    if (items) return withoutOrphans(asItems(items));
    throw new ViaductError('previous_response_not_found', `Previous response with id '${previousId}' not found.`, {
      param: 'previous_response_id',
    });
  }
  if (conversationId === undefined) return [];
  const items = await conversations.items(owner, conversationId);
  if (items) return sinceForeignCompaction(asItems(items));
  throw new ViaductError('not_found', `Conversation with id '${conversationId}' not found.`, { param: 'conversation' });
}

/** A compaction of the provider's own stands for everything before it. Ours are opened later, see conversationOf. */
function sinceForeignCompaction(items: Item[]): Item[] {
  const last = items.findLastIndex((item) => hasForeignCompaction([item]));
  return last === -1 ? items : items.slice(last);
}

/** Outputs whose calls went with a deleted response go too: no model takes one without the other. A compaction may hold calls. */
function withoutOrphans(items: Item[]): Item[] {
  if (items.some(({ type }) => type === 'compaction')) return items;
  const calls = new Set<string>();
  return items.filter((item) => {
    if (isCall(item)) calls.add(item.call_id);
    return !isOutput(item) || calls.has(item.call_id);
  });
}
