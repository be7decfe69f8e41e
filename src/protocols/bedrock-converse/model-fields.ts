/**
 * Fields of a model's own, which Converse passes on: thinking, and samplers that Converse does not know.
 * Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html (read 2026-11)
 */
import type { ChatRequest, ReasoningEffort, ToolChoice } from '../../core/chat.ts';
import type { JsonObject } from '../../core/json.ts';
import { claudeTraits } from '../anthropic-messages/claude.ts';
import { object } from '../read.ts';

const isClaude = (model: string) => /anthropic|claude/.test(model);

/** What goes into `additionalModelRequestFields`. */
export function encodeModelFields(request: ChatRequest): JsonObject {
  const { model, topK } = request;
  if (isClaude(model))
    return {
      ...encodeClaudeThinking(request),
      ...(topK !== undefined && takesSampling(request) !== 'none' && { top_k: topK }),
    };
  return {
    ...encodeEffort(model, request.reasoning),
    ...(topK !== undefined && (model.includes('nova') ? { inferenceConfig: { topK } } : { top_k: topK })),
  };
}

/** Whether the model takes temperature and top_p, or only one of them: Claude refuses them while it thinks. */
export function takesSampling(request: ChatRequest): 'both' | 'one' | 'none' {
  if (!isClaude(request.model)) return thinksUnbound(request) || /openai\.gpt-5/.test(request.model) ? 'none' : 'both';
  return thinking(request) ? 'none' : claudeTraits(request.model).sampling;
}

/** Nova 2 that thinks its hardest refuses a limit of tokens and samplers. */
export const thinksUnbound = ({ model, reasoning }: ChatRequest): boolean =>
  object(encodeEffort(model, reasoning)['reasoningConfig'])['maxReasoningEffort'] === 'high';

function encodeClaudeThinking(request: ChatRequest): JsonObject {
  const { effort } = request.reasoning ?? {};
  const traits = claudeTraits(request.model);
  const thought = thinking(request);
  const level =
    effort && effort !== 'none' && traits.effort !== 'none' ? claudeEffort(effort, traits.effort) : undefined;
  return { ...(thought && { thinking: thought }), ...(level && { output_config: { effort: level } }) };
}

const claudeEffort = (effort: ReasoningEffort, highest: string) =>
  effort === 'minimal' ? 'low' : effort === 'xhigh' ? highest : effort;

const leastBudget = 1024;

function thinking(request: ChatRequest): JsonObject | undefined {
  const { reasoning, model, maxTokens, toolChoice } = request;
  const traits = claudeTraits(model);
  // Thinking and a forced tool call exclude each other.
  if (!reasoning || reasoning.effort === 'none' || traits.thinking === 'none' || isForced(toolChoice)) return undefined;
  const display = traits.hidesThoughts && { display: 'summarized' };
  if (traits.thinking === 'adaptive') return { type: 'adaptive', ...display };
  const wished = reasoning.budgetTokens ?? budgets[reasoning.effort ?? 'medium'];
  const budget = maxTokens === undefined ? wished : Math.min(wished, maxTokens - 1);
  // No room to think in, or a tool loop begun without thoughts: an answer without them is better than a 400.
  return budget < leastBudget || lacksThought(request) ? undefined : { type: 'enabled', budget_tokens: budget };
}

const isForced = (choice: ToolChoice | undefined) =>
  choice === 'required' || (typeof choice === 'object' && (!('allowed' in choice) || choice.mode === 'required'));

function lacksThought({ messages }: ChatRequest): boolean {
  if (messages.at(-1)?.role !== 'tool') return false;
  const turn = messages.findLast((message) => message.role === 'assistant');
  return !turn?.parts.some((part) => part.type === 'reasoning' && part.origin === 'bedrock-converse');
}

const budgets: Record<Exclude<ReasoningEffort, 'none'>, number> = {
  minimal: 1024,
  low: 2048,
  medium: 8192,
  high: 16_384,
  xhigh: 32_000,
};

function encodeEffort(model: string, reasoning: ChatRequest['reasoning']): JsonObject {
  const { effort = 'medium' } = reasoning ?? {};
  if (!reasoning || effort === 'none' || /deepseek\.r1|llama|titan|nova-(micro|lite|pro|premier)/.test(model))
    return {};
  const level = levels[effort];
  if (model.includes('nova')) return { reasoningConfig: { type: 'enabled', maxReasoningEffort: level } };
  if (model.includes('qwen')) return { reasoning_config: level };
  return { reasoning_effort: level };
}

/** Words that every effort of a model on Bedrock has. */
const levels: Record<Exclude<ReasoningEffort, 'none'>, string> = {
  minimal: 'low',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'high',
};
