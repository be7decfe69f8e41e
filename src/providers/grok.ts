import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { without } from './body.ts';
import { apiSettings, baseUrlOf, defineProvider, keysOf } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiEmbed, openaiImage, openaiModels, openaiResponses } from './openai-dialect.ts';

/** Grok, by xAI. https://docs.x.ai/docs/api-reference */
export const grok = defineProvider({
  kind: 'grok',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'grok',
        baseUrl: baseUrlOf(config, 'https://api.x.ai/v1'),
        keys: keysOf(config),
        headers: config.headers,
        connectTimeout: config.connect_timeout,
        dialects: [openaiChat({ samplers: false, cacheMarks: false, reasoningHistory: 'omit' }), openaiResponses],
        adapt: (body, { protocol }) => (protocol === 'openai-chat' ? withoutRefused(body) : body),
      },
      (upstream) => ({
        embed: openaiEmbed(upstream),
        image: openaiImage(upstream),
        models: openaiModels(upstream),
      }),
    ),
});

/** Models that always think refuse penalties, stop sequences and, but for one, an effort. */
function withoutRefused(body: JsonObject): JsonObject {
  const model = String(body['model']);
  const thinks = /grok-4|grok-5|grok-3-mini|grok-code|reasoning/.test(model) && !/non-reasoning/.test(model);
  if (!thinks) return without(body, 'reasoning_effort');
  const accepted = without(body, 'presence_penalty', 'frequency_penalty', 'stop', 'logit_bias');
  if (!model.includes('grok-3-mini')) return without(accepted, 'reasoning_effort');
  const { reasoning_effort: effort, ...rest } = accepted;
  if (typeof effort !== 'string' || effort === 'none') return rest;
  return { ...rest, reasoning_effort: effort === 'minimal' || effort === 'low' ? 'low' : 'high' };
}
