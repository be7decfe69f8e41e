import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { object } from '../protocols/read.ts';
import { renamed } from './body.ts';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiCompletions, openaiModels } from './openai-dialect.ts';

/** A Text Generation Inference server. https://huggingface.co/docs/text-generation-inference/messages_api */
export const tgi = defineProvider({
  kind: 'tgi',
  config: z.strictObject({ ...apiSettings, base_url: z.url({ protocol: /^https?$/ }) }),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'tgi',
        ...connectionOf(config, 'http://localhost:3000/v1'),
        dialects: [
          openaiChat({ developerRole: 'system', cacheMarks: false, reasoningHistory: 'omit' }),
          openaiCompletions(),
        ],
        adapt: (body) => withFormat(renamed(body, 'max_completion_tokens', 'max_tokens')),
      },
      (upstream) => ({ models: openaiModels(upstream) }),
    ),
});

/**
 * JSON without a schema is a schema that any object keeps to. Source:
 * https://huggingface.co/docs/text-generation-inference/guidance
 */
function withFormat(body: JsonObject): JsonObject {
  if (object(body['response_format'])['type'] !== 'json_object') return body;
  return { ...body, response_format: { type: 'json_object', value: { type: 'object' } } };
}
