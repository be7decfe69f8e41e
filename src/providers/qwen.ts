import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { renamed } from './body.ts';
import { apiSettings, baseUrlOf, defineProvider, keysOf } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiEmbed, openaiModels } from './openai-dialect.ts';

/** Qwen on Alibaba's Model Studio. https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope */
export const qwen = defineProvider({
  kind: 'qwen',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'qwen',
        baseUrl: baseUrlOf(config, 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1'),
        keys: keysOf(config),
        headers: config.headers,
        connectTimeout: config.connect_timeout,
        dialects: [openaiChat({ developerRole: 'system' })],
        adapt: (body) => withThinking(renamed(body, 'max_completion_tokens', 'max_tokens')),
      },
      (upstream) => ({ embed: openaiEmbed(upstream), models: openaiModels(upstream) }),
    ),
});

/** Thinking is a switch and, for those who want less of it, a number of tokens. */
function withThinking(body: JsonObject): JsonObject {
  const { reasoning_effort: effort, ...rest } = body;
  if (typeof effort !== 'string') return body;
  const budget = budgets[effort];
  return { ...rest, enable_thinking: effort !== 'none', ...(budget !== undefined && { thinking_budget: budget }) };
}

const budgets: Record<string, number> = { minimal: 512, low: 2048, medium: 8192 };
