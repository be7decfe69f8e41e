/**
 * Ask targets until one answers. Until the first content nothing has gone out, so every failure may be hidden behind another attempt;
 * `open` resolves only then. What may have passed by itself is tried again, in rounds over the targets, with jitter and never before the
 * provider's own Retry-After. What the client did wrong is never tried twice.
 */
import { type ErrorCode, ViaductError } from '../core/errors.ts';
import type { CallContext, CallReport, Cancel } from '../core/provider.ts';
import type { Usage } from '../core/usage.ts';
import { Canceller } from '../lib/cancel.ts';
import { createDeadlines, type Deadline } from '../lib/deadlines.ts';
import { contextOf, type Target } from './route/target.ts';

/** One request to one target, from its start to the last byte of its answer. */
export type Attempt = {
  readonly target: Target;
  /** 1 = the call's first. */
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Milliseconds from the start to the first content. */
  firstTokenMs: number | undefined;
  readonly context: CallContext;
  /** Aborted when the attempt has ended with an error; `context` has it too. */
  readonly cancel: Cancel;
  /** The first content is here: from now on only silence between pieces, and no longer the wait for it, ends the attempt. */
  opened(): void;
  /** This is the call's answer, there is no way back: whatever happens is billed. `measure` says what was used so far. */
  answering(measure: () => Measured): void;
  /** Something came. */
  touch(): void;
  /** It is over, with what went wrong if anything did. Only the first call counts. Resolves when its ledger entry outlives a kill. */
  end(error?: ViaductError): Promise<void> | undefined;
};

export type Measured = {
  usage: Usage;
  /** The provider told nothing, so we counted. */
  estimated: boolean;
  /** The provider's name of the model, where it is known only from the reply. */
  model?: string;
};

export type AttemptLimits = {
  firstTokenMs: number;
  idleMs: number;
  /** Milliseconds since 1970 at which the call must be over. */
  deadline: number | undefined;
  retries: number;
  contentFilterFallback: boolean;
  privacy?: 'local' | undefined;
};

export type Course = {
  /** The client's: ends everything. */
  leaving: Cancel;
  requestId: string;
  limits: AttemptLimits;
  /** Before each attempt; may throw to skip the target. */
  enter(target: Target): void | Promise<void>;
  /** An attempt begins. */
  began(attempt: Attempt): void;
  /** The provider's answer began, or failed to. */
  answered(): void;
  /** After each attempt, however it went; `measured` is absent when it was not the call's answer. */
  ended(
    attempt: Attempt,
    measured: Measured | undefined,
    error: ViaductError | undefined,
    totalMs: number,
  ): Promise<void> | undefined;
};

/** Longest wait between two rounds; a provider that asks for more is not waited for. */
const longestWaitMs = 10_000;
const firstWaitMs = 250;

/**
 * Resolves with what `open` gave for the first target that answered; that attempt is still running until its `end`.
 * Throws the last failure.
 */
export async function attempt<T>(
  targets: readonly Target[],
  course: Course,
  open: (current: Attempt) => Promise<T>,
): Promise<{ current: Attempt; result: T }> {
  const { leaving } = course;
  const turns = new Turns(targets, course);
  let failure: ViaductError | undefined;
  let number = 0;
  for (;;) {
    const target = turns.next() ?? (failure && (await turns.afterPause(failure)));
    if (!target) throw failure ?? new ViaductError('model_not_found', noTarget, { param: 'model' });
    if (leaving.aborted) throw leaving.reason;
    const current = new RunningAttempt(target, ++number, course);
    course.began(current);
    try {
      const entering = course.enter(target);
      if (entering) await entering;
      return { current, result: await open(current) };
    } catch (thrown) {
      const { aborted, reason } = current.cancel;
      failure = ViaductError.from(aborted ? reason : thrown);
      await current.end(failure);
      turns.failed(target, failure);
    } finally {
      course.answered();
    }
  }
}

const noTarget = 'No target is left that could serve this request.';

/** Whose turn it is: each target once in a round, and in the next round those that are worth it. */
class Turns {
  readonly #course: Course;
  #left: readonly Target[];
  #at = 0;
  #round = 0;
  #again: Target[] = [];
  /** Milliseconds since 1970 before which a target does not want to be asked again. */
  #readyAt: Map<Target, number> | undefined;
  /** Tokens that proved too few in this round. */
  #tooFew = 0;

  constructor(targets: readonly Target[], course: Course) {
    this.#left = targets;
    this.#course = course;
  }

  /** Undefined: the round is over. */
  next(): Target | undefined {
    for (;;) {
      const target = this.#left[this.#at++];
      if (!target) return undefined;
      if ((this.#readyAt?.get(target) ?? 0) > Date.now()) this.#again.push(target);
      else if (this.#tooFew === 0 || (contextOf(target) ?? Infinity) > this.#tooFew) return target;
    }
  }

  /** Throws `failure` when it is not to be hidden behind another attempt. */
  failed(target: Target, failure: ViaductError): void {
    const { limits, leaving } = this.#course;
    const { code, retryAfter = 0 } = failure;
    const next = leaving.aborted || isOver(limits) ? 'stop' : afterwards(failure, limits);
    if (next === 'stop') throw failure;
    if (code === 'context_length_exceeded') this.#tooFew = contextOf(target) ?? 0;
    if (next === 'next') return;
    this.#again.push(target);
    this.#readyAt ??= new Map();
    this.#readyAt.set(target, Date.now() + retryAfter * 1000);
  }

  /** Waits for the next round and gives its first target; undefined when there is none. Throws `last` when the wait is too long. */
  async afterPause(last: ViaductError): Promise<Target | undefined> {
    const { limits, leaving } = this.#course;
    while (this.#again.length > 0 && this.#round < limits.retries) {
      this.#left = this.#again;
      this.#again = [];
      this.#at = 0;
      this.#tooFew = 0;
      const readyAt = Math.min(...this.#left.map((target) => this.#readyAt?.get(target) ?? 0));
      await pause(++this.#round, readyAt, last, limits, leaving);
      const target = this.next();
      if (target) return target;
    }
    return undefined;
  }
}

const isOver = ({ deadline }: AttemptLimits) => deadline !== undefined && Date.now() >= deadline;

/** What follows a failure: `stop` shows it to the client, `next` gives this target up, `again` keeps it for another round. */
function afterwards(error: ViaductError, { contentFilterFallback }: AttemptLimits): 'stop' | 'next' | 'again' {
  switch (error.code) {
    case 'content_policy_violation':
      return contentFilterFallback ? 'next' : 'stop';
    // The provider's view of a name that ours sent it; a bug of one provider's code is no reason to give up either.
    case 'model_not_found':
    case 'internal_error':
      return 'next';
    case 'provider_unavailable':
    case 'provider_overloaded':
    case 'provider_rate_limited':
    case 'provider_invalid_response':
    case 'runner_crashed':
      return 'again';
    default:
      return error.fallback ? 'next' : 'stop';
  }
}

/** Wait before another round until `readyAt`, when a target may be asked again, and ever longer, with jitter. Throws `last` when that is too long. */
async function pause(
  round: number,
  readyAt: number,
  last: ViaductError,
  { deadline }: AttemptLimits,
  leaving: Cancel,
): Promise<void> {
  const jitter = 0.5 + Math.random();
  const readyMs = readyAt - Date.now();
  const waitMs = Math.max(firstWaitMs * 2 ** (round - 1) * jitter, readyMs > 0 ? readyMs + 50 * jitter : 0);
  if (waitMs > longestWaitMs || (deadline !== undefined && Date.now() + waitMs >= deadline)) throw last;
  await new Promise<void>((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      forget();
      if (leaving.aborted) reject(leaving.reason);
      else resolve();
    };
    const timer = setTimeout(done, waitMs);
    const forget = leaving.onAbort(done);
  });
}

/** Faults of the target itself, which its breaker counts. */
const faults = new Set<ErrorCode>([
  'provider_unavailable',
  'provider_overloaded',
  'provider_timeout',
  'provider_invalid_response',
  'runner_crashed',
  'engine_unavailable',
  'model_load_failed',
]);
const accountCoolMs = 60_000;
const rateLimitedCoolMs = 1_000;

const deadlines = createDeadlines();

/** A class, because a literal with an accessor is made for every request at a hundred times the cost. */
class Context implements CallContext {
  readonly requestId: string;
  readonly report: CallReport = {};
  readonly cancel = new Canceller();
  declare traceHeaders?: Record<string, string>;
  readonly privacy: 'local' | undefined;

  constructor(requestId: string, privacy: 'local' | undefined) {
    this.requestId = requestId;
    this.privacy = privacy;
  }

  get signal(): AbortSignal {
    return this.cancel.signal;
  }
}

/** A class, because one is made for every request: its methods are shared, closures would be made anew. */
class RunningAttempt implements Attempt, Deadline {
  readonly target: Target;
  readonly number: number;
  readonly startedAt = Date.now();
  readonly context: CallContext;
  readonly cancel: Canceller;
  firstTokenMs: number | undefined = undefined;
  /** When it is given up, milliseconds since 1970. */
  at: number;
  place = -1;
  readonly #course: Course;
  readonly #forget: () => void;
  #measure: (() => Measured) | undefined = undefined;
  #over = false;

  constructor(target: Target, number: number, course: Course) {
    const { leaving, requestId, limits } = course;
    const context = new Context(requestId, limits.privacy);
    this.target = target;
    this.number = number;
    this.context = context;
    this.cancel = context.cancel;
    this.#course = course;
    this.at = this.#within(limits.firstTokenMs);
    deadlines.add(this);
    this.#forget = leaving.onAbort((reason) => this.end(ViaductError.from(reason)));
    target.health.begin(this.startedAt);
  }

  opened(): void {
    this.firstTokenMs = Date.now() - this.startedAt;
    this.touch();
  }

  answering(measure: () => Measured): void {
    this.#measure = measure;
  }

  touch(): void {
    this.at = this.#within(this.#course.limits.idleMs);
  }

  expire(): void {
    const what = isOver(this.#course.limits)
      ? 'did not answer in time'
      : this.firstTokenMs === undefined
        ? 'gave no first token in time'
        : 'fell silent in the middle of its answer';
    this.end(new ViaductError('provider_timeout', `The provider ${this.target.provider.name} ${what}.`));
  }

  end(error?: ViaductError): Promise<void> | undefined {
    if (this.#over) return undefined;
    this.#over = true;
    deadlines.remove(this);
    this.#forget();
    if (error) this.cancel.abort(error);
    learn(this.target, error, this.firstTokenMs);
    return this.#course.ended(this, this.#measure?.(), error, Date.now() - this.startedAt);
  }

  #within(ms: number): number {
    return Math.min(Date.now() + ms, this.#course.limits.deadline ?? Infinity);
  }
}

/** Tell the target's health how it went. */
function learn({ health, account }: Target, error: ViaductError | undefined, firstTokenMs: number | undefined): void {
  if (!error) {
    health.succeeded(firstTokenMs);
    account.restUntil = 0;
    return;
  }
  const now = Date.now();
  if (faults.has(error.code)) health.failed(now);
  else health.ended();
  if (error.code === 'provider_account') account.restUntil = now + accountCoolMs;
  else if (error.code === 'provider_rate_limited' || error.code === 'provider_overloaded')
    health.cool(
      now,
      error.retryAfter === undefined ? rateLimitedCoolMs : Math.min(error.retryAfter * 1000, accountCoolMs),
    );
}
