/** What the writers of one document share, and how they divide the budget. */
import { isObject, type Json, type JsonObject } from '../../../core/json.ts';
import { asArray, numberOf } from './keywords.ts';
import { resolveReference } from './references.ts';
import { type Rules, repeat } from './rules.ts';
import { refuse } from './schema-error.ts';

/** Where a schema stands in the document. */
export type Place = {
  /** Tokens that the value may take. */
  budget: number;
  /** Path of the schema, for errors: `schema.properties.tags`. */
  path: string;
  /** The targets of the references that are being followed. */
  stack: readonly JsonObject[];
};

export type Context = {
  rules: Rules;
  /** Rule names. */
  blank: string;
  comma: string;
  character: string;
  /** A JSON string of at most so many pieces; a piece weighs about a token. */
  freeText(pieces: number): string;
  /** The expression for a schema at its place. */
  visit(schema: Json, place: Place): string;
  /** Throws SchemaError when the pointer leads nowhere. */
  resolve(pointer: string, path: string): Json;
  /** A keyword that no grammar can express: an error, or nothing where the caller validates afterwards. */
  inexact(path: string, keyword: string, why?: string): void;
};

/** References and alternatives multiply: real schemas come nowhere near these. */
const mostVisits = 50_000;
const deepest = 500;

/** A path that went in circles, cut where it is long enough to find the place. */
const beginning = (path: string) => (path.length > 120 ? path.slice(0, path.lastIndexOf('.', 120)) : path);

/** `Context.visit` before it is bound to a context. */
export type Visitor = (schema: Json, place: Place, context: Context) => string;

/** `exact` as in `SchemaGrammar.document`. */
export function createContext(rules: Rules, root: Json, exact: boolean, visitor: Visitor): Context {
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
  let visits = 0;
  let depth = 0;
  const context: Context = {
    rules,
    blank,
    comma,
    character,
    freeText: (pieces) => rules.add('text', `"\\"" ${repeat(rules, piece, 0, pieces)} ${light}{0,3} "\\""`),
    visit(schema, place) {
      if (++visits > mostVisits || depth === deepest)
        refuse(beginning(place.path), 'The schema unfolds without end: make its references or alternatives simpler.');
      depth++;
      try {
        return visitor(schema, place, context);
      } finally {
        depth--;
      }
    },
    resolve: (pointer, path) => resolveReference(root, pointer, path),
    inexact(path, keyword, why = 'cannot be guaranteed for a local model') {
      if (exact) refuse(path ? `${path}.${keyword}` : keyword, `The keyword "${keyword}" ${why}`);
    },
  };
  return context;
}

/** Below this a recursive schema takes its shortest way out. */
export const smallBudget = 16;

/** Inside its own definition and short of budget: only what is required. */
export const mustEnd = ({ budget, stack }: Place) => budget < smallBudget && new Set(stack).size < stack.length;

/** Pieces of free text that about `tokens` tokens allow, of a count that takes the least grammar. */
export function piecesFor(tokens: number): number {
  const pieces = Math.max(24, Math.floor((tokens * 2) / 3));
  return pieces <= 200 ? pieces : Math.floor(pieces / 100) * 100 + 99;
}

/** How many items of this schema a list may have within a budget of tokens. */
export function itemCap(items: Json, budget: number, context: Context): number {
  return Math.min(1000, Math.max(4, Math.ceil(budget / (4 * Math.min(cost(items, context), 100)))));
}

/** Tokens that the smallest document takes, roughly. */
export function cost(schema: Json | undefined, context: Context, depth = 0): number {
  const inner = (part: Json | undefined) => cost(part, context, depth + 1);
  if (depth > 12) return 1000;
  if (!isObject(schema)) return 2;
  if (typeof schema['$ref'] === 'string') return inner(context.resolve(schema['$ref'], ''));
  if (schema['const'] !== undefined || Array.isArray(schema['enum'])) return 2;
  const options = schema['anyOf'] ?? schema['oneOf'];
  if (Array.isArray(options)) return Math.min(...options.map(inner));
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  const required = asArray(schema['required']) ?? [];
  const base = required.reduce<number>((sum, name) => sum + 4 + inner(properties[String(name)]), 2);
  return base + numberOf(schema['minItems'], 0) * (1 + inner(schema['items']));
}
