/** What a request says about the slot it should get: its key, and the texts that its prompt will be made of. */
import type { AssistantPart, ChatRequest, UserPart } from '../../core/chat.ts';
import type { SlotWish } from '../../engine/slots.ts';

/** The texts are the request's own, not copies: they are only compared with those of other requests. */
export function slotWish(request: ChatRequest): SlotWish {
  const { cacheKey, local, tools, messages } = request;
  const prompt = tools ? [tools.map(({ name }) => name).join(' ')] : [];
  if (local?.promptTokens) prompt.push(local.promptTokens.join(' '));
  else for (const { role, parts } of messages) for (const part of parts) prompt.push(role, textOf(part));
  const key = cacheKey !== undefined ? `key ${cacheKey}` : local?.session && `session ${local.session}`;
  return { key, prompt };
}

function textOf(part: UserPart | AssistantPart): string {
  switch (part.type) {
    case 'text':
    case 'refusal':
    case 'reasoning':
      return part.text;
    case 'tool-call':
      return part.arguments;
    default:
      // Media are not worth being kept for a comparison.
      return part.type;
  }
}
