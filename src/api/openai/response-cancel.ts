import type { Endpoint } from '../define.ts';
import { idOf } from './list-query.ts';
import { hideSeals } from './response.ts';

/** POST /v1/responses/ID/cancel — of background responses; one that is over stays as it is. */
export const cancelResponse: Endpoint = {
  method: 'POST',
  path: '/v1/responses/:id/cancel',
  async handle({ request, reply, caller, services }) {
    const id = idOf(request, 'id');
    await services.responses.cancel(caller.owner, id);
    const { resource } = await services.responses.find(caller.owner, id);
    return reply.send(hideSeals(resource));
  },
};
