import { inputTokensRequest } from '../../protocols/openai-responses.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody } from '../http.ts';

/** POST /v1/responses/input_tokens — how many tokens the request would take as input. */
export const countResponseTokens: Endpoint = {
  method: 'POST',
  path: '/v1/responses/input_tokens',
  body: inputTokensRequest,
  async handle({ request, reply, caller, services }) {
    const input_tokens = await services.responses.countInput(jsonBody(request), caller);
    return reply.send({ object: 'response.input_tokens', input_tokens });
  },
};
