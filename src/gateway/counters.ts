/**
 * What limits and budgets count with. Two implementations: in this process (counters-memory.ts) and shared by several
 * instances (counters-redis.ts).
 *
 * A request takes its place in all its meters at once, or in none. Rates are token buckets that refill all the time, as
 * OpenAI's are: `remaining` and `reset` of its headers are the bucket's fill and the time until it is full.
 * A hard budget holds back what requests in flight may cost; who would exceed it only because of them waits for them.
 */
import type { Budget } from '../store/budgets.ts';

/** `label` is for messages: `key "my-app"`. */
export type Meter =
  | { kind: 'requests' | 'tokens'; id: string; label: string; perMinute: number }
  | { kind: 'concurrent'; id: string; label: string; limit: number }
  | { kind: 'budget'; id: string; label: string; budget: Budget };

/** `nano`: nano-dollars to hold back in budgets. */
export type Amounts = { tokens: number; nano: number };

/** State of one rate after taking: whole units left, and milliseconds until all are back. */
export type Reading = { kind: 'requests' | 'tokens'; limit: number; remaining: number; resetMs: number };

/** Exactly one of the two is called, once. */
export type Hold = {
  readings: Reading[];
  /** Ended, and took so many tokens. */
  settle(tokens: number): void;
  /** Ended before anything was used: tokens go back, the request still counts, as with OpenAI. */
  release(): void;
};

export type Refusal = {
  meter: Meter;
  readings: Reading[];
  /** Until it may be tried again; absent when waiting does not help. */
  retryAfterMs?: number;
};

export type Outcome = { hold: Hold } | { refusal: Refusal };
export type Take = (amounts: Amounts) => Outcome | Promise<Outcome>;

export type Counters = {
  /** Look the meters up once; taking is then cheap. */
  prepare(meters: readonly Meter[]): Take;
  /** An attempt that began at `startedAt` cost so much. Called for every ledger row that is not shadow traffic. */
  spend(budgets: readonly Budget[], nano: number, startedAt: number): void;
  /** For reports: spent in the running window, nano-dollars. */
  spent(budget: Budget): Promise<number>;
  /** Whether what they are shared through answers; absent where nothing is shared. May also throw or take long. */
  isReachable?(): Promise<boolean>;
  close(): Promise<void>;
};

/** How long a request waits for others to give back what they hold of a budget. */
export const budgetWaitMs = 10_000;
/** Beyond so many waiting for one budget the next is refused at once. */
export const maxBudgetWaiters = 1000;
export const minuteMs = 60_000;
