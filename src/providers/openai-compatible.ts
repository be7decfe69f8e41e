import { z } from 'zod';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
import { createHttpProvider } from './http.ts';
import {
  cohereRerank,
  openaiChat,
  openaiCompletions,
  openaiEmbed,
  openaiImage,
  openaiModels,
} from './openai-dialect.ts';

/** Any server that speaks OpenAI's chat completions: LM Studio, llama.cpp, SGLang, Together, Fireworks, another Viaduct … */
export const openaiCompatible = defineProvider({
  kind: 'openai-compatible',
  config: z.strictObject({
    ...apiSettings,
    base_url: z.url({ protocol: /^https?$/ }).describe('Where /chat/completions is found; /v1 when no path is given'),
    completions: z
      .boolean()
      .default(true)
      .describe('The server has the legacy /completions; else those are asked as chats'),
    stream_usage: z.boolean().default(true).describe('The server takes stream_options.include_usage'),
  }),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'openai-compatible',
        ...connectionOf(config, 'http://localhost/v1'),
        dialects: [
          openaiChat({ streamUsage: config.stream_usage }),
          ...(config.completions ? [openaiCompletions()] : []),
        ],
      },
      (upstream) => ({
        embed: openaiEmbed(upstream),
        image: openaiImage(upstream),
        rerank: cohereRerank(upstream),
        models: openaiModels(upstream),
      }),
    ),
});
