import { z } from 'zod';
import { renamed } from './body.ts';
import { apiSettings, baseUrlOf, defineProvider, keysOf } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiModels } from './openai-dialect.ts';

/** A Text Generation Inference server. https://huggingface.co/docs/text-generation-inference/messages_api */
export const tgi = defineProvider({
  kind: 'tgi',
  config: z.strictObject({ ...apiSettings, base_url: z.url({ protocol: /^https?$/ }) }),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'tgi',
        baseUrl: baseUrlOf(config, 'http://localhost:3000/v1'),
        keys: keysOf(config),
        headers: config.headers,
        connectTimeout: config.connect_timeout,
        dialects: [openaiChat({ developerRole: 'system', cacheMarks: false, reasoningHistory: 'omit' })],
        adapt: (body) => renamed(body, 'max_completion_tokens', 'max_tokens'),
      },
      (upstream) => ({ models: openaiModels(upstream) }),
    ),
});
