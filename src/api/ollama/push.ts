import { z } from 'zod';
import { parseName } from '../../models/names.ts';
import { pushModel } from '../../models/push.ts';
import type { Endpoint } from '../define.ts';
import { bodyOf, modelField, modelOf } from './body.ts';
import { answerProgress } from './progress.ts';

const schema = z.object({ ...modelField, insecure: z.boolean().nullish(), stream: z.boolean().nullish() });

/** POST /api/push — https://docs.ollama.com/api/push */
export const push: Endpoint = {
  method: 'POST',
  path: '/api/push',
  body: schema,
  access: 'admin',
  async handle(exchange) {
    const body = bodyOf(exchange, schema);
    const name = modelOf(body);
    parseName(name);
    const { caller, services } = exchange;
    await answerProgress(exchange, body.stream ?? true, (onProgress) =>
      pushModel(services.models, name, { insecure: body.insecure ?? false, signal: caller.signal, onProgress }),
    );
  },
};
