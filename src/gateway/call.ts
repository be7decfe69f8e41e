/** One call from its admission to its bill: every attempt becomes a ledger entry, the call settles its reservation exactly once. */
import { randomBytes } from 'node:crypto';
import { ViaductError } from '../core/errors.ts';
import type { Usage } from '../core/usage.ts';
import { cancelOf } from '../lib/cancel.ts';
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
import type { Target } from './route.ts';

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

export type Call = {
  /** Take a place in every limit and budget. Throws rate_limit_exceeded, insufficient_quota. */
  admit(targets: readonly Target[], needs: Needs): Promise<void>;
  /** Present where traces are made. */
  trace: RequestTrace | undefined;
  /** For `attempt`. */
  course(limits: AttemptLimits): Course;
  /** How `current` served; its cost appears when the answer is whole. */
  served(current: Attempt): Served;
  /** No attempt answered: releases the reservation and gives the error to throw, with what was tried in its headers. */
  failed(thrown: unknown): ViaductError;
};

/** What a client that sets no limit is expected to get. */
const usualOutputTokens = 1024;

export function createCall(deps: GatewayDeps, subject: CallSubject): Call {
  const { credentials, identity, operation, model, stream, enteredAt } = subject;
  const { requestId, endpoint } = credentials;
  const startedAt = Date.now();
  const ownTrace = credentials.trace ? undefined : deps.trace?.(credentials);
  const trace = credentials.trace ?? ownTrace;
  const spans = trace && new Map<Attempt, AttemptTrace>();
  const failures: string[] = [];
  const usage: Usage = { input: 0, output: 0 };
  let cost: number | undefined;
  let attempts = 0;
  let providerMs = 0;
  let admission: Admission | undefined;
  let last: Attempt | undefined;
  let served: Served | undefined;
  let over = false;

  /** The call is over: settle and tell. */
  const finish = (error: ViaductError | undefined) => {
    if (over) return;
    over = true;
    if (usage.input + usage.output > 0 || !error) admission?.settle(usage, cost);
    else admission?.release();
    if (!deps.observe) return;
    const record: CallRecord = {
      requestId,
      endpoint,
      operation,
      owner: identity.owner,
      keyId: identity.keyId,
      teamId: identity.teamId,
      model,
      provider: last?.target.provider.name,
      kind: last?.target.provider.kind,
      targetModel: last?.target.model,
      attempts,
      stream,
      status: statusOf(error),
      error,
      usage,
      cost,
      startedAt,
      totalMs: performance.now() - enteredAt,
      firstTokenMs: last?.firstTokenMs,
      overheadMs: overhead(),
    };
    deps.observe(record);
    trace?.call(record);
    ownTrace?.end();
  };
  /** When the answer began, and since when a provider is being waited for: performance.now(), 0 = not. */
  let openedAt = 0;
  let askedAt = 0;
  /** What the gateway itself took until the answer began. */
  const overhead = () => {
    const now = openedAt || performance.now();
    return Math.max(0, now - enteredAt - providerMs - (askedAt && now - askedAt));
  };

  const ended = (
    current: Attempt,
    measured: Measured | undefined,
    error: ViaductError | undefined,
    totalMs: number,
  ) => {
    const { target } = current;
    const priced = measured?.model === undefined ? target.priced : { ...target.priced, model: measured.model };
    const spent = measured
      ? deps.prices?.cost(priced, measured.usage, totalMs - (current.context.report.queueMs ?? 0))
      : undefined;
    if (measured) {
      addUsage(usage, measured.usage);
      if (spent !== undefined) cost = (cost ?? 0) + spent;
    }
    if (error && error.code !== 'client_closed_request')
      failures.push(`${target.name} ${error.code} ${Math.round(totalMs)}ms`);
    spans?.get(current)?.end({ error, usage: measured?.usage, cost: spent, firstTokenMs: current.firstTokenMs });
    const recorded = deps.account?.(entryOf(subject, current, measured, error, totalMs, spent));
    if (served && cost !== undefined) served.cost = cost;
    if (measured) finish(error);
    return recorded;
  };

  return {
    trace,
    async admit(targets, needs) {
      if (!deps.admit) return;
      const outputTokens = needs.maxTokens ?? usualOutputTokens;
      const pending = deps.admit(identity, {
        requestId,
        model,
        inputTokens: needs.inputTokens,
        outputTokens,
        cost: dearest(targets, needs.inputTokens, outputTokens, deps.prices),
      });
      admission = pending instanceof Promise ? await pending : pending;
    },

    course: (limits) => ({
      leaving: credentials.leaving ?? cancelOf(credentials.signal),
      requestId,
      limits,
      enter: (target) => admission?.enterProvider?.(target.provider.name),
      began(current) {
        attempts = current.number;
        last = current;
        askedAt = performance.now();
        if (trace) spans?.set(current, beginSpan(trace, operation, current));
      },
      answered() {
        providerMs += performance.now() - askedAt;
        askedAt = 0;
      },
      ended,
    }),

    served({ target, context }) {
      openedAt = performance.now();
      const elapsedMs = openedAt - enteredAt;
      served = {
        provider: target.provider.name,
        model: target.model,
        attempts,
        report: context.report,
        elapsedMs,
        overheadMs: overhead(),
        ...(cost !== undefined && { cost }),
        ...(admission && { limitHeaders: admission.headers }),
        ...(failures.length > 0 && { failures }),
      };
      return served;
    },

    failed(thrown) {
      const error = ViaductError.from(thrown);
      finish(error);
      if (!last && !admission) return error;
      const headers = {
        ...error.headers,
        ...admission?.headers,
        ...(last && { 'x-viaduct-attempts': String(attempts) }),
        ...(failures.length > 0 && { 'x-viaduct-failures': failures.join(', ') }),
      };
      const { param, retryAfter, cause } = error;
      return new ViaductError(error.code, error.message, { param, retryAfter, cause, headers });
    },
  };
}

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
