import { decodeRequest, encodeResponse, wireRequest } from '../../protocols/openai-embeddings.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody, servedHeaders } from '../http.ts';

/** POST /v1/embeddings — https://platform.openai.com/docs/api-reference/embeddings/create */
export const embeddings: Endpoint = {
  method: 'POST',
  path: '/v1/embeddings',
  body: wireRequest,
  async handle({ request, reply, caller }) {
    const { request: wanted, format } = decodeRequest(jsonBody(request));
    const answer = await caller.embed(wanted);
    return reply.headers(servedHeaders(answer)).send(encodeResponse(answer.result, format));
  },
};
