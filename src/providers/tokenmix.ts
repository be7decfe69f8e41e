import { z } from 'zod';
import { apiSettings, baseUrlOf, defineProvider, keysOf } from './define.ts';
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
        baseUrl: baseUrlOf(config, 'https://api.tokenmix.ai/v1'),
        keys: keysOf(config),
        headers: config.headers,
        connectTimeout: config.connect_timeout,
        dialects: [openaiChat()],
      },
      (upstream) => ({
        embed: openaiEmbed(upstream),
        image: openaiImage(upstream),
        models: openaiModels(upstream),
      }),
    ),
});
