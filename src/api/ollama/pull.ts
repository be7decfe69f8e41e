import { z } from 'zod';
import { parseName } from '../../models/names.ts';
import { pullModel } from '../../models/pull.ts';
import { isGgufUrl } from '../../models/sources/url.ts';
import type { Endpoint } from '../define.ts';
import { bodyOf, modelField, modelOf } from './body.ts';
import { answerProgress } from './progress.ts';

const schema = z.object({
  ...modelField,
  insecure: z.boolean().nullish(),
  stream: z.boolean().nullish(),
  /** Viaduct's own: the name for a model that comes from an address. */
  as: z.string().nullish(),
});

/** POST /api/pull — https://docs.ollama.com/api/pull */
export const pull: Endpoint = {
  method: 'POST',
  path: '/api/pull',
  body: schema,
  access: 'admin',
  async handle(exchange) {
    const body = bodyOf(exchange, schema);
    const name = modelOf(body);
    if (!isGgufUrl(name)) parseName(name);
    if (body.as) parseName(body.as);
    const { caller, services } = exchange;
    await answerProgress(exchange, body.stream ?? true, (onProgress) =>
      pullModel(services.models, name, {
        insecure: body.insecure ?? false,
        as: body.as ?? undefined,
        signal: caller.signal,
        onProgress,
      }),
    );
  },
};
