/** Tells people that a budget is used up: in the log, and at the budget's webhook. */
import { request } from 'undici';
import type { Budget } from '../store/budgets.ts';
import { nano } from './admit.ts';
import { windowAt } from './budget-window.ts';

const timeoutMs = 10_000;

/** What `warn` gets: fields for the log, and a sentence. */
export type Warn = (fields: Record<string, unknown>, message: string) => void;

/**
 * The webhook gets a POST with JSON: event `budget.exhausted`, budget id, scope, scope_id, period, soft, amount and spent
 * (USD), resets_at (ISO 8601, or null). It is tried once; a failure is logged.
 */
export function createBudgetAlerts({ warn, now }: { warn: Warn; now: () => number }) {
  return (budget: Budget, spent: number) => {
    const { end } = windowAt(budget.period, now());
    const event = {
      event: 'budget.exhausted',
      budget: budget.id,
      scope: budget.scope,
      scope_id: budget.scopeId || null,
      period: budget.period,
      soft: budget.soft,
      amount: budget.amountNano / nano,
      spent: spent / nano,
      resets_at: Number.isFinite(end) ? new Date(end).toISOString() : null,
    };
    warn(event, budget.soft ? 'A budget is used up; it only warns.' : 'A budget is used up; requests are refused.');
    if (budget.webhook)
      call(budget.webhook, event).catch((error) => warn({ budget: budget.id, error }, 'The webhook failed.'));
  };
}

async function call(url: string, event: object) {
  const { statusCode, body } = await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(event),
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  });
  await body.dump();
  if (statusCode >= 300) throw new Error(`The webhook answered ${statusCode}.`);
}
