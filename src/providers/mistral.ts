import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Json, JsonObject } from '../core/json.ts';
import { renamed, withMessages, without } from './body.ts';
import { apiSettings, baseUrlOf, defineProvider, keysOf } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiEmbed, openaiModels } from './openai-dialect.ts';

/** Mistral. https://docs.mistral.ai/api */
export const mistral = defineProvider({
  kind: 'mistral',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'mistral',
        baseUrl: baseUrlOf(config, 'https://api.mistral.ai/v1'),
        keys: keysOf(config),
        headers: config.headers,
        connectTimeout: config.connect_timeout,
        // Usage comes unasked with the last chunk, and fields it does not know are an error.
        dialects: [
          openaiChat({
            developerRole: 'system',
            streamUsage: false,
            samplers: false,
            cacheMarks: false,
            reasoningHistory: 'omit',
          }),
        ],
        adapt: (body) =>
          withShortIds(
            renamed(renamed(without(body, ...unknown), 'max_completion_tokens', 'max_tokens'), 'seed', 'random_seed'),
          ),
      },
      (upstream) => ({ embed: openaiEmbed(upstream), models: openaiModels(upstream) }),
    ),
});

const unknown = [
  'logprobs',
  'top_logprobs',
  'logit_bias',
  'user',
  'store',
  'service_tier',
  'verbosity',
  'prompt_cache_key',
  'reasoning_effort',
  'stream_options',
];

/** Ids of calls must be nine letters and digits; those of other providers become so, the same way in call and result. */
function withShortIds(body: JsonObject): JsonObject {
  return withMessages(body, (message) => ({
    ...message,
    ...(typeof message['tool_call_id'] === 'string' && { tool_call_id: shortId(message['tool_call_id']) }),
    ...(Array.isArray(message['tool_calls']) && {
      tool_calls: message['tool_calls'].map((call: Json) => ({
        ...(call as JsonObject),
        id: shortId(String((call as JsonObject)['id'])),
      })),
    }),
  }));
}

const shortId = (id: string) =>
  /^[A-Za-z0-9]{9}$/.test(id) ? id : createHash('sha256').update(id).digest('hex').slice(0, 9);
