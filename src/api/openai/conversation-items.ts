import { z } from 'zod';
import { checkBody } from '../../protocols/openai-body.ts';
import { asStored, resolveInput } from '../../responses/context.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody } from '../http.ts';
import { conversationNotFound } from './conversation.ts';
import { idOf, includeOf, includeQuery, listOf, pageOptions, pageQuery, queryOf } from './list-query.ts';

const path = '/v1/conversations/:id/items';

/** GET /v1/conversations/ID/items */
export const listConversationItems: Endpoint = {
  method: 'GET',
  path,
  query: pageQuery,
  async handle({ request, reply, caller, services }) {
    const id = idOf(request, 'id');
    const query = queryOf(request);
    const options = pageOptions(query);
    const page = await services.responses.stores.conversations.page(caller.owner, id, options);
    if (!page) throw conversationNotFound(id);
    return reply.send(listOf(page, includeOf(query)));
  },
};

const body = z.object({ items: z.array(z.unknown()).min(1).max(20) });

/** POST /v1/conversations/ID/items — adds them at the end. */
export const createConversationItems: Endpoint = {
  method: 'POST',
  path,
  body,
  query: includeQuery,
  async handle({ request, reply, caller, services }) {
    const id = idOf(request, 'id');
    const { items: given } = checkBody(body, jsonBody(request));
    const { stores } = services.responses;
    const items = asStored(await resolveInput(given, caller.owner, stores, [], 'items'));
    if (!(await stores.conversations.append(caller.owner, id, items))) throw conversationNotFound(id);
    return reply.send(listOf({ items, hasMore: false }, includeOf(queryOf(request))));
  },
};
