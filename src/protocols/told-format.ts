/** A format of the answer as an instruction, for models that cannot be held to it. */
import type { ResponseFormat } from '../core/chat.ts';

/** `besideTools`: the model may also call a tool, and should not be kept from it. */
export function toldFormat(format: Exclude<ResponseFormat, { type: 'text' }>, besideTools = false): string {
  const answer = besideTools ? 'Unless you call a tool, answer' : 'Answer';
  return format.type === 'json'
    ? `${answer} with one JSON object and nothing else: no explanation, no code fence.`
    : `${answer} with JSON that this JSON Schema allows and nothing else: no explanation, no code fence.\n${JSON.stringify(format.schema)}`;
}
