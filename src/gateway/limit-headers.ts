/**
 * OpenAI's rate-limit headers. Where several limits apply, the one with the least left is shown.
 * Source: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
 */
import type { Reading } from './counters.ts';

export function limitHeaders(readings: Reading[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const kind of ['requests', 'tokens'] as const) {
    let tightest: Reading | undefined;
    for (const reading of readings)
      if (reading.kind === kind && (!tightest || reading.remaining < tightest.remaining)) tightest = reading;
    if (!tightest) continue;
    headers[`x-ratelimit-limit-${kind}`] = String(tightest.limit);
    headers[`x-ratelimit-remaining-${kind}`] = String(tightest.remaining);
    headers[`x-ratelimit-reset-${kind}`] = goDuration(tightest.resetMs);
  }
  return headers;
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
