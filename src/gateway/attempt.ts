/**
 * Ask targets until one answers. Until the first content nothing has gone out, so every failure may be hidden behind another attempt;
 * `open` resolves only then. What may have passed by itself is tried again, in rounds over the targets, with jitter and never before the
 * provider's own Retry-After. What the client did wrong is never tried twice.
 */
import { type ErrorCode, ViaductError } from '../core/errors.ts';
import type { CallContext, CallReport } from '../core/provider.ts';
import type { Usage } from '../core/usage.ts';
import { contextOf, type Target } from './route.ts';

/** One request to one target, from its start to the last byte of its answer. */
export type Attempt = {
  readonly target: Target;
  /** 1 = the call's first. */
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Milliseconds from the start to the first content. */
  readonly firstTokenMs: number | undefined;
  readonly context: CallContext;
  /** The first content is here: from now on only silence between pieces ends the attempt. `measure` says what it has used so far. */
  opened(measure: () => Measured): void;
  /** Something came. */
  touch(): void;
  /** It is over, with what went wrong if anything did. Only the first call counts. */
  end(error?: ViaductError): void;
};

export type Measured = {
  usage: Usage;
  /** The provider told nothing, so we counted. */
  estimated: boolean;
};

export type AttemptLimits = {
  firstTokenMs: number;
  idleMs: number;
  /** Milliseconds since 1970 at which the call must be over. */
  deadline: number | undefined;
  retries: number;
  contentFilterFallback: boolean;
};

export type Course = {
  /** The client's: aborts everything. */
  signal: AbortSignal;
  requestId: string;
  limits: AttemptLimits;
  /** Before each attempt; may throw to skip the target. */
  enter(target: Target): void | Promise<void>;
  /** An attempt begins. */
  began(attempt: Attempt): void;
  /** So many milliseconds went by until the provider's answer began, or failed to. */
  waited(ms: number): void;
  /** After each attempt, however it went; `measured` is absent when it never opened. */
  ended(attempt: Attempt, measured: Measured | undefined, error: ViaductError | undefined, totalMs: number): void;
};

/** Longest wait between two rounds; a provider that asks for more is not waited for. */
const longestWaitMs = 10_000;
const firstWaitMs = 250;

/** A target that may be asked, and when at the earliest: milliseconds since 1970. */
type Candidate = { target: Target; readyAt: number };

/**
 * Resolves with what `open` gave for the first target that answered; that attempt is still running until its `end`.
 * Throws the last failure.
 */
export async function attempt<T>(
  targets: readonly Target[],
  course: Course,
  open: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const { signal, limits } = course;
  let last = new ViaductError('model_not_found', 'No target is left that could serve this request.', {
    param: 'model',
  });
  let number = 0;

  /** One try. Resolves with the answer, or with what to do about the failure in `last`. */
  const ask = async (target: Target): Promise<{ value: T } | 'next' | 'again'> => {
    signal.throwIfAborted();
    const current = start(target, ++number, course);
    course.began(current);
    const askedAt = performance.now();
    try {
      const entering = course.enter(target);
      if (entering) await entering;
      const value = await open(current);
      course.waited(performance.now() - askedAt);
      return { value };
    } catch (thrown) {
      course.waited(performance.now() - askedAt);
      last = ViaductError.from(current.context.signal.aborted ? current.context.signal.reason : thrown);
      current.end(last);
      const next = signal.aborted || isOver(limits) ? 'stop' : afterwards(last, limits);
      if (next === 'stop') throw last;
      return next;
    }
  };

  let left: Candidate[] = targets.map((target) => ({ target, readyAt: 0 }));
  for (let round = 0; round <= limits.retries && left.length > 0; round++) {
    if (round > 0) await pause(round, left, last, limits, signal);
    const again: Candidate[] = [];
    let tooShort = 0;
    for (const candidate of left) {
      const { target, readyAt } = candidate;
      if (readyAt > Date.now()) again.push(candidate);
      else if (tooShort === 0 || (contextOf(target) ?? Infinity) > tooShort) {
        const result = await ask(target);
        if (typeof result === 'object') return result.value;
        if (result === 'again') again.push({ target, readyAt: Date.now() + (last.retryAfter ?? 0) * 1000 });
        if (last.code === 'context_length_exceeded') tooShort = contextOf(target) ?? 0;
      }
    }
    left = again;
  }
  throw last;
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

/** Wait before another round until a target may be asked again, and ever longer, with jitter. Throws `last` when that is too long. */
async function pause(
  round: number,
  candidates: Candidate[],
  last: ViaductError,
  { deadline }: AttemptLimits,
  signal: AbortSignal,
): Promise<void> {
  const jitter = 0.5 + Math.random();
  const readyMs = Math.min(...candidates.map(({ readyAt }) => readyAt)) - Date.now();
  const waitMs = Math.max(firstWaitMs * 2 ** (round - 1) * jitter, readyMs > 0 ? readyMs + 50 * jitter : 0);
  if (waitMs > longestWaitMs || (deadline !== undefined && Date.now() + waitMs >= deadline)) throw last;
  await new Promise<void>((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(done, waitMs);
    signal.addEventListener('abort', done);
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

function start(target: Target, number: number, course: Course): Attempt {
  const { signal, requestId, limits } = course;
  const { health, provider } = target;
  const controller = new AbortController();
  const report: CallReport = {};
  const startedAt = Date.now();
  let firstTokenMs: number | undefined;
  let measured: (() => Measured) | undefined;
  let over = false;

  const leave = () => self.end(ViaductError.from(signal.reason));
  const expire = () => {
    const total = isOver(limits);
    const what = total
      ? 'did not answer in time'
      : firstTokenMs === undefined
        ? 'gave no first token in time'
        : 'fell silent in the middle of its answer';
    self.end(new ViaductError('provider_timeout', `The provider ${provider.name} ${what}.`));
  };
  const within = (ms: number) =>
    limits.deadline === undefined ? ms : Math.max(0, Math.min(ms, limits.deadline - Date.now()));
  let timer = setTimeout(expire, within(limits.firstTokenMs));
  signal.addEventListener('abort', leave);
  health.begin(startedAt);

  const self: Attempt = {
    target,
    number,
    startedAt,
    context: { signal: controller.signal, requestId, report },
    get firstTokenMs() {
      return firstTokenMs;
    },
    opened(measure) {
      measured = measure;
      firstTokenMs = Date.now() - startedAt;
      clearTimeout(timer);
      if (!over) timer = setTimeout(expire, within(limits.idleMs));
    },
    touch() {
      if (over) return;
      if (limits.deadline === undefined) timer.refresh();
      else if (isOver(limits)) expire();
      else {
        clearTimeout(timer);
        timer = setTimeout(expire, within(limits.idleMs));
      }
    },
    end(error) {
      if (over) return;
      over = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', leave);
      if (error) controller.abort(error);
      learn(target, error, firstTokenMs);
      course.ended(self, measured?.(), error, Date.now() - startedAt);
    },
  };
  return self;
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
