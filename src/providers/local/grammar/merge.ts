/** `allOf` and sibling keywords as one schema: what must hold together, written as one. */
import { isObject, type Json, type JsonObject } from '../../../core/json.ts';
import { asArray } from './keywords.ts';

/** `'allOf'` when two schemas cannot be put together, `'unsatisfiable'` when nothing can fit both. */
export class MergeError extends Error {
  readonly reason: 'allOf' | 'unsatisfiable';
  constructor(reason: 'allOf' | 'unsatisfiable') {
    super(reason);
    this.reason = reason;
  }
}

const larger = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const smaller = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];
const annotations = [
  'title',
  'description',
  'default',
  'examples',
  '$comment',
  '$id',
  '$schema',
  '$anchor',
  'deprecated',
];

/** One schema that accepts what both accept. Throws MergeError. */
export function merge(a: JsonObject, b: JsonObject): JsonObject {
  const out: JsonObject = { ...a };
  for (const [key, value] of Object.entries(b)) {
    const other = out[key];
    if (other === undefined || annotations.includes(key)) out[key] = value;
    else if (JSON.stringify(other) !== JSON.stringify(value)) out[key] = together(key, other, value);
  }
  return closeProperties(out, a, b);
}

function together(key: string, a: Json, b: Json): Json {
  if (typeof a === 'number' && typeof b === 'number') {
    if (larger.includes(key)) return Math.max(a, b);
    if (smaller.includes(key)) return Math.min(a, b);
  }
  if (key === 'type') return commonTypes(a, b);
  if (key === 'required') return [...new Set([...asArray(a), ...asArray(b)])];
  if (key === 'enum') return asArray(a).filter((x) => asArray(b).some((y) => JSON.stringify(x) === JSON.stringify(y)));
  if (key === '$defs' || key === 'definitions') return { ...(a as JsonObject), ...(b as JsonObject) };
  if (key === 'properties' && isObject(a) && isObject(b)) {
    const properties: JsonObject = { ...a };
    for (const [name, schema] of Object.entries(b)) properties[name] = both(properties[name], schema);
    return properties;
  }
  if (key === 'items' || key === 'additionalProperties') return both(a, b);
  if (key === 'allOf') return [...asArray(a), ...asArray(b)];
  throw new MergeError('allOf');
}

function both(a: Json | undefined, b: Json): Json {
  if (a === undefined || a === true) return b;
  if (b === true) return a;
  if (a === false || b === false) return false;
  // References are looked up when the result is visited.
  return { allOf: [a, b] };
}

function commonTypes(a: Json, b: Json): Json {
  const accepts = (types: Json[], type: Json) =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  const [left, right] = [asArray(a), asArray(b)];
  const common = [...new Set([...left, ...right])].filter((type) => accepts(left, type) && accepts(right, type));
  if (common.length === 0) throw new MergeError('unsatisfiable');
  return common.length === 1 ? (common[0] as Json) : common;
}

/** A property that only one side lists is still bound by the other side's `additionalProperties`. */
function closeProperties(out: JsonObject, a: JsonObject, b: JsonObject): JsonObject {
  if (!isObject(out['properties'])) return out;
  const properties: JsonObject = { ...out['properties'] };
  for (const side of [a, b]) {
    const extra = side['additionalProperties'];
    if (extra === undefined || extra === true) continue;
    const own = isObject(side['properties']) ? side['properties'] : {};
    for (const [name, schema] of Object.entries(properties)) {
      if (name in own) continue;
      if (extra !== false) properties[name] = both(schema, extra);
      else delete properties[name];
    }
  }
  return { ...out, properties };
}
