import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Json, JsonObject } from '../core/json.ts';
import type { Capability, ModelInfo } from '../core/provider.ts';
import { count, list, object, text } from '../protocols/read.ts';
import { describer } from './abilities.ts';
import { renamed, withAnswersAfterTools, withMessages, without } from './body.ts';
import { apiSettings, connectionOf, defineProvider } from './define.ts';
import { createHttpProvider, type Upstream } from './http.ts';
import { openaiChat, openaiEmbed } from './openai-dialect.ts';

/** Mistral. https://docs.mistral.ai/api */
export const mistral = defineProvider({
  kind: 'mistral',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'mistral',
        ...connectionOf(config, 'https://api.mistral.ai/v1'),
        // Usage comes unasked with the last chunk, and fields it does not know are an error.
        dialects: [
          openaiChat({
            developerRole: 'system',
            streamUsage: false,
            samplers: false,
            cacheMarks: false,
            toolMedia: 'keep',
          }),
        ],
        adapt: (body) =>
          withEffort(
            withMessages(
              withAnswersAfterTools(
                renamed(
                  renamed(without(body, ...unknown), 'max_completion_tokens', 'max_tokens'),
                  'seed',
                  'random_seed',
                ),
              ),
              adaptMessage,
            ),
          ),
      },
      (upstream) => ({
        embed: openaiEmbed(upstream, '/embeddings', (body) =>
          renamed(without(body, 'user'), 'dimensions', 'output_dimension'),
        ),
        models: models(upstream),
        describe: describer('mistral'),
      }),
    ),
});

const unknown = [
  'logprobs',
  'top_logprobs',
  'logit_bias',
  'user',
  'store',
  'service_tier',
  'verbosity',
  'stream_options',
];

/**
 * Only some models let it be chosen whether they think; to the others the field is unknown. Source:
 * https://docs.mistral.ai/capabilities/reasoning
 */
function withEffort(body: JsonObject): JsonObject {
  const { reasoning_effort: effort, ...rest } = body;
  if (effort === undefined || !/^mistral-(small|medium)-(latest|26|3[.-]5|4)/.test(text(body['model']))) return rest;
  return { ...rest, reasoning_effort: effort === 'none' ? 'none' : 'high' };
}

/**
 * Fields that it does not know are an error, thoughts are parts of the content here, documents have a part of their
 * own, and ids of calls must be nine letters and digits.
 */
function adaptMessage(message: JsonObject): JsonObject {
  const { reasoning_content, ...rest } = without(message, 'reasoning', 'reasoning_details', 'annotations', 'refusal');
  const thought = text(reasoning_content);
  const { content, tool_call_id, tool_calls } = message;
  return {
    ...rest,
    ...(Array.isArray(content) && { content: content.map(adaptPart) }),
    ...(thought && {
      content: [{ type: 'thinking', thinking: [{ type: 'text', text: thought }] }, ...partsOf(content)],
    }),
    ...(typeof tool_call_id === 'string' && { tool_call_id: shortId(tool_call_id) }),
    ...(Array.isArray(tool_calls) && {
      tool_calls: tool_calls.map((call) => ({ ...object(call), id: shortId(text(object(call)['id'])) })),
    }),
  };
}

function partsOf(content: Json | undefined): Json[] {
  if (typeof content === 'string') return content === '' ? [] : [{ type: 'text', text: content }];
  return list(content).map(adaptPart);
}

function adaptPart(part: Json): Json {
  const { type, file } = object(part);
  const { file_data, filename } = object(file);
  if (type !== 'file' || typeof file_data !== 'string') return part;
  return { type: 'document_url', document_url: file_data, ...(filename && { document_name: filename }) };
}

/** The same nine letters for the same id, in call and result, whoever made it. */
const shortId = (id: string) =>
  /^[A-Za-z0-9]{9}$/.test(id) ? id : createHash('sha256').update(id).digest('hex').slice(0, 9);

/** Source: https://docs.mistral.ai/api/#tag/models */
const models = (upstream: Upstream) =>
  async function models(signal: AbortSignal): Promise<ModelInfo[]> {
    const { data } = await upstream.get('/models', signal);
    return list(data).map((entry) => {
      const { id, created, max_context_length, owned_by, capabilities } = object(entry);
      const can = object(capabilities);
      return {
        id: text(id),
        created: count(created) * 1000,
        ownedBy: text(owned_by) || 'mistralai',
        ...(count(max_context_length) > 0 && { contextLength: count(max_context_length) }),
        capabilities: abilityNames.flatMap(([name, ability]) => (can[name] ? [ability] : [])),
      };
    });
  };

const abilityNames: [name: string, ability: Capability][] = [
  ['completion_chat', 'completion'],
  ['function_calling', 'tools'],
  ['vision', 'vision'],
  ['completion_fim', 'insert'],
];
