import { z } from 'zod';
import type { Json, JsonObject } from '../core/json.ts';
import { renamed, withMessages, without } from './body.ts';
import { apiSettings, baseUrlOf, defineProvider, keysOf } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiModels } from './openai-dialect.ts';

/** DeepSeek. https://api-docs.deepseek.com */
export const deepseek = defineProvider({
  kind: 'deepseek',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'deepseek',
        baseUrl: baseUrlOf(config, 'https://api.deepseek.com/v1'),
        keys: keysOf(config),
        headers: config.headers,
        connectTimeout: config.connect_timeout,
        dialects: [openaiChat({ developerRole: 'system', cacheMarks: false })],
        adapt: (body) =>
          withThinking(
            withThoughtsOfThisTurn(withPromptedSchema(renamed(body, 'max_completion_tokens', 'max_tokens'))),
          ),
      },
      (upstream) => ({ models: openaiModels(upstream) }),
    ),
});

/** Thoughts of earlier turns are refused; those since the last question must come back, or a tool loop loses its thread. */
function withThoughtsOfThisTurn(body: JsonObject): JsonObject {
  const isQuestion = (message: Json) => (message as JsonObject)['role'] === 'user';
  return withMessages(body, (message, index, all) =>
    index < all.findLastIndex(isQuestion) ? without(message, 'reasoning_content', 'reasoning_details') : message,
  );
}

/** Thinking is a switch here, and an effort only names how hard. */
function withThinking(body: JsonObject): JsonObject {
  const { reasoning_effort: effort, ...rest } = body;
  if (effort === undefined) return body;
  return { ...rest, thinking: { type: effort === 'none' ? 'disabled' : 'enabled' } };
}

/** JSON is offered without a schema, so the schema goes into the prompt; the word "JSON" has to be there anyway. */
function withPromptedSchema(body: JsonObject): JsonObject {
  const { response_format: format, messages } = body;
  if (format === null || typeof format !== 'object' || Array.isArray(format) || format['type'] !== 'json_schema')
    return body;
  const schema = (format['json_schema'] as JsonObject | undefined)?.['schema'] ?? {};
  const instruction = {
    role: 'system',
    content: `Answer in JSON that matches this JSON Schema:\n${JSON.stringify(schema)}`,
  };
  return {
    ...body,
    messages: [instruction, ...(Array.isArray(messages) ? messages : [])],
    response_format: { type: 'json_object' },
  };
}
