/** Reading a schema's keywords without trusting their types. */
import type { Json } from '../../../core/json.ts';

/** A keyword that takes one value or a list of them. */
export function asArray(value: Json): Json[];
export function asArray(value: Json | undefined): Json[] | undefined;
export function asArray(value: Json | undefined): Json[] | undefined {
  return value === undefined ? undefined : Array.isArray(value) ? value : [value];
}

export function numberOf(value: Json | undefined, fallback: number): number {
  return typeof value === 'number' ? value : fallback;
}

/** Whether a value is of a type of JSON Schema; an unknown type has no values. */
export function hasType(value: Json, type: Json): boolean {
  if (value === null) return type === 'null';
  if (Array.isArray(value)) return type === 'array';
  if (typeof value === 'number') return type === 'number' || (type === 'integer' && Number.isInteger(value));
  return typeof value === type;
}
