/** Durations as people write them, and as Go does: `500ms`, `30s`, `5m`, `1h30m`; a bare number is seconds. */
import { z } from 'zod';

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const whole = /^-?(\d+(\.\d+)?(ms|s|m|h|d))+$/;
const piece = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** Text or seconds → milliseconds; undefined when it is no duration. Negative means "for ever" where that makes sense. */
export function parseDuration(value: string | number): number | undefined {
  if (typeof value === 'number') return value * 1000;
  if (/^-?\d+$/.test(value)) return Number(value) * 1000;
  if (!whole.test(value)) return undefined;
  let ms = 0;
  for (const [, amount, unit] of value.matchAll(piece)) ms += Number(amount) * (units[unit ?? ''] ?? 0);
  return value.startsWith('-') ? -ms : ms;
}

/** A setting that is a duration; milliseconds once parsed. */
export const duration = () =>
  z
    .union([
      z.number(),
      z.string().regex(/^-?(\d+|(\d+(\.\d+)?(ms|s|m|h|d))+)$/, 'Write a duration: 500ms, 30s, 5m, 1h'),
    ])
    .transform((value) => parseDuration(value) ?? 0)
    .describe('A duration: 500ms, 30s, 5m, 1h30m; a bare number is seconds');
