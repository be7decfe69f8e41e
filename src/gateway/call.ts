/** One call from its admission to its bill: every attempt becomes a ledger entry, the call settles its reservation exactly once. */
import { randomBytes } from 'node:crypto';
import { ViaductError } from '../core/errors.ts';
import type { Usage } from '../core/usage.ts';
import { type Cancel, cancelOf } from '../lib/cancel.ts';
import type { AttemptTrace, RequestTrace } from '../telemetry/traces.ts';
import type { Attempt, AttemptLimits, Course, Measured } from './attempt.ts';
import type {
  Admission,
  CallRecord,
  Credentials,
  GatewayDeps,
  Identity,
  LedgerEntry,
  Operation,
  Prices,
  Served,
} from './contract.ts';
import type { Needs } from './needs.ts';
import type { Target } from './route/target.ts';

export type CallSubject = {
  credentials: Credentials;
  identity: Identity;
  operation: Operation;
  /** Public name, as asked for. */
  model: string;
  stream: boolean;
  /** performance.now() when the caller came in. */
  enteredAt: number;
};

/** What a client that sets no limit is expected to get. */
const usualOutputTokens = 1024;

/** A class, because one is made for every request: its methods are shared, closures would be made anew. */
export class Call implements Course {
  /** Present where traces are made. */
  readonly trace: RequestTrace | undefined;
  readonly leaving: Cancel;
  limits: AttemptLimits = unlimited;
  readonly #deps: GatewayDeps;
  readonly #subject: CallSubject;
  readonly #startedAt = Date.now();
  readonly #ownTrace: RequestTrace | undefined;
  readonly #spans: Map<Attempt, AttemptTrace> | undefined;
  readonly #usage: Usage = { input: 0, output: 0 };
  #cost: number | undefined = undefined;
  #failures: string[] | undefined = undefined;
  #attempts = 0;
  #admission: Admission | undefined = undefined;
  #last: Attempt | undefined = undefined;
  #served: Served | undefined = undefined;
  #over = false;
  #providerMs = 0;
  /** When the answer began, and since when a provider is being waited for: performance.now(), 0 = not. */
  #openedAt = 0;
  #askedAt = 0;

  constructor(deps: GatewayDeps, subject: CallSubject) {
    const { credentials } = subject;
    this.#deps = deps;
    this.#subject = subject;
    this.leaving = credentials.leaving ?? cancelOf(credentials.signal);
    this.#ownTrace = credentials.trace ? undefined : deps.trace?.(credentials);
    this.trace = credentials.trace ?? this.#ownTrace;
    this.#spans = this.trace && new Map();
  }

  get requestId(): string {
    return this.#subject.credentials.requestId;
  }

  /** Take a place in every limit and budget; undefined when it is taken at once. Throws rate_limit_exceeded, insufficient_quota. */
  admit(targets: readonly Target[], needs: Needs): Promise<void> | undefined {
    const { admit, prices } = this.#deps;
    if (!admit) return undefined;
    const { identity, model } = this.#subject;
    const { inputTokens, maxTokens: outputTokens = usualOutputTokens } = needs;
    const cost = dearest(targets, inputTokens, outputTokens, prices);
    const pending = admit(identity, { requestId: this.requestId, model, inputTokens, outputTokens, cost });
    if (pending instanceof Promise)
      return pending.then((admission) => {
        this.#admission = admission;
      });
    this.#admission = pending;
    return undefined;
  }

  /** For `attempt`. */
  course(limits: AttemptLimits): Course {
    this.limits = limits;
    return this;
  }

  enter(target: Target): void | Promise<void> {
    return this.#admission?.enterProvider?.(target.provider.name);
  }

  began(current: Attempt): void {
    this.#attempts = current.number;
    this.#last = current;
    this.#askedAt = performance.now();
    if (this.trace) this.#spans?.set(current, beginSpan(this.trace, this.#subject.operation, current));
  }

  answered(): void {
    this.#providerMs += performance.now() - this.#askedAt;
    this.#askedAt = 0;
  }

  ended(
    current: Attempt,
    measured: Measured | undefined,
    error: ViaductError | undefined,
    totalMs: number,
  ): Promise<void> | undefined {
    const { prices, account } = this.#deps;
    const { target } = current;
    const priced = measured?.model === undefined ? target.priced : { ...target.priced, model: measured.model };
    const spent = measured && prices?.cost(priced, measured.usage, totalMs - (current.context.report.queueMs ?? 0));
    if (measured) {
      addUsage(this.#usage, measured.usage);
      if (spent !== undefined) this.#cost = (this.#cost ?? 0) + spent;
    }
    if (error && error.code !== 'client_closed_request') {
      this.#failures ??= [];
      this.#failures.push(`${target.name} ${error.code} ${Math.round(totalMs)}ms`);
    }
    const span = this.#spans?.get(current);
    span?.end({ error, usage: measured?.usage, cost: spent, firstTokenMs: current.firstTokenMs });
    const recorded = account?.(entryOf(this.#subject, current, measured, error, totalMs, spent));
    if (this.#served && this.#cost !== undefined) this.#served.cost = this.#cost;
    if (measured) this.#finish(error);
    return recorded;
  }

  /** How `current` served; its cost appears when the answer is whole. */
  served({ target, context }: Attempt): Served {
    this.#openedAt = performance.now();
    const served: Served = {
      provider: target.provider.name,
      model: target.model,
      attempts: this.#attempts,
      report: context.report,
      elapsedMs: this.#openedAt - this.#subject.enteredAt,
      overheadMs: this.#overhead(),
    };
    if (this.#cost !== undefined) served.cost = this.#cost;
    if (this.#admission) served.limitHeaders = this.#admission.headers;
    if (this.#failures) served.failures = this.#failures;
    this.#served = served;
    return served;
  }

  /** No attempt answered: releases the reservation and gives the error to throw, with what was tried in its headers. */
  failed(thrown: unknown): ViaductError {
    const error = ViaductError.from(thrown);
    this.#finish(error);
    if (!this.#last && !this.#admission) return error;
    const headers = {
      ...error.headers,
      ...this.#admission?.headers,
      ...(this.#last && { 'x-viaduct-attempts': String(this.#attempts) }),
      ...(this.#failures && { 'x-viaduct-failures': this.#failures.join(', ') }),
    };
    const { param, retryAfter, cause } = error;
    return new ViaductError(error.code, error.message, { param, retryAfter, cause, headers });
  }

  /** The call is over: settle and tell. */
  #finish(error: ViaductError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    const usage = this.#usage;
    const { observe } = this.#deps;
    if (usage.input + usage.output > 0 || !error) this.#admission?.settle(usage, this.#cost);
    else this.#admission?.release();
    if (!observe) return;
    const { credentials, identity, operation, model, stream, enteredAt } = this.#subject;
    const target = this.#last?.target;
    const record: CallRecord = {
      requestId: credentials.requestId,
      endpoint: credentials.endpoint,
      operation,
      owner: identity.owner,
      keyId: identity.keyId,
      teamId: identity.teamId,
      model,
      provider: target?.provider.name,
      kind: target?.provider.kind,
      targetModel: target?.model,
      attempts: this.#attempts,
      stream,
      status: statusOf(error),
      error,
      usage,
      cost: this.#cost,
      startedAt: this.#startedAt,
      totalMs: performance.now() - enteredAt,
      firstTokenMs: this.#last?.firstTokenMs,
      overheadMs: this.#overhead(),
    };
    observe(record);
    this.trace?.call(record);
    this.#ownTrace?.end();
  }

  /** What the gateway itself took until the answer began. */
  #overhead(): number {
    const now = this.#openedAt || performance.now();
    return Math.max(0, now - this.#subject.enteredAt - this.#providerMs - (this.#askedAt && now - this.#askedAt));
  }
}

/** Until the route is known, and nothing is asked before. */
const unlimited: AttemptLimits = {
  firstTokenMs: Infinity,
  idleMs: Infinity,
  deadline: undefined,
  retries: 0,
  contentFilterFallback: false,
};

/** The attempt's span; the provider is told of it in its headers. */
function beginSpan(trace: RequestTrace, operation: Operation, { target, number, context }: Attempt): AttemptTrace {
  const { provider, model } = target;
  const span = trace.attempt({ operation, provider: provider.name, kind: provider.kind, model, number });
  context.traceHeaders = span.headers;
  return span;
}

const statusOf = (error: ViaductError | undefined) =>
  !error ? 'ok' : error.code === 'client_closed_request' ? 'aborted' : 'error';

/** Ids that no other process or run gives. */
const run = randomBytes(9).toString('base64url');
let counter = 0;
export const nextEntryId = () => `${run}-${(++counter).toString(36)}`;

const nothing: Usage = { input: 0, output: 0 };

function entryOf(
  { credentials, identity, model, stream }: CallSubject,
  { target, number, startedAt, firstTokenMs, context }: Attempt,
  measured: Measured | undefined,
  error: ViaductError | undefined,
  totalMs: number,
  cost: number | undefined,
): LedgerEntry {
  const { queueMs, loadMs, digest } = context.report;
  const entry: LedgerEntry = {
    id: nextEntryId(),
    requestId: credentials.requestId,
    attempt: number,
    startedAt,
    endpoint: credentials.endpoint,
    model,
    provider: target.provider.name,
    targetModel: measured?.model ?? target.model,
    usage: measured?.usage ?? nothing,
    estimated: measured?.estimated ?? false,
    totalMs,
    status: statusOf(error),
    stream,
    tags: tagsOf(credentials, identity),
    shadow: number === 0,
  };
  if (identity.keyId !== undefined) entry.keyId = identity.keyId;
  if (identity.teamId !== undefined) entry.teamId = identity.teamId;
  if (cost !== undefined) entry.cost = cost;
  if (firstTokenMs !== undefined) entry.firstTokenMs = firstTokenMs;
  if (queueMs !== undefined) entry.queueMs = queueMs;
  if (loadMs !== undefined) entry.loadMs = loadMs;
  if (digest !== undefined) entry.digest = digest;
  if (error) entry.cause = error.code;
  return entry;
}

const noTags: string[] = [];

function tagsOf({ tags }: Credentials, identity: Identity): string[] {
  if (!identity.tags) return tags ?? noTags;
  return tags ? [...new Set([...identity.tags, ...tags])] : identity.tags;
}

/** Add `more` to `sum`, part by part. */
export function addUsage(sum: Usage, more: Usage): void {
  sum.input += more.input;
  sum.output += more.output;
  for (const part of ['cacheRead', 'cacheWrite', 'reasoning', 'image'] as const) {
    const count = more[part];
    if (count !== undefined) sum[part] = (sum[part] ?? 0) + count;
  }
}

/** USD of a call at the dearest of `targets`; undefined when no price is known. */
function dearest(
  targets: readonly Target[],
  inputTokens: number,
  outputTokens: number,
  prices: Prices | undefined,
): number | undefined {
  let most: number | undefined;
  for (const { priced } of targets) {
    const price = prices?.price(priced);
    if (price) most = Math.max(most ?? 0, (price.input * inputTokens + price.output * outputTokens) / 1e6);
  }
  return most;
}
