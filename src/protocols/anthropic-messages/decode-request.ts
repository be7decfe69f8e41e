/** Body of POST /v1/messages → ChatRequest. */
import { z } from 'zod';
import type { ChatRequest, ReasoningEffort, Tool, ToolChoice } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { invalid, jsonObject, validate } from '../validate.ts';
import { cacheMark, decodeMessages, decodeSystem, wireMessage } from './decode-messages.ts';

/** Body of a request. Only the fields we read; the others are kept for Anthropic (`extras`), so the API may grow without us. */
export const wireRequest = z.looseObject({
  model: z.string().min(1),
  messages: z.array(wireMessage).min(1, 'at least one message is required'),
  max_tokens: z.int().min(1).nullish(),
  system: z.unknown().optional(),
  stream: z.boolean().nullish(),
  temperature: z.number().min(0).max(1).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(0).nullish(),
  stop_sequences: z.array(z.string()).nullish(),
  tools: z.array(z.looseObject({ type: z.string().nullish() })).nullish(),
  tool_choice: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('auto'), disable_parallel_tool_use: z.boolean().nullish() }),
      z.object({ type: z.literal('any'), disable_parallel_tool_use: z.boolean().nullish() }),
      z.object({ type: z.literal('tool'), name: z.string(), disable_parallel_tool_use: z.boolean().nullish() }),
      z.object({ type: z.literal('none') }),
    ])
    .nullish(),
  thinking: z.looseObject({ type: z.string() }).nullish(),
  output_config: z
    .looseObject({
      effort: z.enum(['low', 'medium', 'high', 'xhigh', 'max']).nullish(),
      format: z.looseObject({ type: z.literal('json_schema'), schema: jsonObject }).nullish(),
    })
    .nullish(),
  metadata: z.looseObject({ user_id: z.string().nullish() }).nullish(),
  service_tier: z.string().nullish(),
});
type WireRequest = z.infer<typeof wireRequest>;

const customTool = z.looseObject({
  name: z.string().min(1).max(128),
  description: z.string().nullish(),
  input_schema: jsonObject,
  strict: z.boolean().nullish(),
  cache_control: cacheMark,
});

const budgetThinking = z.looseObject({
  budget_tokens: z.int().min(1024, 'must be at least 1024'),
  display: z.string().nullish(),
});

/** Fields that `ChatRequest` has a place for. */
const known = new Set([...Object.keys(wireRequest.shape)]);

/**
 * Body → request. `counting` is for count_tokens, whose body has no `max_tokens`.
 * Throws invalid_request naming the first bad field, unsupported_capability for content that only Anthropic's models understand.
 * Source: https://docs.anthropic.com/en/api/messages
 */
export function decodeRequest(body: JsonObject, { counting = false } = {}): ChatRequest {
  const wire = validate(wireRequest, body);
  if (wire.max_tokens == null && !counting) throw invalid('max_tokens', 'this field is required');
  const tools = decodeTools(wire.tools ?? []);
  const choice = wire.tool_choice;
  const user = wire.metadata?.user_id;
  const effort = wire.output_config?.effort;
  const format = wire.output_config?.format;
  const reasoning = decodeThinking(wire.thinking, effort === 'max' ? 'xhigh' : effort);
  const extras = decodeExtras(wire, tools.hosted);
  return {
    model: wire.model,
    messages: [...decodeSystem(wire.system, 'system'), ...decodeMessages(wire.messages)],
    stream: wire.stream ?? false,
    ...(wire.max_tokens != null && { maxTokens: wire.max_tokens }),
    ...(wire.temperature != null && { temperature: wire.temperature }),
    ...(wire.top_p != null && { topP: wire.top_p }),
    ...(wire.top_k != null && { topK: wire.top_k }),
    ...(wire.stop_sequences?.length && { stop: wire.stop_sequences }),
    ...(tools.custom.length > 0 && { tools: tools.custom }),
    ...(choice && { toolChoice: decodeChoice(choice) }),
    ...(choice && choice.type !== 'none' && choice.disable_parallel_tool_use && { parallelToolCalls: false }),
    ...(reasoning && { reasoning }),
    ...(format && {
      responseFormat: { type: 'json-schema' as const, name: 'output', schema: format.schema, strict: true },
    }),
    ...(user != null && { user }),
    ...(wire.service_tier != null && { serviceTier: wire.service_tier }),
    ...(extras && { extras: { 'anthropic-messages': extras } }),
  };
}

/** Tools the client runs, and the ones Anthropic runs or defines (web_search_…, bash_…). */
function decodeTools(tools: JsonLike[]): { custom: Tool[]; hosted: JsonObject[] } {
  const custom: Tool[] = [];
  const hosted: JsonObject[] = [];
  for (const [index, tool] of tools.entries()) {
    if (tool['type'] != null && tool['type'] !== 'custom') {
      hosted.push(tool as JsonObject);
      continue;
    }
    const { name, description, input_schema, strict, cache_control } = validate(customTool, tool, `tools.${index}`);
    custom.push({
      name,
      ...(description != null && { description }),
      parameters: input_schema,
      ...(strict != null && { strict }),
      ...cache_control,
    });
  }
  return { custom, hosted };
}

function decodeChoice(choice: NonNullable<WireRequest['tool_choice']>): ToolChoice {
  if (choice.type === 'tool') return { name: choice.name };
  return choice.type === 'any' ? 'required' : choice.type;
}

function decodeThinking(
  thinking: WireRequest['thinking'],
  effort: ReasoningEffort | null | undefined,
): ChatRequest['reasoning'] {
  const wished = effort != null && { effort };
  const summary = thinking?.['display'] === 'summarized' && { summary: 'auto' as const };
  switch (thinking?.type) {
    case undefined:
      return wished || undefined;
    case 'disabled':
      return { effort: 'none' };
    case 'enabled':
      return { budgetTokens: validate(budgetThinking, thinking, 'thinking').budget_tokens, ...wished, ...summary };
    default:
      return { ...wished, ...summary };
  }
}

/** What only Anthropic understands: unknown fields, hosted tools, newer kinds of thinking. */
function decodeExtras(wire: WireRequest, hosted: JsonObject[]): JsonObject | undefined {
  const extras: JsonObject = {};
  for (const [name, value] of Object.entries(wire)) if (!known.has(name)) extras[name] = value as Json;
  if (hosted.length > 0) extras['tools'] = hosted;
  const { effort: _effort, format: _format, ...config } = wire.output_config ?? {};
  if (Object.keys(config).length > 0) extras['output_config'] = config as JsonObject;
  if (wire.thinking && !['enabled', 'adaptive', 'disabled'].includes(wire.thinking.type))
    extras['thinking'] = wire.thinking as JsonObject;
  return Object.keys(extras).length > 0 ? extras : undefined;
}

type JsonLike = Record<string, unknown>;

/**
 * For doors: refuse what would be lost when the request goes to a model that does not speak this protocol.
 * Throws unsupported_capability, so that a route may go on to a target that does.
 */
export function refuseHostedTools(request: ChatRequest): ChatRequest {
  const hosted = request.extras?.['anthropic-messages']?.['tools'];
  if (!Array.isArray(hosted) || hosted.length === 0) return request;
  const type = String((hosted[0] as JsonObject)['type']);
  throw new ViaductError(
    'unsupported_capability',
    `The tool "${type}" runs at Anthropic and this model cannot use it. Leave it out, or give it as a custom tool with an input_schema.`,
    { param: 'tools' },
  );
}
