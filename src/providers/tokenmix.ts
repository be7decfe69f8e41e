import { z } from 'zod';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiEmbed, openaiImage, openaiModels } from './openai-dialect.ts';

/** TokenMix: many providers' models behind OpenAI's protocol. https://tokenmix.ai/docs */
export const tokenmix = defineProvider({
  kind: 'tokenmix',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'tokenmix',
        ...connectionOf(config, 'https://api.tokenmix.ai/v1'),
        dialects: [openaiChat()],
      },
      (upstream) => ({
        embed: openaiEmbed(upstream),
        image: openaiImage(upstream),
        models: openaiModels(upstream),
      }),
    ),
});
