import { z } from 'zod';
import { describer } from './abilities.ts';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
import { createHttpProvider } from './http.ts';
import {
  openaiChat,
  openaiCompact,
  openaiCompletions,
  openaiEmbed,
  openaiImage,
  openaiModels,
  openaiResponses,
} from './openai-dialect.ts';
import { fitted } from './openai-models.ts';

/** OpenAI itself. https://platform.openai.com/docs/api-reference */
export const openai = defineProvider({
  kind: 'openai',
  config: z.strictObject({
    ...apiSettings,
    organization: z.string().optional(),
    project: z.string().optional(),
  }),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'openai',
        ...connectionOf(config, 'https://api.openai.com/v1'),
        headers: {
          ...(config.organization && { 'openai-organization': config.organization }),
          ...(config.project && { 'openai-project': config.project }),
          ...config.headers,
        },
        dialects: [
          fitted(
            openaiChat({
              maxTokens: 'max_completion_tokens',
              reasoningHistory: 'omit',
              samplers: false,
              cacheMarks: false,
            }),
          ),
          openaiResponses,
          openaiCompact,
          // Chat models have no completions; asked for them, they are asked as chats.
          openaiCompletions((model) => /instruct|^(davinci|babbage)-002/.test(model)),
        ],
      },
      (upstream) => ({
        embed: openaiEmbed(upstream),
        image: openaiImage(upstream),
        models: openaiModels(upstream),
        describe: describer('openai'),
      }),
    ),
});
