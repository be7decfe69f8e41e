/** ChatRequest → body of POST /v1/messages. */
import type { ChatRequest, ReasoningEffort, Tool, ToolChoice } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { object } from '../read.ts';
import { type ClaudeTraits, claudeTraits } from './claude.ts';
import { cacheControl, encodeMessages } from './encode-messages.ts';
import { acceptedSchema } from './schema.ts';

/**
 * Request → body. What the API demands and other protocols do not is seen to here: `max_tokens`, turns that alternate, tool
 * results first in their turn, one `system`, sampling and thinking as the model's generation takes them.
 * Throws unsupported_capability for what Anthropic cannot do and the answer would show (log-probabilities, audio).
 * Source: https://docs.anthropic.com/en/api/messages
 */
export function encodeRequest(request: ChatRequest): JsonObject {
  refuseImpossible(request);
  const traits = claudeTraits(request.model);
  const thinking = encodeThinking(request, traits);
  const thinks = thinking !== undefined && thinking['type'] !== 'disabled';
  const format = encodeFormat(request, traits);
  const { system, messages } = encodeMessages(request.messages, { ...traits, instruction: format.instruction });
  const { tools: hosted, output_config, ...extras } = request.extras?.['anthropic-messages'] ?? {};
  const tools = [...offered(request).map(encodeTool), ...(Array.isArray(hosted) ? hosted : [])];
  const choice = tools.length > 0 ? encodeChoice(request) : undefined;
  const config = { ...format.config, ...encodeEffort(request.reasoning?.effort, traits), ...object(output_config) };
  return {
    model: request.model,
    max_tokens: maxTokens(request, thinking, traits),
    stream: request.stream,
    ...(system.length > 0 && { system }),
    messages,
    ...(tools.length > 0 && { tools }),
    ...(choice && { tool_choice: choice }),
    ...(request.stop && { stop_sequences: request.stop }),
    ...(!thinks && encodeSampling(request, traits)),
    ...(thinking && { thinking }),
    ...(Object.keys(config).length > 0 && { output_config: config }),
    ...(request.user !== undefined && { metadata: { user_id: request.user } }),
    ...(request.serviceTier !== undefined && { service_tier: encodeTier(request.serviceTier) }),
    ...extras,
  };
}

/** What /v1/messages/count_tokens takes of it; any other field is a 400 there. */
const counted = new Set([
  'model',
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'mcp_servers',
]);

/** Request → body of POST /v1/messages/count_tokens. Source: https://docs.anthropic.com/en/api/messages-count-tokens */
export function encodeCount(request: ChatRequest): JsonObject {
  return Object.fromEntries(Object.entries(encodeRequest(request)).filter(([field]) => counted.has(field)));
}

function refuseImpossible({ logprobs, logitBias, stop }: ChatRequest) {
  const refuse = (param: string, what: string) => {
    throw new ViaductError('unsupported_capability', `Anthropic's models cannot ${what}.`, { param });
  };
  if (logprobs) refuse('logprobs', 'give log-probabilities');
  if (logitBias && Object.keys(logitBias).length > 0) refuse('logit_bias', 'bias single tokens');
  if (stop?.some((sequence) => sequence.trim() === '')) refuse('stop', 'stop at white space alone');
}

/** Tokens of thought for models that want a number. */
const budgets: Record<Exclude<ReasoningEffort, 'none'>, number> = {
  minimal: 1024,
  low: 2048,
  medium: 8192,
  high: 16_384,
  xhigh: 32_000,
};
const leastBudget = 1024;

function encodeThinking(request: ChatRequest, traits: ClaudeTraits): JsonObject | undefined {
  const { reasoning, toolChoice, maxTokens } = request;
  if (!reasoning || traits.thinking === 'none') return undefined;
  if (reasoning.effort === 'none') return { type: 'disabled' };
  // Thinking and a forced tool call exclude each other.
  if (toolChoice && isForced(toolChoice)) return undefined;
  const display = (reasoning.summary || traits.hidesThoughts) && { display: 'summarized' };
  if (traits.thinking === 'adaptive') return { type: 'adaptive', ...display };
  const wished = reasoning.budgetTokens ?? budgets[reasoning.effort ?? 'medium'];
  const budget = maxTokens === undefined ? wished : Math.min(wished, maxTokens - 1);
  // No room to think in, or a tool loop begun without thoughts: an answer without them is better than a 400.
  if (budget < leastBudget || lacksThought(request)) return undefined;
  return { type: 'enabled', budget_tokens: budget, ...display };
}

/** The conversation stands in the middle of tool calls whose turn has no thought that Anthropic signed. */
function lacksThought({ messages }: ChatRequest): boolean {
  if (messages.at(-1)?.role !== 'tool') return false;
  const turn = messages.findLast((message) => message.role === 'assistant');
  return !turn?.parts.some((part) => part.type === 'reasoning' && part.origin === 'anthropic-messages');
}

const isForced = (choice: ToolChoice) =>
  choice === 'required' || (typeof choice === 'object' && (!('allowed' in choice) || choice.mode === 'required'));

function maxTokens({ maxTokens }: ChatRequest, thinking: JsonObject | undefined, traits: ClaudeTraits): number {
  if (maxTokens !== undefined) return maxTokens;
  const budget = Number(thinking?.['budget_tokens'] ?? 0);
  return Math.max(traits.maxOutput, budget + 4096);
}

function encodeEffort(effort: ReasoningEffort | undefined, traits: ClaudeTraits): JsonObject {
  if (!effort || effort === 'none' || traits.effort === 'none') return {};
  if (effort === 'minimal') return { effort: 'low' };
  return { effort: effort === 'xhigh' ? traits.effort : effort };
}

function encodeFormat(
  { responseFormat }: ChatRequest,
  traits: ClaudeTraits,
): { config?: JsonObject; instruction?: string } {
  if (!responseFormat || responseFormat.type === 'text') return {};
  if (responseFormat.type === 'json')
    return { instruction: 'Answer with one JSON object and nothing else: no explanation, no code fence.' };
  const { schema } = responseFormat;
  if (traits.structured) return { config: { format: { type: 'json_schema', schema: acceptedSchema(schema) } } };
  return {
    instruction: `Answer with JSON that this JSON Schema allows and nothing else: no explanation, no code fence.\n${JSON.stringify(schema)}`,
  };
}

function encodeSampling({ temperature, topP, topK }: ChatRequest, traits: ClaudeTraits): JsonObject {
  if (traits.sampling === 'none') return {};
  const both = traits.sampling === 'both' || temperature === undefined;
  return {
    // OpenAI's scale ends at 2, this one at 1.
    ...(temperature !== undefined && { temperature: Math.min(1, temperature) }),
    ...(topP !== undefined && both && { top_p: topP }),
    ...(topK !== undefined && { top_k: topK }),
  };
}

/** The tools the model may see: an allow-list is kept by offering no others. */
function offered({ tools = [], toolChoice }: ChatRequest): Tool[] {
  if (typeof toolChoice !== 'object' || !('allowed' in toolChoice)) return tools;
  return tools.filter(({ name }) => toolChoice.allowed.includes(name));
}

function encodeTool({ name, description, parameters, strict, cache }: Tool): JsonObject {
  const schema = parameters ?? { type: 'object', properties: {} };
  return {
    name,
    ...(description !== undefined && { description }),
    // The API insists on the type at the top.
    input_schema: strict ? acceptedSchema(schema) : { type: 'object', ...schema },
    ...(strict !== undefined && { strict }),
    ...cacheControl(cache),
  };
}

function encodeChoice({ toolChoice, parallelToolCalls }: ChatRequest): Json | undefined {
  if (toolChoice === 'none') return { type: 'none' };
  const single = parallelToolCalls === false && { disable_parallel_tool_use: true };
  if (toolChoice === undefined) return single ? { type: 'auto', ...single } : undefined;
  if (typeof toolChoice === 'object' && 'name' in toolChoice) return { type: 'tool', name: toolChoice.name, ...single };
  return { type: isForced(toolChoice) ? 'any' : 'auto', ...single };
}

/** OpenAI's words for tiers mean nothing here. */
const encodeTier = (tier: string) => (tier === 'auto' || tier === 'priority' ? 'auto' : 'standard_only');
