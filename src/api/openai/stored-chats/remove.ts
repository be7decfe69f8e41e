import type { Endpoint } from '../../define.ts';
import { notStored } from './shared.ts';

/** DELETE /v1/chat/completions/ID — https://platform.openai.com/docs/api-reference/chat/delete */
export const removeStoredChat: Endpoint = {
  method: 'DELETE',
  path: '/v1/chat/completions/:id',
  async handle({ request, reply, caller, services }) {
    const { id } = request.params as { id: string };
    if (!(await services.storedChats.remove(caller.owner, id))) notStored(id);
    return reply.send({ object: 'chat.completion.deleted', id, deleted: true });
  },
};
