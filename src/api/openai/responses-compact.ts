import { compactRequest, encodeUsage } from '../../protocols/openai-responses.ts';
import { newId } from '../../responses/ids.ts';
import { sendRelay } from '../chat-answer.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody } from '../http.ts';

/** POST /v1/responses/compact — its output is the base of the next request's input. */
export const compactResponses: Endpoint = {
  method: 'POST',
  path: '/v1/responses/compact',
  body: compactRequest,
  async handle({ request, reply, caller, services }) {
    const compacted = await services.responses.compact(jsonBody(request), caller);
    if ('relay' in compacted) return sendRelay(reply, compacted.relay, compacted);
    const { item, usage } = compacted;
    return reply.send({
      id: newId('resp'),
      object: 'response.compaction',
      created_at: Math.floor(services.now() / 1000),
      output: [item],
      usage: encodeUsage(usage),
    });
  },
};
