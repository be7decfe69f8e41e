/** GET /admin/usage: the bill, by key, team, model, provider or day, as JSON or CSV. Days are UTC; `until` is included. */
import { z } from 'zod';
import { nano } from '../../gateway/admit.ts';
import { type UsageLine, usageGroups } from '../../store/ledger.ts';
import { dayMs, dayOf } from '../../store/ledger-tables.ts';
import { type AdminEndpoint, visibleTeams } from './actor.ts';
import { moment, oneLine, parsed, timeOf } from './shapes.ts';

const shape = z.strictObject({
  by: z.enum(usageGroups).default('day'),
  from: moment.optional(),
  until: moment.optional(),
  key: oneLine.optional(),
  team: oneLine.optional(),
  model: oneLine.optional(),
  provider: oneLine.optional(),
  format: z.enum(['json', 'csv']).default('json'),
});

export const usage: AdminEndpoint[] = [
  {
    method: 'GET',
    path: '/admin/usage',
    needs: 'read',
    query: shape,
    async handle({ request, reply, actor, services }) {
      const query = parsed(shape, request.query);
      const teamIds = await visibleTeams(actor, query.team, services);
      const lines = await services.ledger.usage({
        by: query.by,
        ...(query.from && { from: dayOf(timeOf(query.from, 'from', services.now())) }),
        ...(query.until && { until: dayOf(timeOf(query.until, 'until', services.now())) + dayMs }),
        ...(query.key && { keyId: query.key }),
        ...(teamIds && { teamIds }),
        ...(query.model && { model: query.model }),
        ...(query.provider && { provider: query.provider }),
      });
      const data = lines.map(view);
      if (query.format === 'json') return reply.send({ object: 'list', by: query.by, data, has_more: false });
      reply.header('content-disposition', `attachment; filename="usage-by-${query.by}.csv"`);
      return reply.type('text/csv; charset=utf-8').send(csv(data));
    },
  },
];

const view = (line: UsageLine) => ({
  group: line.group,
  name: line.name,
  requests: line.requests,
  attempts: line.attempts,
  errors: line.errors,
  input_tokens: line.input_tokens,
  output_tokens: line.output_tokens,
  cached_tokens: line.cache_read_tokens,
  reasoning_tokens: line.reasoning_tokens,
  image_tokens: line.image_tokens,
  cost: line.cost_nano / nano,
  unpriced: line.unpriced,
});

type Line = ReturnType<typeof view>;
const columns: (keyof Line)[] = [
  'group',
  'name',
  'requests',
  'attempts',
  'errors',
  'input_tokens',
  'output_tokens',
  'cached_tokens',
  'reasoning_tokens',
  'image_tokens',
  'cost',
  'unpriced',
];

/** RFC 4180. A name that begins like a formula is made harmless for spreadsheets. */
export function csv(lines: Line[]): string {
  const cell = (value: string | number | null) => {
    if (value === null) return '';
    if (typeof value === 'number') return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns.join(','), ...lines.map((line) => columns.map((name) => cell(line[name])).join(',')), ''].join(
    '\r\n',
  );
}
