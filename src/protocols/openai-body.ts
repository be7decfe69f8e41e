/** Checks a request body against its schema, and says what is wrong the way OpenAI does: `messages[0].content`. */
import type { z } from 'zod';
import { ViaductError } from '../core/errors.ts';
import { fieldPath } from '../lib/field-path.ts';

type Issue = z.core.$ZodIssue;

/** Body, or the part of it at `at` (`input[0]`), → the same, typed. Throws invalid_request with `param`. */
export function checkBody<Schema extends z.ZodType>(schema: Schema, body: unknown, at = ''): z.infer<Schema> {
  const result = schema.safeParse(body, { reportInput: true });
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (!issue) throw new ViaductError('invalid_request', 'The body is not valid.');
  const { path, issue: cause } = deepest(issue, at ? [at, ...issue.path] : issue.path);
  const param = fieldPath(path);
  throw new ViaductError('invalid_request', describe(cause, param), { ...(param && { param }) });
}

type Found = { issue: Issue; path: readonly PropertyKey[] };

/** Of a union's branches, the one that the client meant: its types fit best, or else the fault lies deepest in it. */
function deepest(issue: Issue, path: readonly PropertyKey[]): Found {
  if (issue.code !== 'invalid_union') return { issue, path };
  const branches = issue.errors.flatMap(([first]) => (first ? [deepest(first, [...path, ...first.path])] : []));
  const rank = ({ issue: found, path: at }: Found) => (found.code === 'invalid_type' ? at.length : 1000 + at.length);
  return branches.reduce((best, found) => (rank(found) > rank(best) ? found : best), branches[0] ?? { issue, path });
}

function describe(issue: Issue, param: string): string {
  const field = param ? `'${param}'` : 'the body';
  if ('input' in issue && issue.input === undefined && issue.code !== 'unrecognized_keys')
    return `Missing required parameter: ${field}.`;
  switch (issue.code) {
    case 'invalid_type':
      return `Invalid type for ${field}: expected ${article(issue.expected)}, but got ${kindOf(issue.input)} instead.`;
    case 'invalid_value':
      return `Invalid value for ${field}: ${short(issue.input)}. Supported values are: ${issue.values.map((value) => `'${String(value)}'`).join(', ')}.`;
    case 'invalid_union':
      if (issue.discriminator) return `Invalid value for ${field}.`;
      return `Invalid type for ${field}: ${kindOf(issue.input)} is not taken here.`;
    case 'too_small':
      return tooSmall(issue, field);
    case 'too_big':
      return issue.origin === 'number' || issue.origin === 'int'
        ? `Invalid value for ${field}: ${short(issue.input)} is above the maximum of ${issue.maximum}.`
        : `Invalid ${field}: too long, the maximum is ${issue.maximum}.`;
    case 'custom':
      return `Invalid value for ${field}: ${issue.message}.`;
    default:
      return `Invalid value for ${field}.`;
  }
}

function tooSmall(issue: Extract<Issue, { code: 'too_small' }>, field: string): string {
  if (issue.origin === 'number' || issue.origin === 'int')
    return `Invalid value for ${field}: ${short(issue.input)} is below the minimum of ${issue.minimum}.`;
  if (issue.origin === 'array') return `Invalid ${field}: empty array, at least ${issue.minimum} item is needed.`;
  return `Invalid ${field}: must not be empty.`;
}

const article = (type: string) => (/^[aeio]/.test(type) ? `an ${type}` : `a ${type}`);

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  // A text of the address that was to be read as one.
  if (Number.isNaN(value)) return 'something else';
  return article(typeof value);
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
