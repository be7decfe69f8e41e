import { ViaductError } from '../../core/errors.ts';
import type { Endpoint } from '../define.ts';
import { idOf, includeOf, listOf, pageOptions, pageQuery, queryOf } from './list-query.ts';

/** GET /v1/responses/ID/input_items — what this response itself was given, newest first unless `order` says otherwise. */
export const responseInputItems: Endpoint = {
  method: 'GET',
  path: '/v1/responses/:id/input_items',
  query: pageQuery,
  async handle({ request, reply, caller, services }) {
    const id = idOf(request, 'id');
    const query = queryOf(request);
    const options = pageOptions(query);
    const page = await services.responses.stores.responses.inputItems(caller.owner, id, options);
    if (!page) throw new ViaductError('not_found', `Response with id '${id}' not found.`, { param: 'response_id' });
    return reply.send(listOf(page, includeOf(query)));
  },
};
