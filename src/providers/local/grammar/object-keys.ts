/** The keys that an object may have beside its `properties`. */
import { isObject, type Json, type JsonObject } from '../../../core/json.ts';
import type { Context } from './context.ts';
import { classPoint, patternGrammar } from './pattern.ts';
import { anyOf, literal, type Rules } from './rules.ts';

/** The schema of values under other keys: `false` for none, undefined when nothing is said. */
export const extraOf = (schema: JsonObject): Json | undefined =>
  schema['additionalProperties'] ?? schema['unevaluatedProperties'];

/** Keys that `additionalProperties` may have; undefined when there can be none. Throws SchemaError. */
export function keyGrammar(
  schema: JsonObject,
  properties: JsonObject,
  path: string,
  context: Context,
): string | undefined {
  const names = schema['propertyNames'];
  const extra = extraOf(schema);
  if (schema['patternProperties'] !== undefined) {
    const key = patternKey(schema, context.rules);
    if (key) return key;
    context.inexact(
      path,
      'patternProperties',
      'can be guaranteed only alone: one pattern, no properties, "additionalProperties": false',
    );
  }
  if (extra === false) return undefined;
  if (!isObject(names)) return freeKey(Object.keys(properties), context.rules);
  if (Object.keys(properties).length === 0)
    return context.visit({ type: 'string', ...names }, { budget: 24, path: `${path}.propertyNames`, stack: [] });
  if (extra !== undefined) context.inexact(path, 'propertyNames', 'cannot be combined with "properties"');
  return undefined;
}

/** A short string that is none of the given names. */
export function freeKey(taken: string[], rules: Rules): string {
  const plain = rules.add('key-char', String.raw`[^"\\\x00-\x1f\x7f]`);
  const without = (names: string[], length: number): string => {
    const firsts = [...new Set(names.map((name) => [...name][0]).filter((c) => c !== undefined))];
    const ended = names.includes('');
    const others = firsts.map((c) => classPoint(c.codePointAt(0) as number)).join('');
    const options = [`[^"\\\\\\x00-\\x1f\\x7f${others}] ${plain}{0,${Math.max(0, 39 - length)}}`];
    for (const first of firsts) {
      const rest = names.filter((name) => name.startsWith(first)).map((name) => name.slice(first.length));
      options.push(`${literal(JSON.stringify(first).slice(1, -1))} ${rules.add('key', without(rest, length + 1))}`);
    }
    if (!ended && length > 0) options.push('""');
    return anyOf(options);
  };
  return rules.add('key', `"\\"" ${taken.length ? without(taken, 0) : `${plain}{1,40}`} "\\""`);
}

/** Keys of the only pattern of `patternProperties`, where these are all keys there are. */
export function patternKey(schema: JsonObject, rules: Rules): string | undefined {
  const patterns = isObject(schema['patternProperties']) ? Object.keys(schema['patternProperties']) : [];
  if (patterns.length !== 1 || schema['additionalProperties'] !== false || isObject(schema['properties']))
    return undefined;
  const found = patternGrammar(rules, patterns[0] as string, 24);
  return found && rules.add('key', `"\\"" ${found.expression} "\\""`);
}
