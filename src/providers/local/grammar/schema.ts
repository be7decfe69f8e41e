/**
 * JSON Schema → GBNF. Ours rather than the engine's, because it must say what it cannot express, bound what a small
 * model would never end, and be the same with every version of the engine.
 *
 * The grammar is sound, not complete: all it lets through is valid; of valid documents only those in the order of the
 * schema's properties, with no more white space than one blank, and within a size that fits the answer can come.
 * That size is the budget: tokens that the whole document may take, divided on the way down.
 * Source: https://json-schema.org/draft/2020-12/json-schema-validation
 */
import { isObject, type Json, type JsonObject } from '../../../core/json.ts';
import { alternatives, chooseGrammar } from './alternatives.ts';
import { allTypes, anyGrammar } from './any-value.ts';
import { arrayGrammar } from './array-schema.ts';
import { type Context, createContext, type Place, smallBudget, type Visitor } from './context.ts';
import { flatten } from './flatten.ts';
import { asArray, hasType } from './keywords.ts';
import { numericGrammar } from './number-schema.ts';
import { objectGrammar } from './object-schema.ts';
import { anyOf, createRules, literal, type Rules } from './rules.ts';
import { refuse } from './schema-error.ts';
import { checkGrammarSize, checkSize } from './size.ts';
import { stringGrammar } from './string-schema.ts';

export { SchemaError } from './schema-error.ts';
export { checkSize } from './size.ts';

export type SchemaGrammar = {
  /**
   * GBNF expression for one document. `exact` false means that keywords which no grammar can express are skipped, for
   * callers that validate afterwards.
   */
  document(schema: Json, budget: number, exact: boolean, path: string): string;
};

/** Writer of JSON documents into `rules`. Throws SchemaError from `document`. */
export function schemaGrammar(rules: Rules = createRules()): SchemaGrammar {
  return {
    document(schema, budget, exact, path) {
      checkSize(schema, path);
      const context = createContext(rules, schema, exact, visitor());
      const expression = context.visit(schema, { budget: Math.max(budget, 64), path, stack: [] });
      checkGrammarSize(rules.size(), path);
      return expression;
    },
  };
}

/** Any JSON object: what `json_object` asks for. */
export function anyObjectGrammar(rules: Rules, budget: number): string {
  return anyGrammar(budget, ['object'], createContext(rules, true, true, visitor()));
}

/** A reference that comes back to itself more often has no end: budgets are halved on the way. */
const longestCycle = 48;
/** Keywords beside a `$ref` that say nothing about the value. */
const annotations = ['description', 'title', 'default', '$defs'];

/** The walk down one schema. */
function visitor(): Visitor {
  /** Rules of references: by target, then by order of magnitude of the budget. */
  const memo = new Map<JsonObject, Map<number, string>>();

  function visit(schema: Json, place: Place, context: Context): string {
    const { budget, path, stack } = place;
    if (schema === true) return anyGrammar(budget, allTypes, context);
    if (!isObject(schema)) return refuse(path, 'A schema must be an object; "false" and other values admit nothing');
    checkGrammarSize(context.rules.size(), path);
    if (typeof schema['$ref'] === 'string') return reference(schema, schema['$ref'], place, context);
    const flat = flatten(schema, path, stack.length, context);
    const options = alternatives(flat, path, context);
    return options ? chooseGrammar(options, place, context) : typedGrammar(flat, place, context);
  }

  /** A `$ref`: one rule for each target and order of magnitude of the budget, so that recursion ends. */
  function reference(schema: JsonObject, pointer: string, place: Place, context: Context): string {
    const { budget, path, stack } = place;
    const target = context.resolve(pointer, path);
    const { $ref: _ref, ...siblings } = schema;
    const meaningful = Object.keys(siblings).some((key) => !annotations.includes(key));
    if (meaningful) return context.visit({ allOf: [target, siblings] }, place);
    if (!isObject(target)) return context.visit(target, place);
    if (stack.filter((seen) => seen === target).length > longestCycle)
      return refuse(path.slice(0, 200), `"${pointer}" refers to itself without an end`);
    const isMinimal = budget < smallBudget && stack.includes(target);
    const magnitude = isMinimal ? 0 : Math.floor(Math.log2(budget));
    const known = memo.get(target)?.get(magnitude);
    if (known) return known;
    const body = context.visit(target, { budget: isMinimal ? 1 : 2 ** magnitude, path, stack: [...stack, target] });
    const name = context.rules.add(pointer.split('/').at(-1) || 'root', body);
    if (!memo.has(target)) memo.set(target, new Map());
    memo.get(target)?.set(magnitude, name);
    return name;
  }

  return visit;
}

/** A schema without references, `allOf` or alternatives. */
function typedGrammar(schema: JsonObject, place: Place, context: Context): string {
  const { budget, path } = place;
  if (schema['const'] !== undefined) return literal(JSON.stringify(schema['const']));
  if (schema['enum'] !== undefined) return enumGrammar(schema, path, context);
  const options = typesOf(schema).map((type) => {
    switch (type) {
      case 'object':
        return objectGrammar(schema, place, context);
      case 'array':
        return arrayGrammar(schema, place, context);
      case 'string':
        return stringGrammar(schema, budget, path, context);
      case 'integer':
      case 'number':
        return numericGrammar(schema, type, path, context);
      case 'boolean':
        return '("true" | "false")';
      case 'null':
        return '"null"';
      default:
        return refuse(`${path}.type`, `"${String(type)}" is not a type of JSON Schema`);
    }
  });
  return anyOf(options);
}

const typesByKeyword: [type: string, keywords: string[]][] = [
  ['object', ['properties', 'required', 'additionalProperties', 'propertyNames', 'patternProperties', 'minProperties']],
  ['array', ['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems']],
  ['string', ['pattern', 'minLength', 'maxLength', 'format']],
  ['number', ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf']],
];

/** The types stated, else those that the keywords speak of, else all. */
function typesOf(schema: JsonObject): Json[] {
  const nullable = schema['nullable'] === true ? ['null'] : [];
  const stated = asArray(schema['type']);
  if (stated?.length) return [...new Set([...stated, ...nullable])];
  const implied = typesByKeyword.filter(([, keywords]) => keywords.some((keyword) => schema[keyword] !== undefined));
  return [...(implied.length ? implied.map(([type]) => type) : allTypes), ...nullable];
}

function enumGrammar(schema: JsonObject, path: string, { rules }: Context): string {
  const values = Array.isArray(schema['enum']) ? schema['enum'] : refuse(`${path}.enum`, '"enum" must be a list');
  const types = asArray(schema['type']);
  const fitting = values.filter(
    (item) => !types || types.some((type) => hasType(item, type)) || (item === null && schema['nullable'] === true),
  );
  if (fitting.length === 0) return refuse(`${path}.enum`, '"enum" has no value of the right type');
  return rules.add('enum', anyOf(fitting.map((value) => literal(JSON.stringify(value)))));
}
