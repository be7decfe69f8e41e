/** /admin/budgets: what a key, a team or everybody together may spend. A team's manager sets budgets of the team's keys. */
import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import type { Budget } from '../../store/budgets.ts';
import { type AdminEndpoint, type AdminExchange, mayManage, maySee } from './actor.ts';
import { record } from './audit-trail.ts';
import { amountShape, budgetView, oneLine, parsed, periodOf, periodShape } from './shapes.ts';

const createShape = z.strictObject({
  scope: z.enum(['key', 'team', 'total']),
  scope_id: oneLine.nullish(),
  period: periodShape.default('month'),
  amount: amountShape,
  soft: z.boolean().optional(),
  webhook: z.url().nullish(),
});
const updateShape = z.strictObject({
  amount: amountShape.optional(),
  soft: z.boolean().optional(),
  webhook: z.url().nullish(),
});

export const budgets: AdminEndpoint[] = [
  {
    method: 'POST',
    path: '/admin/budgets',
    needs: 'manage',
    body: createShape,
    async handle(exchange) {
      const { actor, services } = exchange;
      const { scope, scope_id, period, amount, soft, webhook } = parsed(createShape, exchange.request.body);
      const { administration } = services.boundary;
      if (actor.role !== 'admin') {
        const key = scope === 'key' && scope_id ? await administration.keys.get(scope_id) : undefined;
        if (!key || !mayManage(actor, key.teamId))
          throw new ViaductError('permission_denied', 'A manager sets budgets of the own team’s keys only.', {
            param: 'scope',
          });
      }
      const budget = await administration.budgets.create({
        scope,
        amount,
        period: periodOf(period),
        ...(scope_id && { scopeId: scope_id }),
        ...(soft !== undefined && { soft }),
        ...(webhook && { webhook }),
      });
      await record(exchange, 'budget.create', budget.id, { scope, scope_id, period, amount, soft });
      return exchange.reply.status(201).send(await viewOf(exchange, budget));
    },
  },
  {
    method: 'GET',
    path: '/admin/budgets',
    needs: 'read',
    async handle(exchange) {
      const all = await exchange.services.boundary.administration.budgets.list();
      const seen = all.filter((budget) => maySee(exchange.actor, teamOf(exchange, budget)));
      const data = await Promise.all(seen.map((budget) => viewOf(exchange, budget)));
      return exchange.reply.send({ object: 'list', data, has_more: false });
    },
  },
  {
    method: 'GET',
    path: '/admin/budgets/:id',
    needs: 'read',
    async handle(exchange) {
      return exchange.reply.send(await viewOf(exchange, await budgetFor(exchange)));
    },
  },
  {
    method: 'POST',
    path: '/admin/budgets/:id',
    needs: 'manage',
    body: updateShape,
    async handle(exchange) {
      const budget = await changeable(exchange);
      const { amount, soft, webhook } = parsed(updateShape, exchange.request.body);
      const changed = await exchange.services.boundary.administration.budgets.update(budget.id, {
        ...(amount !== undefined && { amount }),
        ...(soft !== undefined && { soft }),
        ...(webhook !== undefined && { webhook }),
      });
      await record(exchange, 'budget.update', budget.id, { amount, soft });
      return exchange.reply.send(await viewOf(exchange, changed));
    },
  },
  {
    method: 'DELETE',
    path: '/admin/budgets/:id',
    needs: 'manage',
    async handle(exchange) {
      const budget = await changeable(exchange);
      await exchange.services.boundary.administration.budgets.remove(budget.id);
      await record(exchange, 'budget.remove', budget.id);
      return exchange.reply.send({ object: 'budget', id: budget.id, deleted: true });
    },
  },
];

async function viewOf({ services }: AdminExchange, budget: Budget) {
  return budgetView(budget, await services.boundary.counters.spent(budget), services.now());
}

/** The team that a budget concerns; null when it concerns none. */
function teamOf({ services }: AdminExchange, { scope, scopeId }: Budget): string | null {
  if (scope === 'team') return scopeId;
  return scope === 'key' ? (services.boundary.directory.subject(scopeId)?.key.teamId ?? null) : null;
}

async function budgetFor(exchange: AdminExchange): Promise<Budget> {
  const { id } = exchange.request.params as { id: string };
  const budget = await exchange.services.boundary.administration.budgets.get(id);
  if (!maySee(exchange.actor, teamOf(exchange, budget)))
    throw new ViaductError('not_found', `There is no budget ${id}.`, { param: 'id' });
  return budget;
}

/** A team's own budget is what the administrator gave it. */
async function changeable(exchange: AdminExchange): Promise<Budget> {
  const budget = await budgetFor(exchange);
  const { actor } = exchange;
  if (actor.role === 'admin' || (budget.scope === 'key' && mayManage(actor, teamOf(exchange, budget)))) return budget;
  throw new ViaductError('permission_denied', 'You may see this budget, not change it.');
}
