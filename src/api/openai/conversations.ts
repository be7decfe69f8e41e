import { z } from 'zod';
import { checkBody } from '../../protocols/openai-body.ts';
import { metadata } from '../../protocols/openai-responses.ts';
import { asStored, resolveInput } from '../../responses/context.ts';
import { newId } from '../../responses/ids.ts';
import type { Conversation } from '../../store/conversations.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody } from '../http.ts';

const body = z.object({ metadata: metadata.nullish(), items: z.array(z.unknown()).max(20).nullish() });

/** POST /v1/conversations — https://platform.openai.com/docs/api-reference/conversations/create */
export const createConversation: Endpoint = {
  method: 'POST',
  path: '/v1/conversations',
  body,
  async handle({ request, reply, caller, services }) {
    const given = checkBody(body, request.body === undefined ? {} : jsonBody(request));
    const { stores } = services.responses;
    const items = await resolveInput(given.items ?? [], caller.owner, stores, [], 'items');
    const conversation = { id: newId('conv'), metadata: given.metadata ?? {}, createdAt: services.now() };
    await stores.conversations.create(caller.owner, conversation);
    if (items.length > 0) await stores.conversations.append(caller.owner, conversation.id, asStored(items));
    return reply.send(encodeConversation(conversation));
  },
};

export const encodeConversation = ({ id, metadata, createdAt }: Conversation) => ({
  id,
  object: 'conversation',
  created_at: Math.floor(createdAt / 1000),
  metadata,
});
