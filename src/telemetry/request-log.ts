/** One line per call. */
import type { ErrorCode } from '../core/errors.ts';
import type { Usage } from '../core/usage.ts';
import type { Log } from './log.ts';
import { redactText } from './redact.ts';

/** What a line tells of one call that is over. Times in milliseconds, cost in USD. */
export type CallLine = {
  requestId: string;
  endpoint: string;
  keyId?: string | undefined;
  teamId?: string | undefined;
  model: string;
  provider?: string | undefined;
  targetModel?: string | undefined;
  attempts: number;
  stream: boolean;
  status: 'ok' | 'error' | 'aborted';
  error?: { code: ErrorCode; message: string; cause?: unknown } | undefined;
  usage: Usage;
  cost?: number | undefined;
  totalMs: number;
  firstTokenMs?: number | undefined;
  overheadMs: number;
};

/** Prompts, answers and secrets are never in it; what went wrong inside the server comes with its cause. */
export function createRequestLog(log: Log): (call: CallLine) => void {
  return (call) => {
    const { error } = call;
    const line = {
      request: call.requestId,
      endpoint: call.endpoint,
      key: call.keyId,
      team: call.teamId,
      // A name that nobody serves is what a client typed: it may hold anything.
      model: error ? redactText(call.model) : call.model,
      provider: call.provider,
      target: call.targetModel,
      attempts: call.attempts,
      stream: call.stream,
      status: call.status,
      error: error?.code,
      input: call.usage.input,
      output: call.usage.output,
      cost: call.cost,
      ms: round(call.totalMs),
      first_token_ms: call.firstTokenMs,
      overhead_ms: round(call.overheadMs),
    };
    if (call.status !== 'error') log.plain(line, 'call');
    else if (error?.code === 'internal_error') log.error({ ...line, cause: error.cause }, error.message);
    else log.warn(line, error?.message ?? 'call failed');
  };
}

const round = (ms: number) => Math.round(ms * 100) / 100;
