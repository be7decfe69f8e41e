import { z } from 'zod';
import { displayName, parseName } from '../../models/names.ts';
import type { Endpoint } from '../define.ts';
import { bodyOf, modelField, modelOf } from './body.ts';

const schema = z.object(modelField);

/** DELETE /api/delete — https://docs.ollama.com/api/delete */
export const deleteModel: Endpoint = {
  method: 'DELETE',
  path: '/api/delete',
  body: schema,
  access: 'admin',
  async handle(exchange) {
    const { models, scheduler } = exchange.services;
    const name = parseName(modelOf(bodyOf(exchange, schema)));
    await models.remove(name);
    scheduler.unload(displayName(name));
    exchange.reply.send();
  },
};
