/** `allOf` folded in, and what is plainly not expressible refused. */
import { isObject, type Json, type JsonObject } from '../../../core/json.ts';
import type { Context } from './context.ts';
import { MergeError, merge } from './merge.ts';
import { refuse } from './schema-error.ts';
import { maxDepth } from './size.ts';

/** Keywords with a meaning that a grammar cannot carry. */
const inexpressible = [
  'not',
  'if',
  'then',
  'else',
  'dependentSchemas',
  'dependentRequired',
  'dependencies',
  'contains',
  'minContains',
  'maxContains',
  'unevaluatedItems',
  '$dynamicRef',
  '$recursiveRef',
];

/** The schema as one without `allOf`; `depth` counts the references followed so far. Throws SchemaError. */
export function flatten(schema: JsonObject, path: string, depth: number, context: Context): JsonObject {
  for (const keyword of inexpressible) if (schema[keyword] !== undefined) context.inexact(path, keyword);
  if (!Array.isArray(schema['allOf'])) return schema;
  const { allOf, ...rest } = schema;
  let flat: JsonObject = rest;
  for (const [index, part] of (allOf as Json[]).entries()) {
    const partPath = `${path}.allOf[${index}]`;
    const target = followReferences(part, partPath, context);
    if (target === true) continue;
    if (!isObject(target) || depth > maxDepth * 4) return refuse(partPath, 'A schema must be an object');
    const flatPart = flatten(target, partPath, depth + 1, context);
    flat = mergePart(flat, flatPart, path, partPath, context);
  }
  return flat;
}

/** Keywords beside a `$ref` hold as well. */
function followReferences(part: Json, path: string, context: Context): Json {
  let schema: Json = part;
  const seen = new Set<Json>();
  while (isObject(schema) && typeof schema['$ref'] === 'string') {
    if (seen.has(schema)) return refuse(path, '"$ref" refers to itself without an end');
    seen.add(schema);
    const { $ref, ...siblings }: JsonObject = schema;
    const target = context.resolve($ref as string, path);
    schema = Object.keys(siblings).length && isObject(target) ? { allOf: [target, siblings] } : target;
  }
  return schema;
}

function mergePart(flat: JsonObject, part: JsonObject, path: string, partPath: string, context: Context): JsonObject {
  try {
    return merge(flat, part);
  } catch (error) {
    if (!(error instanceof MergeError)) throw error;
    if (error.reason === 'unsatisfiable') return refuse(partPath, 'Nothing can fit all schemas of "allOf"');
    context.inexact(path, 'allOf', 'has parts that cannot be put together');
    return flat;
  }
}
