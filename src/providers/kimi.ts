import { z } from 'zod';
import type { Json, JsonObject } from '../core/json.ts';
import { describer } from './abilities.ts';
import { forcesCall, renamed, without } from './body.ts';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
import { withBytes } from './download.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiModels } from './openai-dialect.ts';

/** Kimi, by Moonshot. https://platform.moonshot.ai/docs/api/chat */
export const kimi = defineProvider({
  kind: 'kimi',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'kimi',
        ...connectionOf(config, 'https://api.moonshot.ai/v1'),
        dialects: [openaiChat({ developerRole: 'system', samplers: false, cacheMarks: false })],
        // Pictures are taken as bytes, or as files of its own.
        prepare: withBytes(),
        adapt: (body) => adapted(renamed(body, 'max_tokens', 'max_completion_tokens')),
      },
      (upstream) => ({ models: openaiModels(upstream), describe: describer('kimi') }),
    ),
});

/** Kimi models fix their sampling and refuse to be told another; the older Moonshot models take it. */
function adapted(body: JsonObject): JsonObject {
  const model = String(body['model']);
  if (!model.startsWith('kimi')) return without(withoutStrict(body), 'reasoning_effort');
  return withThinking(withoutStrict(without(body, ...fixedSampling)), model);
}

const fixedSampling = ['temperature', 'top_p', 'n', 'presence_penalty', 'frequency_penalty'];

/** A model that thinks may not be made to call a tool, and wants its thoughts back with every call of the history. */
function withThinking(body: JsonObject, model: string): JsonObject {
  const { reasoning_effort: effort, ...rest } = body;
  if (/^kimi-k([3-9]|\d\d)/.test(model))
    return typeof effort === 'string' ? { ...rest, reasoning_effort: efforts[effort] ?? effort } : body;
  // These think always, or never.
  if (!/^kimi-k2\.[56]$/.test(model)) return rest;
  if (effort === 'none' || forcesCall(body) || lacksThoughts(body['messages']))
    return { ...rest, thinking: { type: 'disabled' } };
  return effort === undefined ? body : { ...rest, thinking: { type: 'enabled' } };
}

const efforts: Record<string, string> = { none: 'low', minimal: 'low', medium: 'high', xhigh: 'max' };

const lacksThoughts = (messages: Json | undefined) =>
  Array.isArray(messages) &&
  messages.some((message) => {
    const { tool_calls, reasoning_content } = message as JsonObject;
    return tool_calls !== undefined && !reasoning_content;
  });

function withoutStrict(body: JsonObject): JsonObject {
  const { tools } = body;
  if (!Array.isArray(tools)) return body;
  return {
    ...body,
    tools: tools.map((tool) => {
      const { function: fn, ...rest } = tool as JsonObject;
      return fn ? { ...rest, function: without(fn as JsonObject, 'strict') } : rest;
    }),
  };
}
