/** Counting within this process: exact for a single instance, also over a restart, because budgets begin with what the ledger says. */
import type { Budget } from '../store/budgets.ts';
import { type Window, windowAt } from './budget-window.ts';
import {
  type Amounts,
  budgetWaitMs,
  type Counters,
  type Hold,
  type Meter,
  maxBudgetWaiters,
  minuteMs,
  type Outcome,
  type Reading,
} from './counters.ts';

export type MemoryCountersDeps = {
  now: () => number;
  /**
   * Sum what was spent on a budget from the day `from` on, and call `set` with it: at that moment the sum holds everything
   * that was ever passed to `spend`, and nothing is passed before `set` returns.
   */
  load(budget: Budget, from: number, set: (nano: number) => void): Promise<void>;
  /** What was spent on a budget grew, nano-dollars. */
  grew(budget: Budget, before: number, after: number): void;
};

type Bucket = { perMinute: number; level: number; at: number };
type Slots = { taken: number };
type Account = {
  budget: Budget;
  window: Window;
  spent: number;
  reserved: number;
  /** Settles when `spent` is known; undefined from then on. */
  loading: Promise<void> | undefined;
  /** Spent while that was being found out, and therefore in it. */
  early: number;
  waiters: (() => void)[];
};

export function memoryCounters({ now, load, grew }: MemoryCountersDeps): Counters {
  const buckets = new Map<string, Bucket>();
  const slots = new Map<string, Slots>();
  const accounts = new Map<string, Account>();

  const bucketOf = (id: string, perMinute: number): Bucket => {
    let bucket = buckets.get(id);
    if (!bucket) {
      bucket = { perMinute, level: perMinute, at: now() };
      buckets.set(id, bucket);
    }
    // The limit was changed while the bucket was in use.
    if (bucket.perMinute !== perMinute) {
      bucket.level = Math.min(bucket.level + Math.max(0, perMinute - bucket.perMinute), perMinute);
      bucket.perMinute = perMinute;
    }
    return bucket;
  };

  const slotsOf = (id: string): Slots => {
    let taken = slots.get(id);
    if (!taken) {
      taken = { taken: 0 };
      slots.set(id, taken);
    }
    return taken;
  };

  /** The account of the running window. */
  const accountOf = (budget: Budget): Account => {
    const known = accounts.get(budget.id);
    const time = now();
    if (known && time < known.window.end) {
      known.budget = budget;
      return known;
    }
    const account: Account = {
      budget,
      window: windowAt(budget.period, time),
      spent: 0,
      reserved: 0,
      loading: undefined,
      early: 0,
      waiters: known?.waiters ?? [],
    };
    accounts.set(budget.id, account);
    // A window that begins while we count begins with nothing; the first one begins with what the ledger has.
    if (!known) {
      account.loading = load(budget, account.window.start, (nano) => {
        account.spent = nano;
        account.loading = undefined;
        grew(budget, nano - account.early, nano);
      });
      // Whoever waits for it hears of the failure; the next request tries again.
      account.loading.catch(() => accounts.delete(budget.id));
    }
    return account;
  };

  const wake = (account: Account) => {
    if (account.waiters.length === 0) return;
    // After the current turn: the ledger row of the request that gives back may come a moment later.
    setImmediate(() => {
      for (const waiter of account.waiters.splice(0)) waiter();
    });
  };

  return {
    prepare(meters) {
      const states = meters.map((meter) => prepared(meter, bucketOf, slotsOf));
      const take = (amounts: Amounts, deadline: number): Outcome | Promise<Outcome> => {
        const loading = loadingOf(states, accountOf);
        if (loading) return loading.then(() => take(amounts, deadline));
        const time = now();
        const refusal = firstRefusal(states, amounts, time, accountOf);
        if (!refusal) return { hold: new Place(states, amounts, accountOf, wake) };
        const { contended, ...plain } = refusal;
        if (!contended || time >= deadline || contended.waiters.length >= maxBudgetWaiters) return { refusal: plain };
        return wait(contended, deadline - time).then(() => take(amounts, deadline));
      };
      return (amounts) => take(amounts, now() + budgetWaitMs);
    },

    spend(budgets, nano, startedAt) {
      for (const budget of budgets) {
        const account = accountOf(budget);
        if (startedAt < account.window.start) continue;
        if (account.loading) {
          account.early += nano;
          continue;
        }
        account.spent += nano;
        grew(budget, account.spent - nano, account.spent);
      }
    },

    async spent(budget) {
      const account = accountOf(budget);
      await account.loading;
      return account.spent;
    },

    async close() {},
  };
}

type State =
  | { kind: 'requests' | 'tokens'; meter: Meter; bucket: Bucket }
  | { kind: 'concurrent'; meter: Meter; limit: number; slots: Slots }
  | { kind: 'budget'; meter: Extract<Meter, { kind: 'budget' }> };

function prepared(
  meter: Meter,
  bucketOf: (id: string, perMinute: number) => Bucket,
  slotsOf: (id: string) => Slots,
): State {
  switch (meter.kind) {
    case 'requests':
    case 'tokens':
      return { kind: meter.kind, meter, bucket: bucketOf(meter.id, meter.perMinute) };
    case 'concurrent':
      return { kind: meter.kind, meter, limit: meter.limit, slots: slotsOf(meter.id) };
    case 'budget':
      return { kind: meter.kind, meter };
  }
}

/** A request larger than the whole bucket may pass when the bucket is full. */
const wanted = (kind: 'requests' | 'tokens', tokens: number, bucket: Bucket) =>
  kind === 'requests' ? 1 : Math.min(tokens, bucket.perMinute);

function refill(bucket: Bucket, time: number) {
  if (time <= bucket.at) return;
  bucket.level = Math.min(bucket.perMinute, bucket.level + ((time - bucket.at) * bucket.perMinute) / minuteMs);
  bucket.at = time;
}

const loadingOf = (states: State[], accountOf: (budget: Budget) => Account) => {
  for (const state of states)
    if (state.kind === 'budget') {
      const { loading } = accountOf(state.meter.budget);
      if (loading) return loading;
    }
  return undefined;
};

function firstRefusal(states: State[], amounts: Amounts, time: number, accountOf: (budget: Budget) => Account) {
  for (const state of states) {
    const verdict = check(state, amounts, time, accountOf);
    if (verdict !== 'fits') return { ...verdict, meter: state.meter, readings: readAll(states) };
  }
  return undefined;
}

type Verdict = 'fits' | { retryAfterMs?: number; contended?: Account };

function check(state: State, amounts: Amounts, time: number, accountOf: (budget: Budget) => Account): Verdict {
  switch (state.kind) {
    case 'requests':
    case 'tokens': {
      const { bucket, kind } = state;
      refill(bucket, time);
      const missing = wanted(kind, amounts.tokens, bucket) - bucket.level;
      // Refilling in small steps rounds: a full bucket may be a hair below full.
      if (missing <= 1e-6) return 'fits';
      return bucket.perMinute > 0 ? { retryAfterMs: (missing * minuteMs) / bucket.perMinute } : {};
    }
    case 'concurrent':
      return state.slots.taken < state.limit ? 'fits' : { retryAfterMs: 1000 };
    case 'budget': {
      const { budget } = state.meter;
      const account = accountOf(budget);
      const retryAfterMs = account.window.end - time;
      const reset = Number.isFinite(retryAfterMs) ? { retryAfterMs } : {};
      if (account.spent >= budget.amountNano) return reset;
      return account.spent + account.reserved < budget.amountNano ? 'fits' : { ...reset, contended: account };
    }
  }
}

function wait(account: Account, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(() => {
      account.waiters.splice(account.waiters.indexOf(done), 1);
      resolve();
    }, ms);
    account.waiters.push(done);
  });
}

type Reserve = { account: Account; nano: number };

/** A place in every meter; all were found to fit. A class, because one is made for every request. */
class Place implements Hold {
  readonly readings: Reading[];
  readonly #states: State[];
  readonly #tokens: number;
  readonly #reserves: Reserve[];
  readonly #wake: (account: Account) => void;

  constructor(
    states: State[],
    amounts: Amounts,
    accountOf: (budget: Budget) => Account,
    wake: (account: Account) => void,
  ) {
    this.#states = states;
    this.#tokens = amounts.tokens;
    this.#reserves = [];
    this.#wake = wake;
    for (const state of states) {
      if (state.kind === 'concurrent') state.slots.taken++;
      else if (state.kind === 'budget') this.#reserves.push(reserve(accountOf(state.meter.budget), amounts.nano));
      else state.bucket.level -= wanted(state.kind, amounts.tokens, state.bucket);
    }
    this.readings = readAll(states);
  }

  settle(tokens: number): void {
    for (const state of this.#states) {
      if (state.kind === 'concurrent') state.slots.taken--;
      else if (state.kind === 'tokens') {
        const { bucket } = state;
        bucket.level = Math.min(bucket.perMinute, bucket.level + wanted('tokens', this.#tokens, bucket) - tokens);
      }
    }
    for (const { account, nano } of this.#reserves) {
      account.reserved -= nano;
      this.#wake(account);
    }
  }

  release(): void {
    this.settle(0);
  }
}

function reserve(account: Account, wished: number): Reserve {
  const nano = Math.min(wished, account.budget.amountNano - account.spent - account.reserved);
  account.reserved += nano;
  return { account, nano };
}

function readAll(states: State[]): Reading[] {
  const readings: Reading[] = [];
  for (const state of states)
    if (state.kind === 'requests' || state.kind === 'tokens') {
      const { level, perMinute } = state.bucket;
      readings.push({
        kind: state.kind,
        limit: perMinute,
        remaining: Math.max(0, Math.floor(level + 1e-6)),
        resetMs: perMinute > 0 ? ((perMinute - level) * minuteMs) / perMinute : minuteMs,
      });
    }
  return readings;
}
