import { z } from 'zod';
import { ViaductError } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/json.ts';
import { checkBody } from '../../../protocols/openai-body.ts';
import type { Endpoint } from '../../define.ts';
import { encodeList, pageFields, storedChatOf } from './shared.ts';

const wireQuery = z.object(pageFields);

/** GET /v1/chat/completions/ID/messages — https://platform.openai.com/docs/api-reference/chat/getMessages */
export const listStoredMessages: Endpoint = {
  method: 'GET',
  path: '/v1/chat/completions/:id/messages',
  query: wireQuery,
  async handle(exchange) {
    const { after, limit, order } = checkBody(wireQuery, exchange.request.query);
    const { id, messages } = await storedChatOf(exchange);
    const all = messages.map((message, at) => encodeMessage(`${id}-${at}`, message));
    if (order === 'desc') all.reverse();
    const from = after === undefined ? 0 : all.findIndex((message) => message['id'] === after) + 1;
    if (after !== undefined && from === 0)
      throw new ViaductError('not_found', `There is no message '${after}' in this completion.`, { param: 'after' });
    return exchange.reply.send(encodeList(all.slice(from, from + limit), from + limit < all.length));
  },
};

/** A message with parts has no plain content. */
function encodeMessage(id: string, message: Json): JsonObject {
  const { content, ...rest } = message as JsonObject;
  const parts = Array.isArray(content);
  return {
    id,
    ...rest,
    content: parts ? null : (content ?? null),
    content_parts: parts ? content : null,
    refusal: null,
  };
}
