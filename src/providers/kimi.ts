import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { renamed } from './body.ts';
import { apiSettings, baseUrlOf, defineProvider, keysOf } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiModels } from './openai-dialect.ts';

/** Kimi, by Moonshot. https://platform.moonshot.ai/docs/api/chat */
export const kimi = defineProvider({
  kind: 'kimi',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'kimi',
        baseUrl: baseUrlOf(config, 'https://api.moonshot.ai/v1'),
        keys: keysOf(config),
        headers: config.headers,
        connectTimeout: config.connect_timeout,
        dialects: [openaiChat({ developerRole: 'system', samplers: false, cacheMarks: false })],
        adapt: (body) => withThinking(renamed(body, 'max_completion_tokens', 'max_tokens')),
      },
      (upstream) => ({ models: openaiModels(upstream) }),
    ),
});

function withThinking(body: JsonObject): JsonObject {
  const { reasoning_effort: effort, ...rest } = body;
  if (effort === undefined) return body;
  return { ...rest, thinking: { type: effort === 'none' ? 'disabled' : 'enabled' } };
}
