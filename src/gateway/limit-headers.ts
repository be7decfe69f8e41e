/**
 * OpenAI's rate-limit headers. Where several limits apply, the one with the least left is shown.
 * Source: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
 */
import type { Reading } from './counters.ts';

export function limitHeaders(readings: Reading[]): Record<string, string> {
  const headers: Record<string, string> = {};
  const requests = tightest(readings, 'requests');
  if (requests) {
    headers['x-ratelimit-limit-requests'] = String(requests.limit);
    headers['x-ratelimit-remaining-requests'] = String(requests.remaining);
    headers['x-ratelimit-reset-requests'] = goDuration(requests.resetMs);
  }
  const tokens = tightest(readings, 'tokens');
  if (tokens) {
    headers['x-ratelimit-limit-tokens'] = String(tokens.limit);
    headers['x-ratelimit-remaining-tokens'] = String(tokens.remaining);
    headers['x-ratelimit-reset-tokens'] = goDuration(tokens.resetMs);
  }
  return headers;
}

function tightest(readings: Reading[], kind: Reading['kind']): Reading | undefined {
  let found: Reading | undefined;
  for (const reading of readings)
    if (reading.kind === kind && (!found || reading.remaining < found.remaining)) found = reading;
  return found;
}

/** As Go prints durations, to the millisecond, rounded up: `6m0s`, `8.64s`, `12ms`, `0s`. */
export function goDuration(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole <= 0) return '0s';
  if (whole < 1000) return `${whole}ms`;
  const hours = Math.floor(whole / 3_600_000);
  const minutes = Math.floor((whole % 3_600_000) / 60_000);
  const seconds = (whole % 60_000) / 1000;
  return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}s`;
}
