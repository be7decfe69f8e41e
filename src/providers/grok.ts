import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { describer } from './abilities.ts';
import { without } from './body.ts';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
import { createHttpProvider } from './http.ts';
import {
  openaiChat,
  openaiCompact,
  openaiEmbed,
  openaiImage,
  openaiModels,
  openaiResponses,
} from './openai-dialect.ts';

/** Grok, by xAI. https://docs.x.ai/docs/api-reference */
export const grok = defineProvider({
  kind: 'grok',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'grok',
        ...connectionOf(config, 'https://api.x.ai/v1'),
        dialects: [
          openaiChat({ samplers: false, cacheMarks: false, reasoningHistory: 'omit' }),
          openaiResponses,
          openaiCompact,
        ],
        adapt: (body, { protocol }) => (protocol === 'openai-chat' ? withoutRefused(body) : body),
      },
      (upstream) => ({
        embed: openaiEmbed(upstream),
        image: openaiImage(upstream),
        models: openaiModels(upstream),
        describe: describer('grok'),
      }),
    ),
});

/**
 * Models since Grok 4 refuse penalties; those that always think refuse stop sequences too and, most of them, an effort.
 * Source: https://docs.x.ai/docs/guides/reasoning
 */
function withoutRefused(given: JsonObject): JsonObject {
  const model = String(given['model']);
  const refusesPenalties = /grok-(4|5|latest)/.test(model);
  const body = refusesPenalties ? without(given, 'presence_penalty', 'frequency_penalty') : given;
  const thinks =
    /grok-4|grok-5|grok-latest|grok-3-mini|grok-code|grok-build|reasoning/.test(model) && !/non-reasoning/.test(model);
  if (!thinks) return without(body, 'reasoning_effort');
  const { reasoning_effort: effort, ...rest } = without(
    body,
    'presence_penalty',
    'frequency_penalty',
    'stop',
    'logit_bias',
  );
  const level = typeof effort === 'string' ? effortOf(model, effort) : undefined;
  return { ...rest, ...(level && { reasoning_effort: level }) };
}

function effortOf(model: string, effort: string): string | undefined {
  if (model.includes('grok-3-mini')) return effort === 'none' ? undefined : /minimal|low/.test(effort) ? 'low' : 'high';
  if (!/grok-4\.[3-9]|grok-5|grok-latest/.test(model)) return undefined;
  return effort === 'minimal' ? 'low' : effort === 'xhigh' ? 'high' : effort;
}
