import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import { list, object } from '../protocols/read.ts';
import { describer } from './abilities.ts';
import { forcesCall, renamed, withMessages, without } from './body.ts';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiModels, openaiResponses } from './openai-dialect.ts';

/** DeepSeek. https://api-docs.deepseek.com */
export const deepseek = defineProvider({
  kind: 'deepseek',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'deepseek',
        ...connectionOf(config, 'https://api.deepseek.com'),
        dialects: [openaiChat({ developerRole: 'system', samplers: false, cacheMarks: false }), openaiResponses],
        adapt: (body, { protocol }) => (protocol === 'openai-chat' ? adapted(body) : body),
      },
      (upstream) => ({ models: openaiModels(upstream), describe: describer('deepseek') }),
    ),
});

const adapted = (body: JsonObject) =>
  withThinking(withThoughts(withPromptedSchema(renamed(body, 'max_completion_tokens', 'max_tokens'))));

/**
 * A turn that called tools must come back with its thoughts, an empty field at least, or the answer is a 400; those of
 * other turns are read past. Source: https://api-docs.deepseek.com/guides/thinking_mode
 */
function withThoughts(body: JsonObject): JsonObject {
  return withMessages(body, (message) => {
    if (message['role'] !== 'assistant') return message;
    const { reasoning_content: thoughts, ...rest } = without(message, 'reasoning', 'reasoning_details');
    return message['tool_calls'] ? { ...rest, reasoning_content: thoughts ?? '' } : rest;
  });
}

/** Thinking is a switch, and an effort says how hard. A model that thinks cannot be made to call a tool. */
function withThinking(body: JsonObject): JsonObject {
  const { reasoning_effort: effort, ...rest } = body;
  if (forcesCall(body)) return { ...rest, thinking: { type: 'disabled' } };
  if (typeof effort !== 'string') return body;
  if (effort === 'none') return { ...rest, thinking: { type: 'disabled' } };
  return { ...rest, thinking: { type: 'enabled' }, reasoning_effort: efforts[effort] ?? effort };
}

const efforts: Record<string, string> = { minimal: 'low', medium: 'high', xhigh: 'high' };

/** JSON is offered without a schema, so the schema goes into the prompt; the word "JSON" has to be there anyway. */
function withPromptedSchema(body: JsonObject): JsonObject {
  const { response_format, messages } = body;
  const format = object(response_format);
  if (format['type'] !== 'json_schema') return body;
  const schema = object(format['json_schema'])['schema'] ?? {};
  const instruction = {
    role: 'system',
    content: `Answer in JSON that matches this JSON Schema:\n${JSON.stringify(schema)}`,
  };
  return {
    ...body,
    messages: [instruction, ...list(messages)],
    response_format: { type: 'json_object' },
  };
}
