import { z } from 'zod';
import { parseName } from '../../models/names.ts';
import type { Endpoint } from '../define.ts';
import { bodyOf, modelField, modelOf } from './body.ts';

/** DELETE /api/delete — https://docs.ollama.com/api/delete */
export const deleteModel: Endpoint = {
  method: 'DELETE',
  path: '/api/delete',
  access: 'admin',
  async handle(exchange) {
    await exchange.services.models.remove(parseName(modelOf(bodyOf(exchange, z.object(modelField)))));
    exchange.reply.send();
  },
};
