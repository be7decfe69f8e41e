import { z } from 'zod';
import { parseName } from '../../models/names.ts';
import type { Endpoint } from '../define.ts';
import { bodyOf } from './body.ts';

const schema = z.object({ source: z.string(), destination: z.string() });

/** POST /api/copy — https://docs.ollama.com/api/copy */
export const copy: Endpoint = {
  method: 'POST',
  path: '/api/copy',
  body: schema,
  access: 'admin',
  async handle(exchange) {
    const { source, destination } = bodyOf(exchange, schema);
    await exchange.services.models.copy(parseName(source), parseName(destination));
    exchange.reply.send();
  },
};
