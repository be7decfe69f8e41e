/** The keywords of arrays: `items`, `prefixItems` (and their older forms), `minItems`, `maxItems`. */
import type { Json, JsonObject } from '../../../core/json.ts';
import { type Context, itemCap, mustEnd, type Place } from './context.ts';
import { numberOf } from './keywords.ts';
import { repeat } from './rules.ts';
import { refuse } from './schema-error.ts';

/** `prefix` are the schemas of the first items, `items` that of all others. */
type Shape = { prefix: Json[]; items: Json; min: number; max: number };

/** Throws SchemaError. */
export function arrayGrammar(schema: JsonObject, place: Place, context: Context): string {
  const { budget, path } = place;
  const shape = shapeOf(schema, path, context);
  const { prefix, items, min } = shape;
  const rest = Math.max(min - prefix.length, 0);
  const count = countOfItems(shape, rest, place, context);
  const share = Math.max(1, (budget - 2) / Math.max(1, prefix.length + Math.min(count, 4)));
  const visit = (item: Json, keyword: string) =>
    context.visit(item, { ...place, budget: share, path: `${path}.${keyword}` });
  const heads = prefix.map((item, index) => visit(item, `prefixItems[${index}]`));
  const head = heads.join(` ${context.comma} `);
  if (count <= 0) return heads.length ? `"[" ${head} "]"` : '"[]"';
  if (items === false)
    return heads.length >= min ? `"[" ${head} "]"` : refuse(`${path}.minItems`, '"items" admits no more items');
  return listGrammar(head, visit(items, 'items'), rest, count, context);
}

function shapeOf(schema: JsonObject, path: string, context: Context): Shape {
  const listed = Array.isArray(schema['items']) ? schema['items'] : undefined;
  const tuple = schema['prefixItems'] ?? listed;
  const items = (listed ? schema['additionalItems'] : schema['items']) ?? true;
  const prefix = Array.isArray(tuple) ? tuple : [];
  const min = numberOf(schema['minItems'], 0);
  const max = numberOf(schema['maxItems'], Number.POSITIVE_INFINITY);
  if (min > max) return refuse(`${path}.minItems`, '"minItems" is greater than "maxItems"');
  if (min > 10_000) return refuse(`${path}.minItems`, '"minItems" is too large to be enforced');
  if (schema['uniqueItems'] === true && max > 1) context.inexact(path, 'uniqueItems');
  if (prefix.length > max) return refuse(`${path}.maxItems`, '"maxItems" is less than the number of "prefixItems"');
  return { prefix, items, min, max };
}

/** The most items after the prefix, of which `rest` are required. */
function countOfItems({ prefix, items, max }: Shape, rest: number, place: Place, context: Context): number {
  const wanted = prefix.length ? rest : Math.max(rest, itemCap(items, place.budget, context));
  return mustEnd(place) ? rest : Math.min(wanted, max - prefix.length);
}

/** `head`, the items of the prefix or nothing, then from `min` to `max` further items. */
function listGrammar(head: string, expression: string, min: number, max: number, { rules, comma }: Context): string {
  const item = rules.add('item', expression);
  const more = rules.add('more', `${comma} ${item}`);
  if (head) return `"[" ${head} ${repeat(rules, more, min, max)} "]"`;
  const filled = `${item} ${repeat(rules, more, Math.max(0, min - 1), max - 1)}`;
  return rules.add('array', min > 0 ? `"[" ${filled} "]"` : `"[" (${filled})? "]"`);
}
