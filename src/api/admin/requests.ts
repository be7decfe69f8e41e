/** GET /admin/requests: the log, one entry per attempt; with an id, what was kept of prompt and answer too. */
import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import { nano } from '../../gateway/admit.ts';
import type { LedgerRow } from '../../store/ledger-tables.ts';
import { type AdminEndpoint, visibleTeams } from './actor.ts';
import { oneLine, parsed } from './shapes.ts';

const shape = z.strictObject({
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  before: z.coerce.number().int().optional(),
  key: oneLine.optional(),
  team: oneLine.optional(),
  failed: z.enum(['true', 'false']).optional(),
});

export const requests: AdminEndpoint[] = [
  {
    method: 'GET',
    path: '/admin/requests',
    needs: 'read',
    query: shape,
    async handle({ request, reply, actor, services }) {
      const query = parsed(shape, request.query);
      const teamIds = await visibleTeams(actor, query.team, services);
      const rows = await services.ledger.requests({
        limit: query.limit + 1,
        ...(query.before !== undefined && { before: query.before }),
        ...(query.key && { keyId: query.key }),
        ...(teamIds && { teamIds }),
        ...(query.failed === 'true' && { failed: true }),
      });
      return reply.send({
        object: 'list',
        data: rows.slice(0, query.limit).map(view),
        has_more: rows.length > query.limit,
      });
    },
  },
  {
    method: 'GET',
    path: '/admin/requests/:id',
    needs: 'read',
    async handle({ request, reply, actor, services }) {
      const { id } = request.params as { id: string };
      const teamIds = await visibleTeams(actor, undefined, services);
      const rows = await services.ledger.requests({ limit: 100, requestId: id, ...(teamIds && { teamIds }) });
      if (rows.length === 0) throw new ViaductError('not_found', `There is no request ${id}.`, { param: 'id' });
      const contents = await services.contents.find(id, teamIds);
      return reply.send({
        object: 'request',
        id,
        attempts: rows.reverse().map(view),
        contents: contents.map((content) => ({
          request: content.request,
          answer: content.answer,
          expires_at: new Date(content.expiresAt).toISOString(),
        })),
      });
    },
  },
];

const view = (row: LedgerRow) => ({
  id: row.id,
  request_id: row.request_id,
  attempt: row.attempt,
  shadow: row.shadow === 1,
  key: row.key_id || null,
  team: row.team_id || null,
  endpoint: row.endpoint,
  model: row.model,
  provider: row.provider,
  target: row.target,
  input_tokens: row.input_tokens,
  output_tokens: row.output_tokens,
  cached_tokens: row.cache_read_tokens,
  reasoning_tokens: row.reasoning_tokens,
  image_tokens: row.image_tokens,
  estimated: row.estimated === 1,
  cost: row.cost_nano === null ? null : row.cost_nano / nano,
  status: row.status,
  cause: row.cause,
  started_at: row.started_at,
  first_token_ms: row.first_token_ms,
  total_ms: row.total_ms,
  queue_ms: row.queue_ms,
  load_ms: row.load_ms,
  digest: row.digest,
  stream: row.stream === 1,
  tags: JSON.parse(row.tags) as string[],
  metadata: JSON.parse(row.metadata) as Record<string, string>,
});
