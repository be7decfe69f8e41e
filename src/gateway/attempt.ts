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
  /** The first content is here: from now on only silence between pieces ends the attempt. */
  opened(): void;
  /** Something came. */
  touch(): void;
  /** It is over. Only the first call counts. */
  end(outcome: Outcome): void;
};

export type Outcome = { usage?: Usage | undefined; estimated?: boolean; error?: unknown };

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
  enter(target: Target): void;
  /** After each attempt, however it went. */
  ended(attempt: Attempt, outcome: Outcome, totalMs: number): void;
};

/** Longest wait between two rounds; a provider that asks for more is not waited for. */
const longestWaitMs = 10_000;
const firstWaitMs = 250;

/**
 * Resolves with what `open` gave for the first target that answered; that attempt is still running until its `end`.
 * Throws the last failure. `number` in the attempts goes on from `course`'s earlier ones.
 */
export async function attempt<T>(
  targets: readonly Target[],
  course: Course,
  open: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  const { signal, limits } = course;
  let left = targets;
  let last: ViaductError | undefined;
  let number = 0;

  for (let round = 0; round <= limits.retries; round++) {
    if (round > 0) await pause(round, last, limits, signal);
    const again: Target[] = [];
    let tooLong: number | undefined;
    for (const target of left) {
      if (tooLong !== undefined && (contextOf(target) ?? Infinity) <= tooLong) continue;
      const current = start(target, ++number, course);
      try {
        course.enter(target);
        return await open(current);
      } catch (thrown) {
        const error = ViaductError.from(current.context.signal.aborted ? current.context.signal.reason : thrown);
        current.end({ error });
        if (signal.aborted || isOver(limits)) throw error;
        last = error;
        const next = afterwards(error, limits);
        if (next === 'stop') throw error;
        if (next === 'again') again.push(target);
        if (error.code === 'context_length_exceeded') tooLong = contextOf(target);
      }
    }
    left = again;
    if (left.length === 0) break;
  }
  throw (
    last ?? new ViaductError('model_not_found', 'No target is left that could serve this request.', { param: 'model' })
  );
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

/** Wait before another round: as long as the last failure asked for, else ever longer, with jitter. Throws it when that is too long. */
async function pause(
  round: number,
  last: ViaductError | undefined,
  { deadline }: AttemptLimits,
  signal: AbortSignal,
): Promise<void> {
  const asked = last?.retryAfter === undefined ? undefined : last.retryAfter * 1000;
  const waitMs =
    asked === undefined ? firstWaitMs * 2 ** (round - 1) * (0.5 + Math.random()) : asked * (1 + Math.random() * 0.1);
  if (last && (waitMs > longestWaitMs || (deadline !== undefined && Date.now() + waitMs >= deadline))) throw last;
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
  let over = false;

  const leave = () => {
    controller.abort(signal.reason);
    self.end({ error: signal.reason });
  };
  const expire = () => {
    const total = isOver(limits);
    const what = total
      ? 'did not answer in time'
      : firstTokenMs === undefined
        ? 'gave no first token in time'
        : 'fell silent in the middle of its answer';
    const error = new ViaductError('provider_timeout', `The provider ${provider.name} ${what}.`);
    controller.abort(error);
    // Whoever reads the answer ends the attempt with this error; nobody does when the client does not read.
    if (firstTokenMs !== undefined) self.end({ error });
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
    opened() {
      firstTokenMs = Date.now() - startedAt;
      clearTimeout(timer);
      if (!over) timer = setTimeout(expire, within(limits.idleMs));
    },
    touch() {
      if (limits.deadline === undefined) timer.refresh();
      else if (isOver(limits)) expire();
      else {
        clearTimeout(timer);
        timer = setTimeout(expire, within(limits.idleMs));
      }
    },
    end(outcome) {
      if (over) return;
      over = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', leave);
      learn(target, outcome.error, firstTokenMs);
      course.ended(self, outcome, Date.now() - startedAt);
    },
  };
  return self;
}

/** Tell the target's health how it went. */
function learn({ health }: Target, thrown: unknown, firstTokenMs: number | undefined): void {
  if (thrown === undefined) return health.succeeded(firstTokenMs);
  const error = ViaductError.from(thrown);
  const now = Date.now();
  if (faults.has(error.code)) health.failed(now);
  else health.ended();
  if (error.code === 'provider_account') health.cool(now, accountCoolMs);
  else if (error.code === 'provider_rate_limited' || error.code === 'provider_overloaded')
    health.cool(
      now,
      error.retryAfter === undefined ? rateLimitedCoolMs : Math.min(error.retryAfter * 1000, accountCoolMs),
    );
}
