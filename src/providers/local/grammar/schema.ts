/**
 * JSON Schema → GBNF. Ours rather than the engine's, because it must say what it cannot express, bound what a small
 * model would never end, and be the same with every version of the engine.
 *
 * The grammar is sound, not complete: all it lets through is valid; of valid documents only those in the order of the
 * schema's properties, with no more white space than one blank, and within a size that fits the answer can come.
 * That size is the budget: tokens that the whole document may take, divided on the way down.
 * Source: https://json-schema.org/draft/2020-12/json-schema-validation
 */
import type { Json, JsonObject } from '../../../core/json.ts';
import { formats } from './format.ts';
import { isObject, MergeError, merge } from './merge.ts';
import { type Bounds, integerGrammar, numberGrammar } from './number.ts';
import { classPoint, patternGrammar } from './pattern.ts';
import { anyOf, createRules, literal, type Rules, repeat } from './rules.ts';

/** The schema has a keyword that a grammar cannot express, or cannot be met at all. */
export class SchemaError extends Error {
  /** Path of the keyword: `properties.tags.uniqueItems`. */
  readonly path: string;
  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

export type SchemaGrammar = {
  /**
   * GBNF expression for one document. `exact` false means that keywords which no grammar can express are skipped, for
   * callers that validate afterwards.
   */
  document(schema: Json, budget: number, exact: boolean, path: string): string;
};

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
const maxDepth = 64;
const maxGrammar = 400_000;
const tooLarge = 'The schema is too large to be enforced; make it smaller';
const maxSchemaNodes = 20_000;
/** A reference that comes back to itself more often has no end: budgets are halved on the way. */
const longestCycle = 48;
/** Below this a recursive schema takes its shortest way out. */
const smallBudget = 16;

const typesByKeyword: [type: string, keywords: string[]][] = [
  ['object', ['properties', 'required', 'additionalProperties', 'propertyNames', 'patternProperties', 'minProperties']],
  ['array', ['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems']],
  ['string', ['pattern', 'minLength', 'maxLength', 'format']],
  ['number', ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf']],
];
const allTypes = ['object', 'array', 'string', 'number', 'boolean', 'null'];

/** Writer of JSON documents into `rules`. Throws SchemaError from `document`. */
export function schemaGrammar(rules: Rules = createRules()): SchemaGrammar {
  return {
    document(schema, budget, exact, path) {
      checkSize(schema, path);
      const expression = createVisitor(rules, schema, exact).visit(schema, Math.max(budget, 64), path, []);
      if (rules.size() > maxGrammar) throw new SchemaError(path, tooLarge);
      return expression;
    },
  };
}

/** Any JSON value, or any object: what `json_object` asks for. */
export function anyObjectGrammar(rules: Rules, budget: number): string {
  return createVisitor(rules, true, true).any(budget, ['object']);
}

/** Counts without recursion, so that a schema nested thousands deep ends in an error and not in a full stack. */
export function checkSize(schema: Json, path: string) {
  const stack: [Json, number][] = [[schema, 0]];
  let nodes = 0;
  for (let next = stack.pop(); next; next = stack.pop()) {
    const [value, depth] = next;
    if (typeof value !== 'object' || value === null) continue;
    if (depth > maxDepth * 2) throw new SchemaError(path, `The schema is nested more than ${maxDepth} levels deep`);
    if (++nodes > maxSchemaNodes) throw new SchemaError(path, `The schema has more than ${maxSchemaNodes} parts`);
    for (const child of Object.values(value)) stack.push([child, depth + 1]);
  }
}

/** The references that are being followed. */
type Stack = readonly JsonObject[];

function createVisitor(rules: Rules, root: Json, exact: boolean) {
  const blank = rules.add('blank', '" "?');
  const comma = rules.add('comma', `"," ${blank}`);
  // No \u escapes: every character but a few controls can stand for itself, and small models count in them for ever.
  const escaped = String.raw`["\\/bfnrt]`;
  const character = rules.add('char', String.raw`[^"\\\x00-\x1f\x7f] | "\\" ${escaped}`);
  // Tokens cannot be counted in a grammar, so characters are weighed: four of prose, or one digit, escape or character
  // beyond ASCII, make a piece of about a token. Babble in digits ends long before prose does.
  const light = rules.add('light', String.raw`[^"\\\x00-\x1f0-9\x7f-\U0010ffff]`);
  const heavy = rules.add('heavy', String.raw`[0-9\u0080-\ud7ff\ue000-\U0010ffff] | "\\" ${escaped}`);
  const piece = rules.add('piece', `${light}{4} | ${light}{0,3} ${heavy}`);
  const freeText = (pieces: number) =>
    rules.add('text', `"\\"" ${repeat(rules, piece, 0, pieces)} ${light}{0,3} "\\""`);
  const memo = new Map<JsonObject, Map<number, string>>();

  const fail = (path: string, message: string): never => {
    throw new SchemaError(path, message);
  };
  const inexact = (path: string, keyword: string, why = 'cannot be guaranteed for a local model'): void => {
    if (exact) fail(path ? `${path}.${keyword}` : keyword, `The keyword "${keyword}" ${why}`);
  };

  function visit(schema: Json, budget: number, path: string, stack: Stack): string {
    if (schema === true) return any(budget, allTypes);
    if (!isObject(schema)) return fail(path, 'A schema must be an object; "false" and other values admit nothing');
    if (rules.size() > maxGrammar) return fail(path, tooLarge);

    if (typeof schema['$ref'] === 'string') return reference(schema, schema['$ref'], budget, path, stack);
    const flat = flatten(schema, path, stack);
    const options = alternatives(flat, path);
    if (options) return choose(options, budget, stack);
    return typed(flat, budget, path, stack);
  }

  /** A `$ref`: one rule for each target and order of magnitude of the budget, so that recursion ends. */
  function reference(schema: JsonObject, pointer: string, budget: number, path: string, stack: Stack): string {
    const target = resolve(pointer, path);
    const { $ref: _ref, ...siblings } = schema;
    const meaningful = Object.keys(siblings).some((key) => !['description', 'title', 'default', '$defs'].includes(key));
    if (meaningful) return visit({ allOf: [target, siblings] }, budget, path, stack);
    if (!isObject(target)) return visit(target, budget, path, stack);
    if (stack.filter((seen) => seen === target).length > longestCycle)
      return fail(path.slice(0, 200), `"${pointer}" refers to itself without an end`);
    const isMinimal = budget < smallBudget && stack.includes(target);
    const magnitude = isMinimal ? 0 : Math.floor(Math.log2(budget));
    const known = memo.get(target)?.get(magnitude);
    if (known) return known;
    const body = visit(target, isMinimal ? 1 : 2 ** magnitude, path, [...stack, target]);
    const name = rules.add(pointer.split('/').at(-1) || 'root', body);
    if (!memo.has(target)) memo.set(target, new Map());
    memo.get(target)?.set(magnitude, name);
    return name;
  }

  function resolve(pointer: string, path: string): Json {
    if (pointer === '#') return root;
    if (!pointer.startsWith('#/')) {
      const anchor = isObject(root) && findAnchor(root, pointer.replace(/^#/, ''));
      if (anchor && pointer.startsWith('#')) return anchor;
      return fail(`${path}.$ref`, `"$ref" may only point into the same schema, and "${pointer}" does not`);
    }
    let target: Json | undefined = root;
    for (const step of pointer.slice(2).split('/')) {
      const key = decodeStep(step);
      if (Array.isArray(target)) target = target[Number(key)];
      else target = isObject(target) && Object.hasOwn(target, key) ? target[key] : undefined;
    }
    return target ?? fail(`${path}.$ref`, `"$ref" points to "${pointer}", which is not in the schema`);
  }

  /** `allOf` folded in, and what is plainly not expressible refused. */
  function flatten(schema: JsonObject, path: string, stack: Stack): JsonObject {
    for (const keyword of inexpressible) if (schema[keyword] !== undefined) inexact(path, keyword);
    if (!Array.isArray(schema['allOf'])) return schema;
    const { allOf, ...rest } = schema;
    let flat: JsonObject = rest;
    for (const [index, part] of (allOf as Json[]).entries()) {
      const partPath = `${path}.allOf.${index}`;
      let resolved: Json = part;
      const seen = new Set<Json>();
      while (isObject(resolved) && typeof resolved['$ref'] === 'string') {
        if (seen.has(resolved)) return fail(partPath, '"$ref" refers to itself without an end');
        seen.add(resolved);
        const { $ref, ...siblings }: JsonObject = resolved;
        const target = resolve($ref as string, partPath);
        resolved = Object.keys(siblings).length && isObject(target) ? { allOf: [target, siblings] } : target;
      }
      if (resolved === true) continue;
      if (!isObject(resolved) || stack.length > maxDepth * 4) return fail(partPath, 'A schema must be an object');
      try {
        flat = merge(flat, flatten(resolved, partPath, [...stack, resolved]));
      } catch (error) {
        if (!(error instanceof MergeError)) throw error;
        if (error.reason === 'unsatisfiable') return fail(partPath, 'Nothing can fit all schemas of "allOf"');
        inexact(path, 'allOf', 'has parts that cannot be put together');
      }
    }
    return flat;
  }

  /** The schemas of which one must hold, each with the base's keywords merged in. */
  function alternatives(schema: JsonObject, path: string): { schema: JsonObject; path: string }[] | undefined {
    for (const keyword of ['anyOf', 'oneOf'] as const) {
      const options = schema[keyword];
      if (!Array.isArray(options)) continue;
      const { [keyword]: _options, ...base } = schema;
      const whole = options.map((option, index) => {
        const optionPath = `${path}.${keyword}.${index}`;
        if (option === true) return { schema: base, path: optionPath };
        if (!isObject(option)) return fail(optionPath, 'A schema must be an object');
        const plain = Object.keys(base).every((key) =>
          ['description', 'title', 'discriminator', '$defs', 'default', '$schema', 'definitions'].includes(key),
        );
        return {
          schema: plain ? option : ({ ...base, allOf: [...(asArray(base['allOf']) ?? []), option] } as JsonObject),
          path: optionPath,
        };
      });
      if (keyword === 'oneOf' && !exclusive(options))
        inexact(path, 'oneOf', 'needs alternatives that exclude each other by type or by a constant; use "anyOf"');
      if (whole.length === 0) return fail(`${path}.${keyword}`, `"${keyword}" is empty`);
      return whole;
    }
    return undefined;
  }

  function exclusive(options: Json[]): boolean {
    const views = options.map((option) => {
      const target = isObject(option) && typeof option['$ref'] === 'string' ? resolve(option['$ref'], '') : option;
      return isObject(target) ? target : {};
    });
    return views.every((a, i) => views.every((b, j) => i >= j || excludes(a, b)));
  }

  function choose(options: { schema: JsonObject; path: string }[], budget: number, stack: Stack): string {
    const recursive = budget < smallBudget && stack.length > 0;
    if (!recursive || options.length === 1)
      return anyOf(options.map((option) => visit(option.schema, budget, option.path, stack)));
    // Near the end of the budget only the alternatives that end soonest.
    const costs = options.map((option) => cost(option.schema, 0));
    const least = Math.min(...costs);
    return anyOf(
      options.filter((_, i) => costs[i] === least).map((option) => visit(option.schema, budget, option.path, stack)),
    );
  }

  /** Tokens that the smallest document takes, roughly. */
  function cost(schema: Json | undefined, depth: number): number {
    if (depth > 12) return 1000;
    if (!isObject(schema)) return 2;
    if (typeof schema['$ref'] === 'string') return cost(resolve(schema['$ref'], ''), depth + 1);
    if (schema['const'] !== undefined || Array.isArray(schema['enum'])) return 2;
    const options = schema['anyOf'] ?? schema['oneOf'];
    if (Array.isArray(options)) return Math.min(...options.map((option) => cost(option, depth + 1)));
    const properties = isObject(schema['properties']) ? schema['properties'] : {};
    const required = asArray(schema['required']) ?? [];
    const base = required.reduce<number>((sum, name) => sum + 4 + cost(properties[String(name)], depth + 1), 2);
    return base + numberOf(schema['minItems'], 0) * (1 + cost(schema['items'], depth + 1));
  }

  function typed(schema: JsonObject, budget: number, path: string, stack: Stack): string {
    if (schema['const'] !== undefined) return value(schema['const']);
    if (schema['enum'] !== undefined) return enumeration(schema, path);
    const options = typesOf(schema).map((type) => {
      switch (type) {
        case 'object':
          return object(schema, budget, path, stack);
        case 'array':
          return array(schema, budget, path, stack);
        case 'string':
          return string(schema, budget, path);
        case 'integer':
        case 'number':
          return numeric(schema, type, path);
        case 'boolean':
          return '("true" | "false")';
        case 'null':
          return '"null"';
        default:
          return fail(`${path}.type`, `"${String(type)}" is not a type of JSON Schema`);
      }
    });
    return anyOf(options);
  }

  function typesOf(schema: JsonObject): Json[] {
    const nullable = schema['nullable'] === true ? ['null'] : [];
    const stated = asArray(schema['type']);
    if (stated?.length) return [...new Set([...stated, ...nullable])];
    const implied = typesByKeyword.filter(([, keywords]) => keywords.some((keyword) => schema[keyword] !== undefined));
    return [...(implied.length ? implied.map(([type]) => type) : allTypes), ...nullable];
  }

  const value = (json: Json): string => literal(JSON.stringify(json));

  function enumeration(schema: JsonObject, path: string): string {
    const values = Array.isArray(schema['enum']) ? schema['enum'] : fail(`${path}.enum`, '"enum" must be a list');
    const types = asArray(schema['type']);
    const fitting = values.filter(
      (item) => !types || types.some((type) => hasType(item, type)) || (item === null && schema['nullable'] === true),
    );
    if (fitting.length === 0) return fail(`${path}.enum`, '"enum" has no value of the right type');
    return rules.add('enum', anyOf(fitting.map(value)));
  }

  function numeric(schema: JsonObject, type: 'integer' | 'number', path: string): string {
    const bounds = boundsOf(schema);
    const factor = schema['multipleOf'];
    if (typeof factor === 'number' && !(type === 'integer' && factor === 1)) {
      const listed = multiples(factor, bounds, type === 'integer');
      if (listed) return rules.add('multiple', anyOf(listed.map(value)));
      const last = type === 'integer' || Number.isInteger(factor) ? lastDigits(factor, bounds) : undefined;
      if (last) return last;
      inexact(path, 'multipleOf', 'needs "minimum" and "maximum" with at most 2,000 multiples between them');
    }
    const grammar = type === 'integer' ? integerGrammar(bounds) : numberGrammar(bounds);
    return rules.add(type, grammar ?? fail(`${path}.minimum`, 'No number is within the bounds'));
  }

  function string(schema: JsonObject, budget: number, path: string): string {
    const pieces = piecesFor(budget);
    const cap = pieces * 4 + 3;
    const min = numberOf(schema['minLength'], 0);
    const max = numberOf(schema['maxLength'], Math.max(cap, min + 64));
    if (min > max) return fail(`${path}.minLength`, '"minLength" is greater than "maxLength"');
    if (max > 200_000) return fail(`${path}.maxLength`, '"minLength" is too large to be enforced');
    const bounded = Math.min(max, Math.max(cap, min));
    const lengthFits = (low: number, high: number) => low >= min && (schema['maxLength'] === undefined || high <= max);
    const pattern = schema['pattern'];
    if (typeof pattern === 'string') {
      const found = patternGrammar(rules, pattern, Math.min(bounded, 200));
      if (found && (lengthFits(found.minLength, found.maxLength) || !exact))
        return rules.add('string', `"\\"" ${found.expression} "\\""`);
      inexact(
        path,
        found ? 'minLength' : 'pattern',
        found
          ? 'cannot be combined with this "pattern"; write the length into the pattern'
          : 'uses regular-expression syntax that cannot be enforced',
      );
    }
    const format = typeof schema['format'] === 'string' ? formats[schema['format']] : undefined;
    if (format && schema['minLength'] === undefined && schema['maxLength'] === undefined)
      return rules.add('string', `"\\"" ${format} "\\""`);
    if (format && exact) inexact(path, 'format', 'cannot be combined with "minLength" or "maxLength"');
    if (min === 0 && max >= cap) return freeText(pieces);
    return rules.add('string', `"\\"" ${repeat(rules, character, min, bounded)} "\\""`);
  }

  function array(schema: JsonObject, budget: number, path: string, stack: Stack): string {
    const tuple = schema['prefixItems'] ?? (Array.isArray(schema['items']) ? schema['items'] : undefined);
    const items = Array.isArray(schema['items']) ? (schema['additionalItems'] ?? true) : (schema['items'] ?? true);
    const prefix = Array.isArray(tuple) ? tuple : [];
    const min = numberOf(schema['minItems'], 0);
    const max = numberOf(schema['maxItems'], Number.POSITIVE_INFINITY);
    if (min > max) return fail(`${path}.minItems`, '"minItems" is greater than "maxItems"');
    if (min > 10_000) return fail(`${path}.minItems`, '"minItems" is too large to be enforced');
    if (schema['uniqueItems'] === true && max > 1) inexact(path, 'uniqueItems');
    if (prefix.length > max) return fail(`${path}.maxItems`, '"maxItems" is less than the number of "prefixItems"');

    const ends = mustEnd(budget, stack);
    const rest = Math.max(min - prefix.length, 0);
    const wanted = prefix.length ? rest : Math.max(rest, itemCap(items, budget));
    const count = ends ? rest : Math.min(wanted, max - prefix.length);
    const share = Math.max(1, (budget - 2) / Math.max(1, prefix.length + Math.min(count, 4)));
    const heads = prefix.map((item, index) => visit(item, share, `${path}.prefixItems.${index}`, stack));
    if (count <= 0) return heads.length ? `"[" ${heads.join(` ${comma} `)} "]"` : '"[]"';
    if (items === false)
      return heads.length >= min
        ? `"[" ${heads.join(` ${comma} `)} "]"`
        : fail(`${path}.minItems`, '"items" admits no more items');
    const item = rules.add('item', visit(items, share, `${path}.items`, stack));
    const more = rules.add('more', `${comma} ${item}`);
    if (heads.length) return `"[" ${heads.join(` ${comma} `)} ${repeat(rules, more, rest, count)} "]"`;
    const filled = `${item} ${repeat(rules, more, Math.max(0, rest - 1), count - 1)}`;
    return rest > 0 ? rules.add('array', `"[" ${filled} "]"`) : rules.add('array', `"[" (${filled})? "]"`);
  }

  /** Inside its own definition and short of budget: only what is required. */
  const mustEnd = (budget: number, stack: Stack) => budget < smallBudget && new Set(stack).size < stack.length;

  function itemCap(items: Json, budget: number): number {
    return Math.min(1000, Math.max(4, Math.ceil(budget / (4 * Math.min(cost(items, 0), 100)))));
  }

  function object(schema: JsonObject, budget: number, path: string, stack: Stack): string {
    const properties: JsonObject = isObject(schema['properties']) ? { ...schema['properties'] } : {};
    const required = new Set((asArray(schema['required']) ?? []).map(String));
    const extra = schema['additionalProperties'] ?? schema['unevaluatedProperties'];
    for (const name of required)
      if (!Object.hasOwn(properties, name)) {
        if (extra === false) return fail(`${path}.required`, `"${name}" is required but not among the properties`);
        properties[name] = extra ?? true;
      }
    const keys = keyGrammar(schema, properties, path);
    checkCounts(schema, properties, required, path);
    const ends = mustEnd(budget, stack);
    const present = Object.entries(properties).filter(([name, sub]) => {
      if (required.has(name)) return true;
      return sub !== false && !ends;
    });
    const open = !ends && keys !== undefined && (present.length === 0 || (extra !== undefined && extra !== false));
    const share = Math.max(1, (budget - 2) / Math.max(1, present.length + (open ? 1 : 0)));
    const pairs = present.map(([name, sub]) => ({
      optional: !required.has(name),
      text: `${literal(`${JSON.stringify(name)}:`)} ${blank} ${visit(sub, share, `${path}.properties.${name}`, stack)}`,
    }));
    const tail = open
      ? extraPair(
          keys as string,
          keys === patternKey(schema) ? patternValue(schema) : (extra ?? true),
          share,
          path,
          stack,
        )
      : undefined;
    return rules.add('object', `"{" ${members(pairs, tail)} "}"`);
  }

  /** Keys that `additionalProperties` may have; undefined when there can be none. */
  function keyGrammar(schema: JsonObject, properties: JsonObject, path: string): string | undefined {
    const names = schema['propertyNames'];
    const extra = schema['additionalProperties'] ?? schema['unevaluatedProperties'];
    if (schema['patternProperties'] !== undefined) {
      const key = patternKey(schema);
      if (key) return key;
      inexact(
        path,
        'patternProperties',
        'can be guaranteed only alone: one pattern, no properties, "additionalProperties": false',
      );
    }
    if (extra === false) return undefined;
    if (isObject(names)) {
      const closed = Object.keys(properties).length > 0;
      if (closed && (extra !== undefined || !exact))
        inexact(path, 'propertyNames', 'cannot be combined with "properties"');
      return closed ? undefined : visit({ type: 'string', ...names }, 24, `${path}.propertyNames`, []);
    }
    return freeKey(Object.keys(properties));
  }

  /** A short string that is none of the given names. */
  function freeKey(taken: string[]): string {
    const plain = rules.add('key-char', String.raw`[^"\\\x00-\x1f\x7f]`);
    const without = (names: string[], length: number): string => {
      const firsts = [...new Set(names.map((name) => [...name][0]).filter((c) => c !== undefined))] as string[];
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

  function patternKey(schema: JsonObject): string | undefined {
    const patterns = isObject(schema['patternProperties']) ? Object.keys(schema['patternProperties']) : [];
    if (patterns.length !== 1 || schema['additionalProperties'] !== false || isObject(schema['properties']))
      return undefined;
    const found = patternGrammar(rules, patterns[0] as string, 24);
    return found && rules.add('key', `"\\"" ${found.expression} "\\""`);
  }

  const patternValue = (schema: JsonObject): Json =>
    Object.values(schema['patternProperties'] as JsonObject)[0] ?? true;

  function checkCounts(schema: JsonObject, properties: JsonObject, required: Set<string>, path: string) {
    const names = Object.keys(properties).length;
    const least = numberOf(schema['minProperties'], 0);
    if (least > required.size) inexact(path, 'minProperties');
    const open =
      schema['additionalProperties'] !== false && (names === 0 || schema['additionalProperties'] !== undefined);
    if (open ? schema['maxProperties'] !== undefined : numberOf(schema['maxProperties'], names) < names)
      inexact(path, 'maxProperties');
  }

  function extraPair(keys: string, schema: Json, share: number, path: string, stack: Stack) {
    const count = itemCap(schema, share / 4);
    const pair = rules.add(
      'pair',
      `${keys} ":" ${blank} ${visit(schema, Math.max(1, share / 4), `${path}.additionalProperties`, stack)}`,
    );
    return { pair, count };
  }

  /** Members in order: required ones always, optional ones or not, extra ones last, with commas only between. */
  function members(
    pairs: { optional: boolean; text: string }[],
    tail: { pair: string; count: number } | undefined,
  ): string {
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

  /** Any value of these types, nested as deep as the budget allows. */
  function any(budget: number, types: string[]): string {
    const magnitude = Math.floor(Math.log2(Math.max(budget, 1)));
    const inner = magnitude >= 4 ? rules.add('any', any(2 ** (magnitude - 2), allTypes)) : undefined;
    const count = Math.min(1000, 2 ** Math.max(2, magnitude - 3));
    const text = freeText(piecesFor(2 ** magnitude));
    const options = types.map((type) => {
      if (type === 'string') return text;
      if (type === 'boolean') return '"true" | "false"';
      if (type === 'null') return '"null"';
      if (type === 'number') return rules.add('number', numberGrammar({}) as string);
      if (!inner) return type === 'object' ? '"{}"' : '"[]"';
      const entry = type === 'object' ? rules.add('pair', `${freeKey([])} ":" ${blank} ${inner}`) : inner;
      const list = `(${entry} ${repeat(rules, rules.add('more', `${comma} ${entry}`), 0, count)})?`;
      return type === 'object' ? `"{" ${list} "}"` : `"[" ${list} "]"`;
    });
    return rules.add('value', anyOf(options));
  }

  return { visit, any };
}

/** Pieces of free text that about `tokens` tokens allow, of a count that takes the least grammar. */
function piecesFor(tokens: number): number {
  const pieces = Math.max(24, Math.floor((tokens * 2) / 3));
  return pieces <= 200 ? pieces : Math.floor(pieces / 100) * 100 + 99;
}

function asArray(value: Json | undefined): Json[] | undefined {
  return value === undefined ? undefined : Array.isArray(value) ? value : [value];
}

function numberOf(value: Json | undefined, fallback: number): number {
  return typeof value === 'number' ? value : fallback;
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

function hasType(value: Json, type: Json): boolean {
  if (value === null) return type === 'null';
  if (Array.isArray(value)) return type === 'array';
  if (typeof value === 'number') return type === 'number' || (type === 'integer' && Number.isInteger(value));
  return typeof value === type;
}

/** True when no document can fit both: another type, or a property that both require with other constants. */
function excludes(a: JsonObject, b: JsonObject): boolean {
  const constants = (schema: Json | undefined): Json[] | undefined => {
    if (!isObject(schema)) return undefined;
    return schema['const'] !== undefined ? [schema['const']] : asArray(schema['enum']);
  };
  const disjoint = (left: Json[] | undefined, right: Json[] | undefined) =>
    left !== undefined &&
    right !== undefined &&
    !left.some((x) => right.some((y) => JSON.stringify(x) === JSON.stringify(y)));
  if (disjoint(constants(a), constants(b))) return true;
  const types = (schema: JsonObject) =>
    asArray(schema['type']) ??
    constants(schema)?.map(
      (value) =>
        ['object', 'array', 'string', 'number', 'boolean', 'null'].find((type) => hasType(value, type)) ?? null,
    );
  const numeric = (list: Json[] | undefined) => list?.map((type) => (type === 'integer' ? 'number' : type));
  if (disjoint(numeric(types(a)), numeric(types(b)))) return true;
  const required = (schema: JsonObject) => new Set(asArray(schema['required']) ?? []);
  const propertiesOf = (schema: JsonObject) => (isObject(schema['properties']) ? schema['properties'] : {});
  const closedWithout = (schema: JsonObject, other: JsonObject) =>
    schema['additionalProperties'] === false &&
    [...required(other)].some((name) => !(String(name) in propertiesOf(schema)));
  if (closedWithout(a, b) || closedWithout(b, a)) return true;
  return [...required(a)].some(
    (name) =>
      required(b).has(name) &&
      disjoint(constants(propertiesOf(a)[String(name)]), constants(propertiesOf(b)[String(name)])),
  );
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
