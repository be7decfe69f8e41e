import type { Endpoint } from '../define.ts';
import { bareDigest, detailsOf } from './details.ts';

/** GET /api/tags — https://docs.ollama.com/api/tags */
export const tags: Endpoint = {
  method: 'GET',
  path: '/api/tags',
  async handle({ reply, services }) {
    const models = await services.models.list();
    reply.send({
      models: models.map((model) => ({
        name: model.name,
        model: model.name,
        modified_at: new Date(model.modifiedAt).toISOString(),
        size: model.size,
        digest: bareDigest(model.digest),
        details: detailsOf(model),
      })),
    });
  },
};
