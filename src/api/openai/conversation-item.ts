import { ViaductError } from '../../core/errors.ts';
import type { Item } from '../../protocols/openai-responses.ts';
import { withoutSeal } from '../../protocols/openai-responses.ts';
import type { Endpoint } from '../define.ts';
import { sendable } from './conversation.ts';
import { idOf, includeOf, includeQuery, queryOf, showsSeals } from './list-query.ts';

const path = '/v1/conversations/:id/items/:item';

/** GET /v1/conversations/ID/items/ITEM */
export const retrieveConversationItem: Endpoint = {
  method: 'GET',
  path,
  query: includeQuery,
  async handle(exchange) {
    const { request, reply, caller, services } = exchange;
    const { id } = await sendable(exchange);
    const itemId = idOf(request, 'item');
    const found = await services.responses.stores.conversations.item(caller.owner, id, itemId);
    if (!found) throw itemNotFound(itemId);
    const item = found as unknown as Item;
    return reply.send(showsSeals(includeOf(queryOf(request))) ? item : withoutSeal(item));
  },
};

/** DELETE /v1/conversations/ID/items/ITEM — answers with the conversation. */
export const deleteConversationItem: Endpoint = {
  method: 'DELETE',
  path,
  async handle(exchange) {
    const { request, reply, caller, services } = exchange;
    const conversation = await sendable(exchange);
    const itemId = idOf(request, 'item');
    const removed = await services.responses.stores.conversations.removeItem(caller.owner, conversation.id, itemId);
    if (!removed) throw itemNotFound(itemId);
    return reply.send(conversation);
  },
};

const itemNotFound = (id: string) =>
  new ViaductError('not_found', `Item with id '${id}' not found in this conversation.`, { param: 'item_id' });
