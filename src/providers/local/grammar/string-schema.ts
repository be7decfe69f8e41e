/** The keywords of strings: `pattern`, `format`, `minLength`, `maxLength`. */
import type { Json, JsonObject } from '../../../core/json.ts';
import { type Context, piecesFor } from './context.ts';
import { formats } from './format.ts';
import { numberOf } from './keywords.ts';
import { patternGrammar } from './pattern.ts';
import { repeat } from './rules.ts';
import { refuse } from './schema-error.ts';

/** Characters, not bytes. */
type Lengths = {
  min: number;
  max: number;
  /** The most that the budget allows. */
  cap: number;
  hasMax: boolean;
};

/** Throws SchemaError. */
export function stringGrammar(schema: JsonObject, budget: number, path: string, context: Context): string {
  const { rules, character, freeText } = context;
  const pieces = piecesFor(budget);
  const lengths = lengthsOf(schema, pieces * 4 + 3, path);
  const { min, max, cap } = lengths;
  const bounded = Math.min(max, Math.max(cap, min));
  const inside =
    patternInside(schema['pattern'], lengths, Math.min(bounded, 200), path, context) ??
    formatInside(schema, path, context);
  if (inside) return rules.add('string', `"\\"" ${inside} "\\""`);
  if (min === 0 && max >= cap) return freeText(pieces);
  return rules.add('string', `"\\"" ${repeat(rules, character, min, bounded)} "\\""`);
}

function lengthsOf(schema: JsonObject, cap: number, path: string): Lengths {
  const min = numberOf(schema['minLength'], 0);
  const max = numberOf(schema['maxLength'], Math.max(cap, min + 64));
  if (min > max) return refuse(`${path}.minLength`, '"minLength" is greater than "maxLength"');
  if (max > 200_000) return refuse(`${path}.maxLength`, '"maxLength" is too large to be enforced');
  return { min, max, cap, hasMax: schema['maxLength'] !== undefined };
}

/** What may stand between the quotes; undefined when no pattern binds it. */
function patternInside(
  pattern: Json | undefined,
  { min, max, hasMax }: Lengths,
  maxRepeat: number,
  path: string,
  { rules, inexact }: Context,
): string | undefined {
  if (typeof pattern !== 'string') return undefined;
  const found = patternGrammar(rules, pattern, maxRepeat);
  if (!found) {
    inexact(path, 'pattern', 'uses regular-expression syntax that cannot be enforced');
    return undefined;
  }
  const fits = found.minLength >= min && (!hasMax || found.maxLength <= max);
  if (!fits) inexact(path, 'minLength', 'cannot be combined with this "pattern"; write the length into the pattern');
  return found.expression;
}

function formatInside(schema: JsonObject, path: string, { inexact }: Context): string | undefined {
  const format = typeof schema['format'] === 'string' ? formats[schema['format']] : undefined;
  if (!format) return undefined;
  if (schema['minLength'] === undefined && schema['maxLength'] === undefined) return format;
  inexact(path, 'format', 'cannot be combined with "minLength" or "maxLength"');
  return undefined;
}
