import type { Endpoint } from '../define.ts';
import { encodeModel } from './models.ts';

/** GET /v1/models/ID — https://platform.openai.com/docs/api-reference/models/retrieve. Names have slashes and colons. */
export const model: Endpoint = {
  method: 'GET',
  path: '/v1/models/*',
  async handle({ request, reply, caller }) {
    const { '*': name } = request.params as { '*': string };
    return reply.send(encodeModel(await caller.model(name)));
  },
};
