import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { withMessages, without } from './body.ts';
import { apiSettings, baseUrlOf, defineProvider, keysOf } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiModels, openaiResponses } from './openai-dialect.ts';

/** Groq. https://console.groq.com/docs/openai */
export const groq = defineProvider({
  kind: 'groq',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'groq',
        baseUrl: baseUrlOf(config, 'https://api.groq.com/openai/v1'),
        keys: keysOf(config),
        headers: config.headers,
        connectTimeout: config.connect_timeout,
        dialects: [
          openaiChat({
            maxTokens: 'max_completion_tokens',
            samplers: false,
            cacheMarks: false,
            reasoningHistory: 'omit',
          }),
          openaiResponses,
        ],
        adapt: (body, { protocol }) => (protocol === 'openai-chat' ? adapted(body) : body),
      },
      (upstream) => ({ models: openaiModels(upstream) }),
    ),
});

/** Names of speakers, log-probabilities and biases are refused with a 400. Thoughts come apart only where that is asked for. */
function adapted(body: JsonObject): JsonObject {
  const model = String(body['model']);
  const accepted = withMessages(
    without(body, 'logprobs', 'top_logprobs', 'logit_bias', 'verbosity', 'prompt_cache_key'),
    (message) => without(message, 'name'),
  );
  if (!/qwen|deepseek/.test(model)) return accepted;
  const { reasoning_effort: effort, ...rest } = accepted;
  return {
    reasoning_format: 'parsed',
    ...rest,
    ...(effort !== undefined && { reasoning_effort: effort === 'none' ? 'none' : 'default' }),
  };
}
