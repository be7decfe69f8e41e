import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { object } from '../protocols/read.ts';
import { withAnswersAfterTools, without, withWholeArguments } from './body.ts';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
import { createHttpProvider } from './http.ts';
import { cohereRerank, openaiChat, openaiCompletions, openaiEmbed, openaiModels } from './openai-dialect.ts';

/** A vLLM server. https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html */
export const vllm = defineProvider({
  kind: 'vllm',
  config: z.strictObject({ ...apiSettings, base_url: z.url({ protocol: /^https?$/ }) }),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'vllm',
        ...connectionOf(config, 'http://localhost:8000/v1'),
        dialects: [
          openaiChat({ developerRole: 'system', reasoningHistory: 'reasoning', cacheMarks: false }),
          openaiCompletions(),
        ],
        adapt: (body) => withThinkingSwitch(ordered(withWholeArguments(body))),
      },
      (upstream) => ({
        embed: openaiEmbed(upstream),
        rerank: cohereRerank(upstream),
        models: openaiModels(upstream),
      }),
    ),
});

const ordered = (body: JsonObject) =>
  /mi[sx]tral|devstral|pixtral/i.test(String(body['model'])) ? withAnswersAfterTools(body) : body;

/** Templates know thinking as a switch; an effort is for the models that read one. */
function withThinkingSwitch(body: JsonObject): JsonObject {
  const effort = body['reasoning_effort'];
  if (effort === undefined) return body;
  const given = object(body['chat_template_kwargs']);
  const switched = { ...body, chat_template_kwargs: { enable_thinking: effort !== 'none', ...given } };
  return effort === 'none' ? without(switched, 'reasoning_effort') : switched;
}
