import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { describer } from './abilities.ts';
import { forcesCall, renamed, without, withWholeArguments } from './body.ts';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
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
        ...connectionOf(config, 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1'),
        dialects: [openaiChat({ developerRole: 'system' })],
        streamsOnly,
        adapt: (body) => withThinking(withWholeArguments(renamed(body, 'max_completion_tokens', 'max_tokens'))),
      },
      (upstream) => ({
        embed: openaiEmbed(upstream, '/embeddings', (body) => without(body, 'encoding_format', 'user')),
        models: openaiModels(upstream),
        describe: describer('qwen'),
      }),
    ),
});

/**
 * Thinking is a switch and, for those who want less of it, a number of tokens. A model that thinks cannot be made to
 * call a tool.
 */
function withThinking(body: JsonObject): JsonObject {
  const { reasoning_effort: effort, ...rest } = body;
  if (forcesCall(body) && (effort !== undefined || hasSwitch.test(String(body['model']))))
    return { ...rest, enable_thinking: false };
  if (typeof effort !== 'string') return body;
  const budget = budgets[effort];
  return { ...rest, enable_thinking: effort !== 'none', ...(budget !== undefined && { thinking_budget: budget }) };
}

/** These think unless told not to, or when told to. */
const hasSwitch = /^qwen(3|[4-9]|-plus|-flash|-turbo)(?!.*(instruct|coder))/;

const budgets: Record<string, number> = { minimal: 512, low: 2048, medium: 8192 };

/**
 * Open models answer in one piece only when they do not think; some think always. Source:
 * https://www.alibabacloud.com/help/en/model-studio/deep-thinking
 */
function streamsOnly({ model, reasoning_effort: effort, enable_thinking: thinks }: JsonObject): boolean {
  const name = String(model);
  if (/^(qwq|qvq)|omni/.test(name)) return true;
  if (!/^qwen3(\.\d+)?-(vl-)?\d+b/.test(name) || name.includes('instruct') || effort === 'none') return false;
  return thinks !== false;
}
