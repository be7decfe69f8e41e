/** The body of POST /v1/responses, all fields but `input`: checked, typed, and turned into neutral settings. Pure. */
import { z } from 'zod';
import type { ChatRequest, LocalOptions, ResponseFormat, Tool, ToolChoice } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { defined } from '../../lib/defined.ts';
import { checkBody } from '../openai-body.ts';
import { jsonObject } from '../validate.ts';

const functionTool = z.object({
  type: z.literal('function'),
  name: z.string().regex(/^[a-zA-Z0-9_.-]{1,128}$/, 'must be 1 to 128 letters, digits, _ or -'),
  description: z.string().nullish(),
  parameters: jsonObject.nullish(),
  strict: z.boolean().nullish(),
});
const customTool = z.object({
  type: z.literal('custom'),
  name: z.string().min(1).max(128),
  description: z.string().nullish(),
  format: jsonObject.nullish(),
});

/** Up to 16 pairs that a client keeps with an object. */
export const metadata = z
  .record(z.string().max(64), z.string().max(512))
  .refine((pairs) => Object.keys(pairs).length <= 16, 'it takes at most 16 pairs');

/** An id as a client sends it back. */
export const givenId = z
  .string()
  .min(1)
  .max(256)
  .refine((id) => !id.includes('\0'), 'an id holds no NUL character');

/** The body of a request; `input` is checked item by item, see input.ts. */
export const wireRequest = z.object({
  input: z.unknown().optional().describe('A text, or a list of items'),
  model: z.string({ error: "you must provide a 'model'" }).min(1).max(512),
  instructions: z.string().nullish(),
  previous_response_id: givenId.nullish(),
  conversation: z.union([givenId, z.object({ id: givenId })]).nullish(),
  stream: z.boolean().nullish(),
  background: z.boolean().nullish(),
  store: z.boolean().nullish(),
  include: z.array(z.string()).nullish(),
  tools: z
    .array(z.looseObject({ type: z.string() }))
    .max(1024)
    .nullish(),
  tool_choice: z.union([z.string(), z.looseObject({ type: z.string() })]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  max_tool_calls: z.number().int().min(1).nullish(),
  max_output_tokens: z.number().int().min(1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  top_logprobs: z.number().int().min(0).max(20).nullish(),
  text: z
    .object({
      format: z.looseObject({ type: z.string() }).nullish(),
      verbosity: z.enum(['low', 'medium', 'high']).nullish(),
    })
    .nullish(),
  reasoning: z
    .object({
      effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max']).nullish(),
      summary: z.enum(['auto', 'concise', 'detailed']).nullish(),
      generate_summary: z.enum(['auto', 'concise', 'detailed']).nullish(),
    })
    .nullish(),
  truncation: z.enum(['auto', 'disabled']).nullish(),
  context_management: z
    .array(z.object({ type: z.literal('compaction'), compact_threshold: z.number().int().min(1000).nullish() }))
    .max(1)
    .nullish(),
  metadata: metadata.nullish(),
  service_tier: z.string().max(64).nullish(),
  prompt_cache_key: z.string().max(256).nullish(),
  safety_identifier: z.string().max(256).nullish(),
  user: z.string().nullish(),
  prompt: z.unknown().optional(),
  moderation: z.unknown().optional(),
  /** Extensions, through the SDKs' extra_body: what Ollama and llama.cpp take. */
  options: jsonObject.nullish(),
  keep_alive: z.union([z.number(), z.string()]).nullish(),
  top_k: z.number().int().min(0).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  seed: z.number().int().nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
});

const stateless = { model: true, input: true, previous_response_id: true, instructions: true } as const;
const local = { options: true, keep_alive: true } as const;

/** What counts for POST /v1/responses/compact. */
export const compactRequest = wireRequest.pick({ ...stateless, prompt_cache_key: true, ...local });

/** What counts for POST /v1/responses/input_tokens. */
export const inputTokensRequest = wireRequest.pick({
  ...stateless,
  conversation: true,
  tools: true,
  tool_choice: true,
  parallel_tool_calls: true,
  text: true,
  reasoning: true,
  ...local,
});

/** Checked settings of a request. */
export type Settings = z.infer<typeof wireRequest>;

const logprobsInclude = 'message.output_text.logprobs';
const includable = [
  'file_search_call.results',
  'web_search_call.results',
  'web_search_call.action.sources',
  'message.input_image.image_url',
  'computer_call_output.output.image_url',
  'code_interpreter_call.outputs',
  'reasoning.encrypted_content',
  logprobsInclude,
];

/** Throws invalid_request or unsupported_parameter naming the field. Fields that change nothing are ignored. */
export function decodeSettings(wire: JsonObject): Settings {
  const settings = checkBody(wireRequest, wire);
  for (const [index, include] of (settings.include ?? []).entries())
    if (!includable.includes(include))
      throw new ViaductError(
        'invalid_request',
        `'${include}' cannot be included. Supported: ${includable.join(', ')}.`,
        {
          param: `include[${index}]`,
        },
      );
  if (settings.previous_response_id && settings.conversation)
    throw new ViaductError('invalid_request', "Send 'previous_response_id' or 'conversation', not both.", {
      param: 'previous_response_id',
    });
  // Their shape is checked here, so that a bad tool is the client's error before anything runs.
  decodeTools(settings);
  decodeToolChoice(settings);
  decodeFormat(settings);
  return settings;
}

/** The neutral request of these settings, without messages. */
export function neutralSettings(settings: Settings): Omit<ChatRequest, 'messages'> {
  const { tools, hosted } = decodeTools(settings);
  const include = settings.include?.filter((entry) => entry !== logprobsInclude) ?? [];
  const extras = { ...(hosted.length > 0 && { tools: hosted }), ...(include.length > 0 && { include }) };
  const wantsLogprobs = include.length < (settings.include?.length ?? 0) || (settings.top_logprobs ?? 0) > 0;
  return {
    model: settings.model,
    stream: settings.stream ?? false,
    ...defined({
      tools: tools.length > 0 ? tools : undefined,
      toolChoice: decodeToolChoice(settings),
      parallelToolCalls: settings.parallel_tool_calls,
      responseFormat: decodeFormat(settings),
      maxTokens: settings.max_output_tokens,
      temperature: settings.temperature,
      topP: settings.top_p,
      presencePenalty: settings.presence_penalty,
      frequencyPenalty: settings.frequency_penalty,
      topK: settings.top_k,
      seed: settings.seed,
      stop: settings.stop == null ? undefined : [settings.stop].flat(),
      logprobs: wantsLogprobs || undefined,
      topLogprobs: wantsLogprobs ? settings.top_logprobs : undefined,
      reasoning: decodeReasoning(settings),
      verbosity: settings.text?.verbosity,
      cacheKey: settings.prompt_cache_key,
      user: settings.safety_identifier ?? settings.user,
      metadata: settings.metadata,
      serviceTier: settings.service_tier,
      local: decodeLocal(settings),
      extras: Object.keys(extras).length > 0 ? { 'openai-responses': extras } : undefined,
    }),
  };
}

function decodeReasoning({ reasoning }: Settings): ChatRequest['reasoning'] | undefined {
  if (!reasoning) return undefined;
  const { effort, summary, generate_summary } = reasoning;
  return defined({ effort: effort === 'max' ? 'xhigh' : effort, summary: summary ?? generate_summary });
}

/** True when the client wants to read a summary of the thoughts instead of the thoughts. */
export const wantsSummary = ({ reasoning }: Settings) => (reasoning?.summary ?? reasoning?.generate_summary) != null;

/** Throws unsupported_capability for the first tool that only a provider of this protocol runs itself: searches, code, MCP. */
export function refuseHostedTools({ tools }: Settings): void {
  const index = (tools ?? []).findIndex(({ type }) => type !== 'function' && type !== 'custom');
  if (index === -1) return;
  const message = `Tools of type '${tools?.[index]?.type}' run at the provider, and this model's provider has none.`;
  throw new ViaductError('unsupported_capability', message, { param: `tools[${index}].type` });
}

/** Throws unsupported_parameter for what only a provider of this protocol keeps or does. */
export function refuseForeignSettings({ prompt, moderation }: Settings): void {
  if (prompt != null)
    throw new ViaductError('unsupported_parameter', 'Prompt templates are not kept here: send their text as input.', {
      param: 'prompt',
    });
  if (moderation != null)
    throw new ViaductError('unsupported_parameter', "This model's provider does not moderate what it is sent.", {
      param: 'moderation',
    });
}

/** Names of the tools that take free text instead of JSON. The model sees them as functions with one text, `input`. */
export function customToolNames(settings: Settings): Set<string> {
  return new Set(
    (settings.tools ?? []).flatMap(({ type, name }) => (type === 'custom' && typeof name === 'string' ? [name] : [])),
  );
}

/** Tools that we can put before any model, and those that only a provider of this protocol runs itself. */
function decodeTools({ tools }: Settings): { tools: Tool[]; hosted: JsonObject[] } {
  const ours: Tool[] = [];
  const hosted: JsonObject[] = [];
  const names = new Set<string>();
  for (const [index, tool] of (tools ?? []).entries()) {
    const place = `tools[${index}]`;
    if (tool.type === 'function') {
      const { name, description, parameters, strict } = checkBody(functionTool, tool, place);
      ours.push({
        name,
        ...(description && { description }),
        ...(parameters && { parameters }),
        ...(strict && { strict }),
      });
    } else if (tool.type === 'custom') {
      const { name, description, format } = checkBody(customTool, tool, place);
      const grammar = format?.['definition'];
      const hint =
        typeof grammar === 'string'
          ? `${description ?? ''}\nThe input must match this grammar:\n${grammar}`
          : description;
      ours.push({
        name,
        ...(hint && { description: hint }),
        parameters: {
          type: 'object',
          properties: { input: { type: 'string' } },
          required: ['input'],
          additionalProperties: false,
        },
      });
    } else {
      hosted.push(tool as JsonObject);
      continue;
    }
    const { name } = ours.at(-1) as Tool;
    if (names.has(name))
      throw new ViaductError('invalid_request', `Two tools have the name '${name}'.`, { param: `${place}.name` });
    names.add(name);
  }
  return { tools: ours, hosted };
}

const modes = ['none', 'auto', 'required'] as const;
const isMode = (value: unknown): value is (typeof modes)[number] => modes.some((mode) => mode === value);

function decodeToolChoice({ tool_choice: choice, tools }: Settings): ToolChoice | undefined {
  if (choice == null || choice === 'auto') return undefined;
  const known = (name: unknown, param: string) => {
    if (typeof name === 'string' && tools?.some((tool) => tool['name'] === name)) return name;
    throw new ViaductError('invalid_request', `Tool choice '${String(name)}' is not among 'tools'.`, { param });
  };
  if (isMode(choice)) {
    if (choice === 'required' && !tools?.length)
      throw new ViaductError('invalid_request', "Tool choice 'required' needs 'tools'.", { param: 'tool_choice' });
    return choice;
  }
  if (typeof choice === 'string')
    throw new ViaductError('invalid_request', `'tool_choice' must be none, auto, required or an object.`, {
      param: 'tool_choice',
    });
  switch (choice.type) {
    case 'function':
    case 'custom':
      return { name: known(choice['name'], 'tool_choice.name') };
    case 'allowed_tools': {
      const list = choice['tools'];
      if (!Array.isArray(list) || list.length === 0)
        throw new ViaductError('invalid_request', "'allowed_tools' needs a list of tools.", {
          param: 'tool_choice.tools',
        });
      const allowed = list.map((tool, index) =>
        known((tool as JsonObject | null)?.['name'], `tool_choice.tools[${index}].name`),
      );
      return { allowed, mode: choice['mode'] === 'required' ? 'required' : 'auto' };
    }
    default:
      if (tools?.some(({ type }) => type === choice.type)) return undefined; // a hosted tool: its provider reads it
      throw new ViaductError('invalid_request', `Tool choice '${choice.type}' is not among 'tools'.`, {
        param: 'tool_choice.type',
      });
  }
}

const jsonSchema = z.object({
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, _ or -'),
  schema: jsonObject,
  strict: z.boolean().nullish(),
  description: z.string().nullish(),
});

function decodeFormat({ text }: Settings): ResponseFormat | undefined {
  const format = text?.format;
  if (!format || format.type === 'text') return undefined;
  if (format.type === 'json_object') return { type: 'json' };
  if (format.type === 'json_schema') {
    const { name, schema, strict, description } = checkBody(jsonSchema, format, 'text.format');
    return {
      type: 'json-schema',
      name,
      schema,
      ...(strict != null && { strict }),
      ...(description && { description }),
    };
  }
  throw new ViaductError('invalid_request', "'text.format.type' must be text, json_object or json_schema.", {
    param: 'text.format.type',
  });
}

/** Ollama's `options` and `keep_alive`, llama.cpp's `min_p`. */
function decodeLocal({ options, keep_alive, min_p }: Settings): LocalOptions | undefined {
  const numCtx = options?.['num_ctx'];
  if (numCtx !== undefined && !(typeof numCtx === 'number' && Number.isInteger(numCtx) && numCtx > 0))
    throw new ViaductError('invalid_request', "'options.num_ctx' must be a whole number above 0.", {
      param: 'options.num_ctx',
    });
  const local: LocalOptions = {
    ...(numCtx !== undefined && { numCtx: numCtx as number }),
    ...(keep_alive != null && { keepAlive: seconds(keep_alive) }),
    ...(min_p != null && { minP: min_p }),
  };
  return Object.keys(local).length > 0 ? local : undefined;
}

const units: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** A number of seconds, or a Go duration as Ollama takes it: `10m`, `1h30m`, `-1`. */
function seconds(value: number | string): number {
  if (typeof value === 'number') return value;
  if (/^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== value.replace(/^-/, ''))
    throw new ViaductError('invalid_request', "'keep_alive' must be seconds or a duration such as 5m.", {
      param: 'keep_alive',
    });
  const total = parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (units[unit ?? ''] ?? 0), 0);
  return value.startsWith('-') ? -total : total;
}
