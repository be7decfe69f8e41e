import { z } from 'zod';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiCompletions, openaiEmbed, openaiModels } from './openai-dialect.ts';

/** OpenRouter. https://openrouter.ai/docs/api-reference */
export const openrouter = defineProvider({
  kind: 'openrouter',
  config: z.strictObject({
    ...apiSettings,
    referer: z.url().optional().describe('Your site, for OpenRouter’s rankings'),
    title: z.string().optional().describe('Your application’s name, for the same'),
  }),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'openrouter',
        ...connectionOf(config, 'https://openrouter.ai/api/v1'),
        headers: {
          ...(config.referer && { 'http-referer': config.referer }),
          ...(config.title && { 'x-openrouter-title': config.title }),
          ...config.headers,
        },
        dialects: [openaiChat({ reasoning: 'object', reasoningHistory: 'reasoning' }), openaiCompletions()],
      },
      (upstream) => ({ embed: openaiEmbed(upstream), models: openaiModels(upstream) }),
    ),
});
