/** When budgets begin anew: at 00:00 UTC of the day, of Monday, of the first of the month, or never. */
import type { BudgetPeriod } from '../store/budgets.ts';
import { dayMs, dayOf } from '../store/ledger-tables.ts';

export type Window = {
  /** Milliseconds since 1970. */ start: number /** Not part of it; Infinity for `forever`. */;
  end: number;
};

export function windowAt(period: BudgetPeriod, now: number): Window {
  const day = dayOf(now);
  switch (period) {
    case 'day':
      return { start: day, end: day + dayMs };
    case 'week': {
      // 1970-01-01 was a Thursday.
      const start = day - ((day / dayMs + 3) % 7) * dayMs;
      return { start, end: start + 7 * dayMs };
    }
    case 'month': {
      const date = new Date(now);
      return {
        start: Date.UTC(date.getUTCFullYear(), date.getUTCMonth()),
        end: Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1),
      };
    }
    case 'forever':
      return { start: 0, end: Number.POSITIVE_INFINITY };
  }
}
