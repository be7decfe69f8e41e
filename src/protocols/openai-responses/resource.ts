/** The response object around its output: settings echoed, failures named. Pure. */
import type { FinishReason } from '../../core/chat.ts';
import type { ErrorCode, ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { Usage } from '../../core/usage.ts';
import type { Settings } from './settings.ts';
import type { ResponseResource, WireUsage } from './wire.ts';

export type ResourceHead = {
  id: string;
  /** Seconds since 1970. */
  createdAt: number;
  conversationId?: string | undefined;
  store: boolean;
};

/** The object as it is before the model has said anything. */
// biome-ignore lint/complexity/noExcessiveCognitiveComplexity: a list of defaults
export function newResource(
  settings: Settings,
  { id, createdAt, conversationId, store }: ResourceHead,
): ResponseResource {
  const { reasoning, text } = settings;
  return {
    id,
    object: 'response',
    created_at: createdAt,
    completed_at: null,
    status: 'in_progress',
    background: settings.background ?? false,
    error: null,
    incomplete_details: null,
    instructions: settings.instructions ?? null,
    max_output_tokens: settings.max_output_tokens ?? null,
    max_tool_calls: settings.max_tool_calls ?? null,
    model: settings.model,
    output: [],
    parallel_tool_calls: settings.parallel_tool_calls ?? true,
    previous_response_id: settings.previous_response_id ?? null,
    conversation: conversationId === undefined ? null : { id: conversationId },
    prompt_cache_key: settings.prompt_cache_key ?? null,
    reasoning: {
      effort: reasoning?.effort ?? null,
      summary: reasoning?.summary ?? reasoning?.generate_summary ?? null,
    },
    safety_identifier: settings.safety_identifier ?? null,
    service_tier: !settings.service_tier || settings.service_tier === 'auto' ? 'default' : settings.service_tier,
    store,
    temperature: settings.temperature ?? 1,
    text: { format: echoFormat(text?.format), verbosity: text?.verbosity ?? 'medium' },
    tool_choice: (settings.tool_choice ?? 'auto') as Json,
    tools: (settings.tools ?? []).map((tool) => echoTool(tool as JsonObject)),
    top_logprobs: settings.top_logprobs ?? 0,
    top_p: settings.top_p ?? 1,
    presence_penalty: settings.presence_penalty ?? 0,
    frequency_penalty: settings.frequency_penalty ?? 0,
    truncation: settings.truncation ?? 'disabled',
    usage: null,
    user: settings.user ?? null,
    metadata: settings.metadata ?? {},
  };
}

function echoFormat(format: { [key: string]: unknown } | null | undefined): JsonObject {
  if (!format) return { type: 'text' };
  const wire = format as JsonObject;
  return wire['type'] === 'json_schema' ? { description: null, strict: false, ...withoutNull(wire) } : wire;
}

function echoTool(tool: JsonObject): JsonObject {
  if (tool['type'] !== 'function') return tool;
  return { description: null, parameters: null, strict: false, ...withoutNull(tool) };
}

const withoutNull = (object: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(object).filter(([key, value]) => value !== null || key === 'description'));

/** Usage → usage block. Cached and thought tokens are parts of the totals, here as in ours. */
export function encodeUsage(usage: Usage): WireUsage {
  return {
    input_tokens: usage.input,
    input_tokens_details: { cached_tokens: usage.cacheRead ?? 0, cache_write_tokens: usage.cacheWrite ?? 0 },
    output_tokens: usage.output,
    output_tokens_details: { reasoning_tokens: usage.reasoning ?? 0 },
    total_tokens: usage.input + usage.output,
  };
}

/** Usage block → usage; counts that the provider leaves out are 0. */
export function decodeUsage(wire: unknown): Usage {
  const block = (wire ?? {}) as Partial<WireUsage>;
  const cacheRead = block.input_tokens_details?.cached_tokens ?? 0;
  const cacheWrite = block.input_tokens_details?.cache_write_tokens ?? 0;
  const reasoning = block.output_tokens_details?.reasoning_tokens ?? 0;
  return {
    input: block.input_tokens ?? 0,
    output: block.output_tokens ?? 0,
    ...(cacheRead > 0 && { cacheRead }),
    ...(cacheWrite > 0 && { cacheWrite }),
    ...(reasoning > 0 && { reasoning }),
  };
}

/** Why the model could not say all of it; null when it did. */
export function encodeIncomplete(reason: FinishReason): ResponseResource['incomplete_details'] {
  if (reason === 'length') return { reason: 'max_output_tokens' };
  return reason === 'content-filter' ? { reason: 'content_filter' } : null;
}

/** OpenAI's closed set of codes inside a failed response; what is not there is `server_error`. */
const failureCodes: Partial<Record<ErrorCode, string>> = {
  rate_limit_exceeded: 'rate_limit_exceeded',
  provider_rate_limited: 'rate_limit_exceeded',
  invalid_image: 'invalid_image',
  image_too_large: 'image_too_large',
  unsupported_image_format: 'unsupported_image_media_type',
  image_download_failed: 'failed_to_download_image',
};

/** The failure as a response object carries it. */
export function encodeFailure(error: ViaductError): { code: string; message: string } {
  const code = failureCodes[error.code] ?? (error.status === 400 ? 'invalid_prompt' : 'server_error');
  return { code, message: error.message };
}
