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
import { contextOf, type Target } from './route.ts';

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
  const { leaving, limits } = course;
  const asker = createAsker(course, open);
  let left: Candidate[] = targets.map((target) => ({ target, readyAt: 0 }));
  for (let round = 0; round <= limits.retries && left.length > 0; round++) {
    if (round > 0) await pause(round, left, asker.failure(), limits, leaving);
    const result = await askInTurn(left, asker);
    if ('value' in result) return result.value;
    left = result.again;
  }
  throw asker.failure();
}

type Asker<T> = {
  /** One attempt: the answer, or what to do about `failure`. Throws what must not be hidden. */
  ask(target: Target): Promise<{ value: T } | 'next' | 'again'>;
  /** The last one. */
  failure(): ViaductError;
};

/** One round. Resolves with the first answer, or with the targets that are worth another round. */
async function askInTurn<T>(left: Candidate[], asker: Asker<T>): Promise<{ value: T } | { again: Candidate[] }> {
  const again: Candidate[] = [];
  /** Tokens that proved too few. */
  let tooFew = 0;
  for (const candidate of left) {
    const { target, readyAt } = candidate;
    if (readyAt > Date.now()) {
      again.push(candidate);
      continue;
    }
    if (tooFew > 0 && (contextOf(target) ?? Infinity) <= tooFew) continue;
    const result = await asker.ask(target);
    if (typeof result === 'object') return result;
    const { code, retryAfter = 0 } = asker.failure();
    if (result === 'again') again.push({ target, readyAt: Date.now() + retryAfter * 1000 });
    if (code === 'context_length_exceeded') tooFew = contextOf(target) ?? 0;
  }
  return { again };
}

function createAsker<T>(course: Course, open: (attempt: Attempt) => Promise<T>): Asker<T> {
  const { leaving, limits } = course;
  let failure: ViaductError | undefined;
  let number = 0;
  return {
    failure: () =>
      failure ??
      new ViaductError('model_not_found', 'No target is left that could serve this request.', { param: 'model' }),
    async ask(target) {
      if (leaving.aborted) throw leaving.reason;
      const current = start(target, ++number, course);
      course.began(current);
      try {
        const entering = course.enter(target);
        if (entering) await entering;
        return { value: await open(current) };
      } catch (thrown) {
        const { aborted, reason } = current.cancel;
        failure = ViaductError.from(aborted ? reason : thrown);
        await current.end(failure);
        const next = leaving.aborted || isOver(limits) ? 'stop' : afterwards(failure, limits);
        if (next === 'stop') throw failure;
        return next;
      } finally {
        course.answered();
      }
    },
  };
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
  leaving: Cancel,
): Promise<void> {
  const jitter = 0.5 + Math.random();
  const readyMs = Math.min(...candidates.map(({ readyAt }) => readyAt)) - Date.now();
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

function start(target: Target, number: number, course: Course): Attempt {
  const { leaving, requestId, limits } = course;
  const { health, provider } = target;
  const context = new Context(requestId, limits.privacy);
  const { cancel } = context;
  const startedAt = Date.now();
  let measured: (() => Measured) | undefined;
  let over = false;

  const expire = () => {
    const total = isOver(limits);
    const what = total
      ? 'did not answer in time'
      : self.firstTokenMs === undefined
        ? 'gave no first token in time'
        : 'fell silent in the middle of its answer';
    self.end(new ViaductError('provider_timeout', `The provider ${provider.name} ${what}.`));
  };
  const within = (ms: number) => Math.min(Date.now() + ms, limits.deadline ?? Infinity);
  const deadline: Deadline = { at: within(limits.firstTokenMs), expire, place: -1 };
  deadlines.add(deadline);
  const forget = leaving.onAbort((reason) => self.end(ViaductError.from(reason)));
  health.begin(startedAt);

  const self: Attempt = {
    target,
    number,
    startedAt,
    cancel,
    context,
    firstTokenMs: undefined,
    opened() {
      self.firstTokenMs = Date.now() - startedAt;
      deadline.at = within(limits.idleMs);
    },
    answering(measure) {
      measured = measure;
    },
    touch() {
      deadline.at = within(limits.idleMs);
    },
    end(error) {
      if (over) return undefined;
      over = true;
      deadlines.remove(deadline);
      forget();
      if (error) cancel.abort(error);
      learn(target, error, self.firstTokenMs);
      return course.ended(self, measured?.(), error, Date.now() - startedAt);
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
