import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import { checkBody } from '../../protocols/openai-body.ts';
import { metadata } from '../../protocols/openai-responses.ts';
import type { Endpoint, Exchange } from '../define.ts';
import { jsonBody } from '../http.ts';
import { encodeConversation } from './conversations.ts';
import { idOf } from './list-query.ts';

const path = '/v1/conversations/:id';

/** GET /v1/conversations/ID */
export const retrieveConversation: Endpoint = {
  method: 'GET',
  path,
  handle: async (exchange) => exchange.reply.send(await sendable(exchange)),
};

const update = z.object({ metadata });

/** POST /v1/conversations/ID — sets its metadata. */
export const updateConversation: Endpoint = {
  method: 'POST',
  path,
  body: update,
  async handle(exchange) {
    const { request, reply, caller, services } = exchange;
    const { metadata } = checkBody(update, jsonBody(request));
    await services.responses.stores.conversations.setMetadata(caller.owner, idOf(request, 'id'), metadata);
    return reply.send(await sendable(exchange));
  },
};

/** DELETE /v1/conversations/ID — its items go with it, responses made in it stay. */
export const deleteConversation: Endpoint = {
  method: 'DELETE',
  path,
  async handle({ request, reply, caller, services }) {
    const id = idOf(request, 'id');
    const removed = await services.responses.stores.conversations.remove(caller.owner, id);
    if (!removed) throw conversationNotFound(id);
    return reply.send({ id, object: 'conversation.deleted', deleted: true });
  },
};

/** The conversation of the path as clients see it. Throws not_found, also for another owner's. */
export async function sendable({ request, caller, services }: Exchange) {
  const id = idOf(request, 'id');
  const found = await services.responses.stores.conversations.find(caller.owner, id);
  if (!found) throw conversationNotFound(id);
  return encodeConversation(found);
}

export const conversationNotFound = (id: string) =>
  new ViaductError('not_found', `Conversation with id '${id}' not found.`, { param: 'conversation_id' });
