import type { JsonObject } from '../../core/json.ts';
import type { ModelEntry } from '../../gateway/gateway.ts';
import type { Endpoint } from '../define.ts';

/** GET /v1/models — https://platform.openai.com/docs/api-reference/models/list, or Anthropic's list for Anthropic's clients. */
export const models: Endpoint = {
  method: 'GET',
  path: '/v1/models',
  async handle({ request, reply, caller }) {
    const entries = await caller.models();
    if (request.headers['anthropic-version']) return reply.send(encodeAnthropicList(entries));
    return reply.send({ object: 'list', data: entries.map(encodeModel) });
  },
};

/** What OpenAI's object has, and beside it what the model can do. */
export function encodeModel(entry: ModelEntry): JsonObject {
  const { id, created, ownedBy, provider, contextLength, maxOutput, capabilities } = entry;
  return {
    id,
    object: 'model',
    created: Math.floor((created ?? 0) / 1000),
    owned_by: ownedBy ?? provider,
    provider,
    ...(contextLength !== undefined && { context_length: contextLength }),
    ...(maxOutput !== undefined && { max_output_tokens: maxOutput }),
    ...(capabilities && { capabilities }),
  };
}

/** https://docs.anthropic.com/en/api/models-list */
function encodeAnthropicList(entries: ModelEntry[]): JsonObject {
  return {
    data: entries.map(({ id, created }) => ({
      type: 'model',
      id,
      display_name: id,
      created_at: new Date(created ?? 0).toISOString(),
    })),
    has_more: false,
    first_id: entries[0]?.id ?? null,
    last_id: entries.at(-1)?.id ?? null,
  };
}
