/** Where a conversation may be cut. */
import type { Item } from '../protocols/openai-responses.ts';
import { isCall, isOutput } from './items.ts';

/**
 * Positions at which the items before and after stand alone, in ascending order: no call is parted from its output, no thought
 * from what it led to. A conversation of n items may be cut at 1 … n-1.
 */
export function boundaries(items: readonly Item[]): number[] {
  const answeredAt = new Map<string, number>();
  for (const [index, item] of items.entries()) if (isOutput(item)) answeredAt.set(item.call_id, index);
  const cuts: number[] = [];
  let openUntil = -1;
  for (const [index, item] of items.entries()) {
    const previous = items[index - 1];
    if (index > 0 && index > openUntil && previous?.type !== 'reasoning' && !isOutput(item)) cuts.push(index);
    // A call that nobody has answered yet stays with all that follows.
    if (isCall(item)) openUntil = Math.max(openUntil, answeredAt.get(item.call_id) ?? items.length);
  }
  return cuts;
}
