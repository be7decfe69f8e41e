/** GET /admin/audit: who changed what, newest first. */
import { z } from 'zod';
import type { AdminEndpoint } from './actor.ts';
import { parsed } from './shapes.ts';

const shape = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  before: z.coerce.number().int().optional(),
});

export const audit: AdminEndpoint[] = [
  {
    method: 'GET',
    path: '/admin/audit',
    query: shape,
    needs: 'admin',
    async handle({ request, reply, services }) {
      const { limit, before } = parsed(shape, request.query);
      const records = await services.audit.list({ limit: limit + 1, ...(before !== undefined && { before }) });
      return reply.send({ object: 'list', data: records.slice(0, limit), has_more: records.length > limit });
    },
  },
];
