/** Kinds of items, as whoever cuts, shortens or summarises a conversation needs to tell them. */
import type { Item } from '../protocols/openai-responses.ts';

type Call = Extract<Item, { type: 'function_call' | 'custom_tool_call' }>;
type Output = Extract<Item, { type: 'function_call_output' | 'custom_tool_call_output' }>;

export const isCall = (item: Item): item is Call => item.type === 'function_call' || item.type === 'custom_tool_call';

/** What a call came to. */
export const isOutput = (item: Item): item is Output =>
  item.type === 'function_call_output' || item.type === 'custom_tool_call_output';

export const isUserMessage = (item: Item | undefined): boolean => item?.type === 'message' && item.role === 'user';

/** Instructions among the items: never summarised, never dropped. */
export const isInstruction = (item: Item): boolean =>
  item.type === 'message' && (item.role === 'system' || item.role === 'developer');
