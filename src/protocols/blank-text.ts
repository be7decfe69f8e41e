import type { AssistantPart } from '../core/chat.ts';

/**
 * Parts of an answer that comes back → the same, with text that is white space alone put to the text before it: Anthropic's models write such
 * between words that they cite, and neither their API nor Bedrock's takes it as a block.
 */
export function joinBlankText(parts: AssistantPart[]): AssistantPart[] {
  if (!parts.some(isBlank)) return parts;
  const joined: AssistantPart[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (isBlank(part) && last?.type === 'text') joined[joined.length - 1] = { ...last, text: last.text + part.text };
    else joined.push(part);
  }
  return joined;
}

const isBlank = (part: AssistantPart): part is Extract<AssistantPart, { type: 'text' }> =>
  part.type === 'text' && part.text.trim() === '' && part.text !== '' && part.cache === undefined;
