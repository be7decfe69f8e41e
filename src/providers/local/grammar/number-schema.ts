/** The keywords of numbers: `minimum`, `maximum`, their exclusive forms (both drafts'), `multipleOf`. */
import type { JsonObject } from '../../../core/json.ts';
import type { Context } from './context.ts';
import { type Bounds, integerGrammar, numberGrammar } from './number.ts';
import { anyOf, literal } from './rules.ts';
import { refuse } from './schema-error.ts';

/** Throws SchemaError. */
export function numericGrammar(schema: JsonObject, type: 'integer' | 'number', path: string, context: Context): string {
  const { rules, inexact } = context;
  const bounds = boundsOf(schema);
  const factor = schema['multipleOf'];
  if (typeof factor === 'number' && !(type === 'integer' && factor === 1)) {
    const listed = multiples(factor, bounds, type === 'integer');
    if (listed) return rules.add('multiple', anyOf(listed.map((number) => literal(JSON.stringify(number)))));
    const last = type === 'integer' || Number.isInteger(factor) ? lastDigits(factor, bounds) : undefined;
    if (last) return last;
    inexact(path, 'multipleOf', 'needs "minimum" and "maximum" with at most 2,000 multiples between them');
  }
  const grammar = type === 'integer' ? integerGrammar(bounds) : numberGrammar(bounds);
  return rules.add(type, grammar ?? refuse(`${path}.minimum`, 'No number is within the bounds'));
}

function boundsOf(schema: JsonObject): Bounds {
  const bounds: Bounds = {};
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
  if (typeof minimum === 'number') bounds.min = minimum;
  if (typeof maximum === 'number') bounds.max = maximum;
  if (exclusiveMinimum === true) bounds.exclusiveMin = true;
  if (exclusiveMaximum === true) bounds.exclusiveMax = true;
  if (typeof exclusiveMinimum === 'number' && exclusiveMinimum >= (bounds.min ?? Number.NEGATIVE_INFINITY)) {
    bounds.min = exclusiveMinimum;
    bounds.exclusiveMin = true;
  }
  if (typeof exclusiveMaximum === 'number' && exclusiveMaximum <= (bounds.max ?? Number.POSITIVE_INFINITY)) {
    bounds.max = exclusiveMaximum;
    bounds.exclusiveMax = true;
  }
  return bounds;
}

/** All multiples in the bounds when they are few. */
function multiples(
  factor: number,
  { min, max, exclusiveMin, exclusiveMax }: Bounds,
  integer: boolean,
): number[] | undefined {
  if (min === undefined || max === undefined || !(factor > 0) || (max - min) / factor > 2000) return undefined;
  const out: number[] = [];
  for (let i = Math.ceil(min / factor); i * factor <= max; i++) {
    const number = Number((i * factor).toPrecision(12));
    const inside = (exclusiveMin ? number > min : number >= min) && (exclusiveMax ? number < max : number <= max);
    // Validators divide doubles; only what they find whole may be said.
    if (inside && (!integer || Number.isInteger(number)) && Number.isInteger(number / factor)) out.push(number);
  }
  return out.length ? out : undefined;
}

/** Multiples of 2, 5 and 10 can be told by their last digit. */
function lastDigits(factor: number, { min, max }: Bounds): string | undefined {
  const ends = new Map([[2, '[02468]'], [5, '[05]'], [10, '"0"']]).get(factor); // biome-ignore format: a table
  if (!ends || max !== undefined || (min !== undefined && min > 0)) return undefined;
  const positive = `([1-9] [0-9]{0,12} ${ends} | ${ends})`;
  return min === undefined ? `("-"? ${positive})` : positive;
}
