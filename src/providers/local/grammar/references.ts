/**
 * `$ref` within one schema: JSON pointers (`#/$defs/a`) and anchors (`#a`).
 * Source: https://json-schema.org/draft/2020-12/json-schema-core#section-8.2.3
 */
import { isObject, type Json, type JsonObject } from '../../../core/json.ts';
import { refuse } from './schema-error.ts';

/** What a reference points to in `root`. Throws SchemaError for `path` when it points elsewhere or to nothing. */
export function resolveReference(root: Json, pointer: string, path: string): Json {
  if (pointer === '#') return root;
  if (pointer.startsWith('#/'))
    return (
      followPointer(root, pointer) ??
      refuse(`${path}.$ref`, `"$ref" points to "${pointer}", which is not in the schema`)
    );
  const anchor = pointer.startsWith('#') && isObject(root) ? findAnchor(root, pointer.slice(1)) : undefined;
  return anchor ?? refuse(`${path}.$ref`, `"$ref" may only point into the same schema, and "${pointer}" does not`);
}

function followPointer(root: Json, pointer: string): Json | undefined {
  let target: Json | undefined = root;
  for (const step of pointer.slice(2).split('/')) {
    const key = decodeStep(step);
    if (Array.isArray(target)) target = target[Number(key)];
    else target = isObject(target) && Object.hasOwn(target, key) ? target[key] : undefined;
  }
  return target;
}

function decodeStep(step: string): string {
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
  } catch {
    return step;
  }
}

function findAnchor(schema: JsonObject, name: string): JsonObject | undefined {
  const stack: Json[] = [schema];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (isObject(next) && next['$anchor'] === name) return next;
    if (typeof next === 'object' && next !== null) stack.push(...Object.values(next));
  }
  return undefined;
}
