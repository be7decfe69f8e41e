import { z } from 'zod';
import { checkBody } from '../../protocols/openai-body.ts';
import { type ResponseResource, replay, withoutSeal } from '../../protocols/openai-responses.ts';
import type { Endpoint } from '../define.ts';
import { idOf, includeOf, includeQuery, queryOf, showsSeals } from './list-query.ts';
import { streamTexts } from './response-stream.ts';

const wireQuery = z.object({
  ...includeQuery.shape,
  stream: z.enum(['true', 'false']).optional(),
  starting_after: z
    .string()
    .regex(/^\d{1,15}$/, 'must be the sequence number of an event')
    .optional()
    .describe('With stream: only the events after this one'),
});

/** GET /v1/responses/ID — with `stream=true` its events, after `starting_after`, the ones to come included. */
export const retrieveResponse: Endpoint = {
  method: 'GET',
  path: '/v1/responses/:id',
  query: wireQuery,
  async handle({ request, reply, caller, services }) {
    const id = idOf(request, 'id');
    const query = queryOf(request);
    const { stream, starting_after } = checkBody(wireQuery, query);
    const { resource, background } = await services.responses.find(caller.owner, id);
    const shown = showsSeals(includeOf(query)) ? resource : hideSeals(resource);
    if (stream !== 'true') return reply.send(shown);
    const after = Number(starting_after ?? -1);
    if (background) return streamTexts(reply, services.responses.follow(caller.owner, id, after, caller.signal));
    const events = replay(shown).filter(({ sequence_number }) => sequence_number > after);
    return streamTexts(
      reply,
      (async function* () {
        yield events.map((event) => JSON.stringify(event));
      })(),
    );
  },
};

/** DELETE /v1/responses/ID — what still runs is stopped first. */
export const deleteResponse: Endpoint = {
  method: 'DELETE',
  path: '/v1/responses/:id',
  async handle({ request, reply, caller, services }) {
    const id = idOf(request, 'id');
    await services.responses.remove(caller.owner, id);
    return reply.send({ id, object: 'response', deleted: true });
  },
};

export const hideSeals = (resource: ResponseResource): ResponseResource => ({
  ...resource,
  output: resource.output.map(withoutSeal),
});
