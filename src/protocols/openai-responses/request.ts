/** Whole requests of the Responses API ⇄ neutral requests. Pure. */
import type { ChatRequest, Message, ResponseFormat, Tool, ToolChoice } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { decodeInput, refuseForeignItems } from './input.ts';
import { decodeItems, encodeMessages, foreignReasoning, type OpenReasoning } from './messages.ts';
import { decodeSettings, neutralSettings, type Settings } from './settings.ts';
import type { Item } from './wire.ts';

/**
 * Body of a request that stands alone (no stored state) → neutral request.
 * Throws invalid_request or unsupported_parameter naming the field.
 */
export function decodeRequest(body: JsonObject): ChatRequest {
  let count = 0;
  const items = decodeInput(body['input'], (prefix) => `${prefix}_${count++}`);
  const complete = items.filter((item) => item.type !== 'item_reference');
  if (complete.length < items.length)
    throw new ViaductError('invalid_request', 'An item_reference needs a stored item.', { param: 'input' });
  refuseForeignItems(complete);
  return chatRequest(decodeSettings(body), complete);
}

/** Settings and the whole context → neutral request. Instructions go first, as a system message. */
export function chatRequest(
  settings: Settings,
  context: readonly Item[],
  openReasoning: OpenReasoning = foreignReasoning,
  before: readonly Message[] = [],
): ChatRequest {
  const { instructions } = settings;
  const system: Message[] = instructions ? [{ role: 'system', parts: [{ type: 'text', text: instructions }] }] : [];
  return { ...neutralSettings(settings), messages: [...system, ...before, ...decodeItems(context, openReasoning)] };
}

/**
 * Neutral request → body for a provider of this protocol. Nothing is stored there: the context always travels whole.
 * `extras` of this protocol (hosted tools, includes) go along.
 */
export function encodeRequest(request: ChatRequest): JsonObject {
  const { tools: hosted, include: included, ...extras } = request.extras?.['openai-responses'] ?? {};
  const tools = [...(request.tools ?? []).map(encodeTool), ...(Array.isArray(hosted) ? hosted : [])];
  const include = [
    ...(Array.isArray(included) ? included : []),
    ...(request.logprobs ? ['message.output_text.logprobs'] : []),
  ];
  const text = {
    ...(request.responseFormat && { format: encodeFormat(request.responseFormat) }),
    ...(request.verbosity && { verbosity: request.verbosity }),
  };
  const { reasoning } = request;
  return {
    model: request.model,
    input: encodeMessages(request.messages),
    stream: request.stream,
    store: false,
    ...(tools.length > 0 && { tools }),
    ...(request.toolChoice && { tool_choice: encodeToolChoice(request.toolChoice) }),
    ...(request.parallelToolCalls !== undefined && { parallel_tool_calls: request.parallelToolCalls }),
    ...(request.maxTokens !== undefined && { max_output_tokens: request.maxTokens }),
    ...(request.temperature !== undefined && { temperature: request.temperature }),
    ...(request.topP !== undefined && { top_p: request.topP }),
    ...(request.topLogprobs !== undefined && { top_logprobs: request.topLogprobs }),
    ...(Object.keys(text).length > 0 && { text }),
    ...(reasoning && {
      reasoning: {
        ...(reasoning.effort && { effort: reasoning.effort }),
        ...(reasoning.summary && { summary: reasoning.summary }),
      },
    }),
    ...(request.cacheKey && { prompt_cache_key: request.cacheKey }),
    ...(request.user && { safety_identifier: request.user }),
    ...(request.metadata && { metadata: request.metadata }),
    ...(request.serviceTier && { service_tier: request.serviceTier }),
    ...(include.length > 0 && { include }),
    ...extras,
  };
}

function encodeTool({ name, description, parameters, strict }: Tool): JsonObject {
  return {
    type: 'function',
    name,
    ...(description && { description }),
    parameters: parameters ?? { type: 'object', properties: {} },
    // Left out, the provider would take `true` and refuse schemas that are not written for it.
    strict: strict ?? false,
  };
}

function encodeToolChoice(choice: ToolChoice): Json {
  if (typeof choice === 'string') return choice;
  if ('name' in choice) return { type: 'function', name: choice.name };
  return {
    type: 'allowed_tools',
    mode: choice.mode,
    tools: choice.allowed.map((name) => ({ type: 'function', name })),
  };
}

function encodeFormat(format: ResponseFormat): JsonObject {
  switch (format.type) {
    case 'text':
      return { type: 'text' };
    case 'json':
      return { type: 'json_object' };
    case 'json-schema':
      return {
        type: 'json_schema',
        name: format.name,
        schema: format.schema,
        ...(format.description && { description: format.description }),
        ...(format.strict !== undefined && { strict: format.strict }),
      };
    default:
      return format satisfies never;
  }
}
