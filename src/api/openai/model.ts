import { ViaductError } from '../../core/errors.ts';
import type { Endpoint } from '../define.ts';
import { encodeModel } from './models.ts';

/** GET /v1/models/ID — https://platform.openai.com/docs/api-reference/models/retrieve. Names have slashes and colons. */
export const model: Endpoint = {
  method: 'GET',
  path: '/v1/models/*',
  async handle({ request, reply, caller }) {
    const { '*': name } = request.params as { '*': string };
    const entries = await caller.models();
    const entry = entries.find(({ id }) => id === name) ?? entries.find(({ id }) => id === `${name}:latest`);
    if (!entry)
      throw new ViaductError(
        'model_not_found',
        `There is no model '${name}'. There are: ${entries.map(({ id }) => id).join(', ') || 'none'}.`,
        { param: 'model' },
      );
    return reply.send(encodeModel(entry));
  },
};
