/** The list of a response's items while it is written, and the events that tell of it. */
import type { Item, NewId, ResponseEvent } from './wire.ts';

export type Output = ReturnType<typeof createOutput>;

/** `showSealed`: the client asked to see the seals of thoughts; else only `items` has them. */
export function createOutput(newId: NewId, showSealed: boolean) {
  const items: Item[] = [];
  let sequence = 0;
  let events: ResponseEvent[] = [];

  const shown = (item: Item) => (showSealed ? item : withoutSeal(item));
  const emit = (type: string, fields: object) => {
    events.push({ type, sequence_number: sequence++, ...fields });
  };

  return {
    newId,
    emit,
    items,
    shown,

    /** A new item, at the end: where it stands. */
    add(item: Item): number {
      const index = items.push(item) - 1;
      emit('response.output_item.added', { output_index: index, item });
      return index;
    },

    /** The item as it is for good. */
    finish(index: number, item: Item) {
      items[index] = item;
      emit('response.output_item.done', { output_index: index, item: shown(item) });
    },

    /** The events since the last time. */
    take(): ResponseEvent[] {
      const taken = events;
      events = [];
      return taken;
    },
  };
}

/** A thought without what only a later request needs. */
export function withoutSeal(item: Item): Item {
  if (item.type !== 'reasoning') return item;
  const { encrypted_content: _sealed, ...rest } = item;
  return rest;
}
