import { z } from 'zod';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';

/** Any JSON object, taken as it is: what lies deeper is not ours to check. */
export const jsonObject = z.custom<JsonObject>(
  (value) => value !== null && typeof value === 'object' && !Array.isArray(value),
  'must be an object',
);

/**
 * `value` as what `schema` makes of it. Throws invalid_request whose `param` is the dotted path of the first bad field
 * (`messages.0.content`), below `at` when the value itself is a part of the body.
 */
export function validate<Schema extends z.ZodType>(schema: Schema, value: unknown, at = ''): z.infer<Schema> {
  const parsed = schema.safeParse(value, { reportInput: false });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = [...(at ? [at] : []), ...(issue?.path ?? []).map(String)].join('.');
  throw invalid(path, missing(issue) ? 'this field is required' : (issue?.message ?? 'invalid value'));
}

/** An invalid_request that names the field in its message too, as people read messages first. */
export function invalid(param: string, problem: string): ViaductError {
  return new ViaductError('invalid_request', param ? `${param}: ${problem}` : problem, param ? { param } : {});
}

const missing = (issue: z.core.$ZodIssue | undefined) =>
  issue?.code === 'invalid_type' && issue.message.endsWith('received undefined');
