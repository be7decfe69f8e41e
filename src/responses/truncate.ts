import type { Item } from '../protocols/openai-responses.ts';
import { boundaries } from './boundaries.ts';
import { isInstruction, isUserMessage } from './items.ts';
import { estimateTokens } from './size.ts';

/**
 * `truncation: auto`: the items without the oldest, so that about `share` of their tokens remains. Instructions stay, and so does
 * everything from the last message of the user on. Undefined when nothing can go.
 */
export function dropOldest(items: readonly Item[], share: number): Item[] | undefined {
  const instructions = items.filter(isInstruction);
  const rest = items.filter((item) => !isInstruction(item));
  const lastUser = rest.findLastIndex(isUserMessage);
  const cuts = boundaries(rest).filter((cut) => lastUser === -1 || cut <= lastUser);
  const goal = estimateTokens(rest) * share;
  const cut = cuts.find((position) => estimateTokens(rest.slice(position)) <= goal) ?? cuts.at(-1);
  return cut === undefined ? undefined : [...instructions, ...rest.slice(cut)];
}
