/** Whole requests of the Responses API ⇄ neutral requests. Pure. */
import type { ChatRequest, Message, ResponseFormat, Tool, ToolChoice } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { defined } from '../../lib/defined.ts';
import { decodeInput, refuseForeignItems } from './input.ts';
import { decodeItems, encodeMessages, foreignReasoning, type OpenReasoning } from './messages.ts';
import { decodeSettings, neutralSettings, refuseForeignSettings, type Settings } from './settings.ts';
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
  const settings = decodeSettings(body);
  refuseForeignSettings(settings);
  return chatRequest(settings, complete);
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
  const text = defined({
    format: request.responseFormat && encodeFormat(request.responseFormat),
    verbosity: request.verbosity,
  });
  return {
    model: request.model,
    input: encodeMessages(request.messages),
    stream: request.stream,
    store: false,
    ...defined({
      tools: tools.length > 0 ? tools : undefined,
      tool_choice: request.toolChoice && encodeToolChoice(request.toolChoice),
      parallel_tool_calls: request.parallelToolCalls,
      max_output_tokens: request.maxTokens,
      temperature: request.temperature,
      top_p: request.topP,
      top_logprobs: request.topLogprobs,
      text: Object.keys(text).length > 0 ? text : undefined,
      reasoning: request.reasoning && defined({ effort: request.reasoning.effort, summary: request.reasoning.summary }),
      prompt_cache_key: request.cacheKey,
      safety_identifier: request.user,
      metadata: request.metadata,
      service_tier: request.serviceTier,
      include: include.length > 0 ? include : undefined,
    }),
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
