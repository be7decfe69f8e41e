/** How an answer in JSON is asked for. Source: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html (read 2026-11) */
import type { ChatRequest } from '../../core/chat.ts';
import type { JsonObject } from '../../core/json.ts';
import { claudeTraits } from '../anthropic-messages/claude.ts';
import { toldFormat } from '../told-format.ts';

/** `outputConfig` for models that keep to a schema; for the others, and for JSON without one, an instruction at the end of the system prompt. */
export function encodeFormat({ responseFormat: format, model }: ChatRequest): {
  outputConfig?: JsonObject;
  instruction?: string;
} {
  if (!format || format.type === 'text') return {};
  if (format.type === 'json' || !keepsToSchemas(model)) return { instruction: toldFormat(format) };
  const { name, schema, description } = format;
  const jsonSchema = { name, schema: JSON.stringify(schema), ...(description && { description }) };
  return { outputConfig: { textFormat: { type: 'json_schema', structure: { jsonSchema } } } };
}

/** Families that refuse `outputConfig`; what is new is taken to know it. */
const olderFamilies =
  /nova|titan|llama|command|jamba|j2-|palmyra|deepseek\.r1|mi[sx]tral-(7b|8x7b|small|large-24)|pixtral/;

const keepsToSchemas = (model: string) =>
  model.includes('claude') ? claudeTraits(model).structured : !olderFamilies.test(model);
