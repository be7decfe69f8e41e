import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { withMessages, without, withToldFormat } from './body.ts';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiModels } from './openai-dialect.ts';

/** Groq. https://console.groq.com/docs/openai */
export const groq = defineProvider({
  kind: 'groq',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'groq',
        ...connectionOf(config, 'https://api.groq.com/openai/v1'),
        dialects: [
          openaiChat({
            maxTokens: 'max_completion_tokens',
            samplers: false,
            cacheMarks: false,
            reasoningHistory: 'omit',
          }),
        ],
        adapt: adapted,
      },
      (upstream) => ({ models: openaiModels(upstream) }),
    ),
});

/**
 * Names of speakers, log-probabilities and biases are refused with a 400, as is an effort by a model that does not
 * think. Thoughts come apart only where that is asked for, and tools and JSON exclude each other. Source:
 * https://console.groq.com/docs/reasoning
 */
function adapted(body: JsonObject): JsonObject {
  const model = String(body['model']);
  const { reasoning_effort: effort, ...accepted } = withMessages(withToldFormat(without(body, ...refused)), (message) =>
    without(message, ...refusedInMessages),
  );
  const thinks = /qwen|deepseek|gpt-oss/.test(model);
  const level = typeof effort === 'string' && thinks ? effortOf(model, effort) : undefined;
  const tier = body['service_tier'];
  return {
    ...(thinks && { reasoning_format: 'parsed' }),
    ...accepted,
    ...(level && { reasoning_effort: level }),
    ...(typeof tier === 'string' && tiers[tier] && { service_tier: tiers[tier] }),
  };
}

const refused = [
  'logprobs',
  'top_logprobs',
  'logit_bias',
  'verbosity',
  'prompt_cache_key',
  'metadata',
  'store',
  'service_tier',
];

/** Of what clients send back as they got it from another provider. */
const refusedInMessages = ['name', 'annotations', 'refusal', 'reasoning_content', 'reasoning_details'];

const tiers: Record<string, string> = {
  auto: 'auto',
  default: 'on_demand',
  on_demand: 'on_demand',
  flex: 'flex',
  priority: 'performance',
  performance: 'performance',
};

function effortOf(model: string, effort: string): string | undefined {
  if (!model.includes('gpt-oss')) return effort === 'none' ? 'none' : 'default';
  if (effort === 'none') return undefined;
  return effort === 'minimal' ? 'low' : effort === 'xhigh' ? 'high' : effort;
}
