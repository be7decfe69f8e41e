/** Body of POST /v1/chat/completions → neutral request. Source: https://platform.openai.com/docs/api-reference/chat/create */
import { z } from 'zod';
import type { ChatRequest, ReasoningEffort, ResponseFormat, Tool, ToolChoice } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { decodeLocal, decodeLocalSampling, localFields, present } from '../local-options.ts';
import { checkBody } from '../openai-body.ts';
import { jsonObject } from '../validate.ts';
import { customTool, decodeCustomTool } from './custom-tools.ts';
import { decodeMessages, wireMessage } from './decode-messages.ts';

const effort = z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']);

const functionTool = z.object({
  name: z.string().min(1).max(256),
  description: z.string().nullish(),
  parameters: jsonObject.nullish(),
  strict: z.boolean().nullish(),
});

const tool = z.object({
  type: z.enum(['function', 'custom']),
  function: functionTool.optional(),
  custom: customTool.optional(),
  cache_control: z.object({ ttl: z.enum(['5m', '1h']).nullish() }).nullish(),
});

const named = z.object({ name: z.string() });
const namedTool = z.discriminatedUnion('type', [
  z.object({ type: z.literal('function'), function: named }),
  z.object({ type: z.literal('custom'), custom: named }),
]);

const toolChoice = z.union([
  z.enum(['none', 'auto', 'required', 'any']),
  namedTool,
  z.object({
    type: z.literal('allowed_tools'),
    allowed_tools: z.object({
      mode: z.enum(['auto', 'required']),
      tools: z.array(namedTool),
    }),
  }),
]);

const responseFormat = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    json_schema: z.object({
      name: z.string().min(1),
      description: z.string().nullish(),
      schema: jsonObject,
      strict: z.boolean().nullish(),
    }),
  }),
]);

const mostTools = 1024;
const tokenLimit = z.number().int().min(-1).nullish();
const penalty = z.number().min(-2).max(2).nullish();

/** What a body must be. */
export const wireRequest = z.object({
  model: z.string().min(1),
  messages: z.array(wireMessage).min(1),
  stream: z.boolean().nullish(),
  stream_options: z
    .object({ include_usage: z.boolean().nullish(), include_obfuscation: z.boolean().nullish() })
    .nullish(),
  tools: z.array(tool).max(mostTools).nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  functions: z.array(functionTool).max(mostTools).nullish(),
  function_call: z.union([z.enum(['none', 'auto']), named]).nullish(),
  response_format: responseFormat.nullish(),
  max_completion_tokens: tokenLimit,
  max_tokens: tokenLimit,
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  frequency_penalty: penalty,
  presence_penalty: penalty,
  seed: z.number().refine(Number.isInteger, { error: 'must be an integer' }).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.number().int().min(0).max(20).nullish(),
  logit_bias: z.record(z.string().regex(/^\d+$/), z.number().min(-100).max(100)).nullish(),
  n: z.number().int().min(1).max(128).nullish(),
  reasoning_effort: effort.nullish(),
  reasoning: z
    .object({
      effort: effort.nullish(),
      max_tokens: z.number().int().min(0).nullish(),
      enabled: z.boolean().nullish(),
      exclude: z.boolean().nullish(),
      summary: z.enum(['auto', 'concise', 'detailed']).nullish(),
    })
    .nullish(),
  think: z.union([z.boolean(), effort]).nullish(),
  verbosity: z.enum(['low', 'medium', 'high']).nullish(),
  prompt_cache_key: z.string().nullish(),
  user: z.string().nullish(),
  metadata: z.record(z.string().max(64), z.string().max(512)).nullish(),
  service_tier: z.string().nullish(),
  store: z.boolean().nullish(),
  modalities: z.array(z.string()).nullish(),
  audio: jsonObject.nullish(),
  web_search_options: jsonObject.nullish(),
  moderation: jsonObject.nullish(),
  ...localFields,
});

type WireRequest = z.infer<typeof wireRequest>;

/**
 * Body → request. Unknown fields are kept in `extras` for upstreams of this protocol. Throws invalid_request with `param` as OpenAI
 * writes it, and unsupported_parameter for what only OpenAI itself can do and what would change the answer.
 */
export function decodeRequest(body: JsonObject): ChatRequest {
  const wire = checkBody(wireRequest, body);
  refuseUnsupported(wire);
  const tools = decodeTools(wire);
  const maxTokens = wire.max_completion_tokens ?? wire.max_tokens;
  return present({
    ...decodeLocalSampling(wire),
    ...present({
      // -1 is what llama.cpp's and LM Studio's clients send for "no limit".
      maxTokens: maxTokens === -1 ? undefined : positive(maxTokens, wire),
      temperature: wire.temperature,
      topP: wire.top_p,
      frequencyPenalty: wire.frequency_penalty,
      presencePenalty: wire.presence_penalty,
      seed: wire.seed,
      stop: decodeStop(wire.stop),
    }),
    model: wire.model,
    messages: decodeMessages(wire.messages),
    stream: wire.stream ?? false,
    tools,
    toolChoice: decodeToolChoice(wire, tools),
    parallelToolCalls: wire.parallel_tool_calls,
    responseFormat: wire.response_format && decodeFormat(wire.response_format),
    logprobs: wire.logprobs,
    topLogprobs: wire.top_logprobs,
    logitBias: wire.logit_bias,
    n: wire.n,
    reasoning: decodeReasoning(wire),
    verbosity: wire.verbosity,
    cacheKey: wire.prompt_cache_key,
    user: wire.user,
    metadata: wire.metadata,
    serviceTier: wire.service_tier,
    local: decodeLocal(wire),
    extras: extrasOf(body),
  }) as ChatRequest;
}

function refuseUnsupported({ modalities, audio, web_search_options, moderation, logprobs, top_logprobs }: WireRequest) {
  if (modalities?.some((modality) => modality !== 'text' && modality !== 'image'))
    throw unsupported('modalities', 'Only text and pictures come out');
  if (audio) throw unsupported('audio', 'Only text comes out');
  if (web_search_options) throw unsupported('web_search_options', 'No web search is made');
  if (moderation) throw unsupported('moderation', 'Nothing is moderated');
  if (top_logprobs && !logprobs)
    throw new ViaductError('invalid_request', "'top_logprobs' is only allowed when 'logprobs' is true.", {
      param: 'top_logprobs',
    });
}

function unsupported(param: string, why: string) {
  return new ViaductError('unsupported_parameter', `'${param}' is not supported for this model. ${why}.`, { param });
}

function positive(maxTokens: number | null | undefined, wire: WireRequest): number | undefined {
  if (maxTokens !== 0) return maxTokens ?? undefined;
  const param = wire.max_completion_tokens === 0 ? 'max_completion_tokens' : 'max_tokens';
  throw new ViaductError('invalid_request', `Invalid value for '${param}': 0 is below the minimum of 1.`, { param });
}

function decodeStop(stop: WireRequest['stop']): string[] | undefined {
  const list = (typeof stop === 'string' ? [stop] : (stop ?? [])).filter((text) => text !== '');
  return list.length > 0 ? list : undefined;
}

function decodeTools({ tools, functions }: WireRequest): Tool[] | undefined {
  const list = (tools ?? []).map((entry, at): Tool => {
    const { ttl } = entry.cache_control ?? {};
    return { ...decodeTool(entry, at), ...(entry.cache_control && { cache: ttl ? { ttl } : {} }) };
  });
  list.push(...(functions ?? []).map(decodeFunction));
  return list.length > 0 ? list : undefined;
}

function decodeTool(entry: z.infer<typeof tool>, at: number): Tool {
  if (entry.type === 'function' && entry.function) return decodeFunction(entry.function);
  if (entry.type === 'custom' && entry.custom) return decodeCustomTool(entry.custom);
  const param = `tools[${at}].${entry.type}`;
  throw new ViaductError('invalid_request', `Missing required parameter: '${param}'.`, { param });
}

const decodeFunction = ({ name, description, parameters, strict }: z.infer<typeof functionTool>): Tool =>
  present({ name, description, parameters, strict }) as Tool;

function decodeToolChoice(wire: WireRequest, tools: Tool[] | undefined): ToolChoice | undefined {
  const param = wire.tool_choice ? 'tool_choice' : 'function_call';
  const choice = decodeChoice(wire.tool_choice ?? wire.function_call ?? undefined);
  if (choice === undefined) return undefined;
  const names = typeof choice === 'string' ? [] : 'name' in choice ? [choice.name] : choice.allowed;
  if (!tools) {
    if (choice === 'none' || choice === 'auto') return undefined;
    throw new ViaductError('invalid_request', `'${param}' is only allowed when 'tools' are specified.`, { param });
  }
  for (const name of names)
    if (!tools.some((tool) => tool.name === name))
      throw new ViaductError('invalid_request', `Invalid value for '${param}': there is no tool named '${name}'.`, {
        param,
      });
  return choice;
}

function decodeChoice(choice: NonNullable<WireRequest['tool_choice'] | WireRequest['function_call']> | undefined) {
  if (choice === undefined || typeof choice === 'string') return choice === 'any' ? 'required' : choice;
  if ('name' in choice) return { name: choice.name };
  if (choice.type !== 'allowed_tools') return { name: nameOf(choice) };
  const { mode, tools } = choice.allowed_tools;
  return { allowed: tools.map(nameOf), mode };
}

const nameOf = (choice: z.infer<typeof namedTool>) =>
  choice.type === 'function' ? choice.function.name : choice.custom.name;

function decodeFormat(format: z.infer<typeof responseFormat>): ResponseFormat {
  if (format.type === 'text') return { type: 'text' };
  if (format.type === 'json_object') return { type: 'json' };
  const { name, schema, strict, description } = format.json_schema;
  return { type: 'json-schema', name, schema, ...present({ strict, description }) };
}

/** Four ways to ask for thought: OpenAI's effort, OpenRouter's object, Ollama's `think`. */
function decodeReasoning({ reasoning_effort, reasoning, think }: WireRequest): ChatRequest['reasoning'] {
  const off = reasoning?.enabled === false || think === false;
  const word = reasoning_effort ?? reasoning?.effort ?? (typeof think === 'string' ? think : undefined);
  const level = off ? 'none' : word && knownEffort(word);
  const on = reasoning?.enabled === true || think === true;
  if (!level && !on && !reasoning?.max_tokens && !reasoning?.summary) return undefined;
  return present({ effort: level, budgetTokens: reasoning?.max_tokens, summary: reasoning?.summary }) as NonNullable<
    ChatRequest['reasoning']
  >;
}

const knownEffort = (word: z.infer<typeof effort>): ReasoningEffort => (word === 'max' ? 'xhigh' : word);

/** Read by the door and the gateway (OpenRouter's routing), not a matter of the model. */
const doorFields = new Set(['stream_options', 'store', 'models', 'provider']);

function extrasOf(body: JsonObject): ChatRequest['extras'] {
  const unknown = Object.entries(body).filter(
    ([key, value]) => !(key in wireRequest.shape) && !doorFields.has(key) && value !== null,
  );
  return unknown.length > 0 ? { 'openai-chat': Object.fromEntries(unknown) as { [key: string]: Json } } : undefined;
}
