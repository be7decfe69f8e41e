/** The keywords of objects: `properties`, `required`, `additionalProperties` and what bounds other keys. */
import { isObject, type Json, type JsonObject } from '../../../core/json.ts';
import { type Context, itemCap, mustEnd, type Place } from './context.ts';
import { asArray, numberOf } from './keywords.ts';
import { extraOf, keyGrammar, patternKey } from './object-keys.ts';
import { literal, repeat } from './rules.ts';
import { refuse } from './schema-error.ts';

type Pair = { optional: boolean; text: string };
/** Further pairs at the end: a rule, and how many there may be. */
type Tail = { pair: string; count: number };

/** Throws SchemaError. */
export function objectGrammar(schema: JsonObject, place: Place, context: Context): string {
  const { budget, path } = place;
  const required = new Set((asArray(schema['required']) ?? []).map(String));
  const properties = withRequired(schema, required, path);
  const keys = keyGrammar(schema, properties, path, context);
  checkCounts(schema, properties, required, path, context);
  const ends = mustEnd(place);
  const present = Object.entries(properties).filter(
    ([name, value]) => required.has(name) || (value !== false && !ends),
  );
  const extra = extraOf(schema);
  const isOpen = !ends && (present.length === 0 || (extra !== undefined && extra !== false));
  const extraKeys = isOpen ? keys : undefined;
  const share = Math.max(1, (budget - 2) / Math.max(1, present.length + (extraKeys === undefined ? 0 : 1)));
  const pairs = present.map(([name, value]): Pair => {
    const inner = context.visit(value, { ...place, budget: share, path: `${path}.properties.${name}` });
    return {
      optional: !required.has(name),
      text: `${literal(`${JSON.stringify(name)}:`)} ${context.blank} ${inner}`,
    };
  });
  const tail =
    extraKeys === undefined ? undefined : extraPairs(extraKeys, schema, { ...place, budget: share }, context);
  return context.rules.add('object', `"{" ${members(pairs, tail, context)} "}"`);
}

/** `properties`, with those that are only listed as required. */
function withRequired(schema: JsonObject, required: Set<string>, path: string): JsonObject {
  const properties: JsonObject = isObject(schema['properties']) ? { ...schema['properties'] } : {};
  const extra = extraOf(schema);
  for (const name of required) {
    if (Object.hasOwn(properties, name)) continue;
    if (extra === false) return refuse(`${path}.required`, `"${name}" is required but not among the properties`);
    properties[name] = extra ?? true;
  }
  return properties;
}

function checkCounts(
  schema: JsonObject,
  properties: JsonObject,
  required: Set<string>,
  path: string,
  { inexact }: Context,
): void {
  const names = Object.keys(properties).length;
  const least = numberOf(schema['minProperties'], 0);
  if (least > required.size) inexact(path, 'minProperties');
  const open =
    schema['additionalProperties'] !== false && (names === 0 || schema['additionalProperties'] !== undefined);
  if (open ? schema['maxProperties'] !== undefined : numberOf(schema['maxProperties'], names) < names)
    inexact(path, 'maxProperties');
}

function extraPairs(keys: string, schema: JsonObject, place: Place, context: Context): Tail {
  const value = extraValue(keys, schema, context);
  const budget = place.budget / 4;
  const count = itemCap(value, budget, context);
  const path = `${place.path}.additionalProperties`;
  const inner = context.visit(value, { ...place, budget: Math.max(1, budget), path });
  return { pair: context.rules.add('pair', `${keys} ":" ${context.blank} ${inner}`), count };
}

function extraValue(keys: string, schema: JsonObject, { rules }: Context): Json {
  const patterns = schema['patternProperties'];
  if (isObject(patterns) && keys === patternKey(schema, rules)) return Object.values(patterns)[0] ?? true;
  return extraOf(schema) ?? true;
}

/** Members in order: required ones always, optional ones or not, extra ones last, with commas only between. */
function members(pairs: Pair[], tail: Tail | undefined, { rules, comma }: Context): string {
  let first = tail
    ? `(${tail.pair} ${repeat(rules, rules.add('more', `${comma} ${tail.pair}`), 0, tail.count - 1)})?`
    : '';
  let later = tail ? repeat(rules, rules.add('more', `${comma} ${tail.pair}`), 0, tail.count) : '';
  for (const { optional, text } of pairs.toReversed()) {
    const pair = rules.add('pair', text);
    const rest = later ? ` ${rules.add('rest', later)}` : '';
    if (optional) {
      first = `(${pair}${rest} | ${first ? rules.add('rest', first) : '""'})`;
      later = `(${comma} ${pair})?${rest}`;
    } else {
      first = `${pair}${rest}`;
      later = `${comma} ${pair}${rest}`;
    }
  }
  return first;
}
