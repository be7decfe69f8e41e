/** Tells people that a budget is nearly or wholly used up: in the log, at the budget's webhook and at that of the configuration. */
import { request } from 'undici';
import type { Budget } from '../store/budgets.ts';
import { nano } from './admit.ts';
import { windowAt } from './budget-window.ts';

const timeoutMs = 10_000;
/** Part of a budget from which on it counts as nearly spent. */
const nearly = 0.8;

/** What `warn` gets: fields for the log, and a sentence. */
export type Warn = (fields: Record<string, unknown>, message: string) => void;

export type BudgetAlertsDeps = {
  warn: Warn;
  /** Told of every budget; undefined when the configuration names none. Asked each time. */
  webhook: () => string | undefined;
  now: () => number;
};

/**
 * Gives what hears how a budget's sum grew. A webhook gets a POST with JSON: event `budget.nearly_spent` (at 80 %) or `budget.exhausted`, budget
 * id, scope, scope_id, period, soft, amount and spent (USD), resets_at (ISO 8601, or null). It is tried once; a failure is logged.
 */
export function createBudgetAlerts({ warn, webhook, now }: BudgetAlertsDeps) {
  const tell = (budget: Budget, spent: number, isExhausted: boolean) => {
    const { end } = windowAt(budget.period, now());
    const event = {
      event: isExhausted ? 'budget.exhausted' : 'budget.nearly_spent',
      budget: budget.id,
      scope: budget.scope,
      scope_id: budget.scopeId || null,
      period: budget.period,
      soft: budget.soft,
      amount: budget.amountNano / nano,
      spent: spent / nano,
      resets_at: Number.isFinite(end) ? new Date(end).toISOString() : null,
    };
    const exhausted = budget.soft
      ? 'A budget is used up; it only warns.'
      : 'A budget is used up; requests are refused.';
    warn(event, isExhausted ? exhausted : 'A budget is nearly used up.');
    for (const url of new Set([budget.webhook, webhook()]))
      if (url) call(url, event).catch((error) => warn({ budget: budget.id, error }, 'The webhook failed.'));
  };
  /** `before` and `after` in nano-dollars. */
  return (budget: Budget, before: number, after: number) => {
    const { amountNano } = budget;
    const passes = (bound: number) => before < bound && after >= bound;
    if (passes(amountNano)) tell(budget, after, true);
    else if (passes(amountNano * nearly)) tell(budget, after, false);
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
