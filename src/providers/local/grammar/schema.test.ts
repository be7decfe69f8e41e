import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { gbnfToRegExp } from '../../../../test/support/gbnf.ts';
import type { Json, JsonObject } from '../../../core/json.ts';
import { validatorOf } from '../json-schema.ts';
import { formats } from './format.ts';
import { integerGrammar, numberGrammar } from './number.ts';
import { patternGrammar } from './pattern.ts';
import { createRules } from './rules.ts';
import { anyObjectGrammar, SchemaError, schemaGrammar } from './schema.ts';

const closed = (properties: JsonObject, rest: JsonObject = {}): JsonObject => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...rest,
});

/** Everything that the grammar lets through must be valid: drawn at random, looked at by ajv. */
const enforced: Record<string, JsonObject> = {
  person: closed({ name: { type: 'string' }, age: { type: 'integer', minimum: 0, maximum: 120 } }),
  nested: closed({ order: closed({ id: { type: 'string', pattern: '^[A-Z]{3}-\\d{4}$' }, items: { type: 'array', minItems: 1, items: closed({ sku: { type: 'string' }, qty: { type: 'integer', minimum: 1 } }) } }) }),
  enums: closed({ colour: { enum: ['red', 'grün', '蓝色', 'a "quote"', null, 3] }, fixed: { const: { a: [1, 2] } } }),
  anyOf: closed({ value: { anyOf: [{ type: 'string' }, { type: 'number' }, { type: 'null' }, { type: 'array', items: { type: 'boolean' } }] } }),
  oneOf: { oneOf: [closed({ kind: { const: 'a' }, x: { type: 'number' } }), closed({ kind: { const: 'b' }, y: { type: 'string' } })] },
  tree: { $ref: '#/$defs/node', $defs: { node: closed({ value: { type: 'integer' }, children: { type: 'array', items: { $ref: '#/$defs/node' } } }) } },
  list: closed({ head: { $ref: '#/$defs/n' } }, { $defs: { n: { anyOf: [{ type: 'null' }, closed({ value: { type: 'boolean' }, next: { $ref: '#/$defs/n' } })] } } }),
  itself: { type: 'object', properties: { name: { type: 'string' }, sub: { type: 'array', items: { $ref: '#' } }, best: { $ref: '#' } }, required: ['name'] },
  optional: { type: 'object', properties: { a: { type: 'string' }, b: { type: 'integer' }, c: { type: 'boolean' } }, required: ['b'] },
  map: { type: 'object', additionalProperties: { type: 'number' } },
  'map beside properties': { type: 'object', properties: { id: { type: 'string' }, idea: { type: 'integer' } }, required: ['id'], additionalProperties: { type: 'boolean' } },
  'map with patterns': { type: 'object', patternProperties: { '^[a-z]{2}$': { type: 'integer' } }, additionalProperties: false },
  record: { type: 'object', propertyNames: { enum: ['x', 'y'] }, additionalProperties: { type: 'integer' } },
  numbers: closed({ a: { type: 'number', minimum: 0, maximum: 1 }, b: { type: 'number', minimum: -12.5, maximum: -3.25 }, c: { type: 'number', exclusiveMinimum: 0 }, d: { type: 'integer', exclusiveMinimum: -5, exclusiveMaximum: 5 }, e: { type: 'integer', multipleOf: 5 }, f: { type: 'number', multipleOf: 0.5, minimum: 0, maximum: 10 } }),
  lengths: closed({ a: { type: 'string', minLength: 3, maxLength: 5 }, b: { type: 'string', minLength: 150, maxLength: 412 }, c: { type: 'array', items: { type: 'boolean' }, minItems: 2, maxItems: 3 }, d: { type: 'string', maxLength: 0 } }),
  tuple: { type: 'array', prefixItems: [{ type: 'string' }, { type: 'integer' }], items: { type: 'boolean' }, minItems: 3, maxItems: 4 },
  allOf: { allOf: [{ type: 'object', properties: { a: { type: 'string' } }, required: ['a'] }, { $ref: '#/$defs/b' }], $defs: { b: { type: 'object', properties: { b: { type: 'integer', minimum: 5 } }, required: ['b'] } } },
  'types and no types': closed({ x: {}, y: { type: ['string', 'null'] }, z: { minimum: 3 } }),
  'odd names': closed({ 'naïve "key"': { type: 'boolean' }, キー: { enum: ['日本', '한국'] }, 'a\nb\\c': { type: 'null' } }),
}; // biome-ignore format: a table

function regExpOf(schema: Json, budget = 200): RegExp {
  const rules = createRules();
  return gbnfToRegExp(rules.text(schemaGrammar(rules).document(schema, budget, true, 'schema')));
}

for (const [name, schema] of Object.entries(enforced))
  test(`${name}: all that the grammar lets through is valid`, () => {
    const validate = validatorOf(schema);
    assert.ok(validate);
    fc.assert(
      fc.property(fc.stringMatching(regExpOf(schema)), (text) => {
        const value = JSON.parse(text);
        assert.ok(validate(value), `${text}\n${JSON.stringify(validate.errors)}`);
      }),
      { numRuns: 60 },
    );
  });

const refused: Record<string, [schema: Json, path: string]> = {
  patternProperties: [closed({ a: {} }, { patternProperties: { '^x': {} } }), 'schema.patternProperties'],
  not: [closed({ a: { not: { type: 'string' } } }), 'schema.properties.a.not'],
  if: [{ type: 'object', if: {}, else: {} }, 'schema.if'],
  uniqueItems: [{ type: 'array', uniqueItems: true }, 'schema.uniqueItems'],
  contains: [{ type: 'array', contains: {} }, 'schema.contains'],
  dependentSchemas: [{ type: 'object', dependentSchemas: {} }, 'schema.dependentSchemas'],
  dependentRequired: [{ type: 'object', dependentRequired: {} }, 'schema.dependentRequired'],
  unevaluatedItems: [{ type: 'array', unevaluatedItems: false }, 'schema.unevaluatedItems'],
  multipleOf: [{ type: 'number', multipleOf: 0.3 }, 'schema.multipleOf'],
  pattern: [{ type: 'string', pattern: '^(?=a)b' }, 'schema.pattern'],
  'pattern with a length': [{ type: 'string', pattern: '^a{5}$', maxLength: 3 }, 'schema.minLength'],
  minProperties: [{ type: 'object', minProperties: 3 }, 'schema.minProperties'],
  maxProperties: [{ type: 'object', maxProperties: 3 }, 'schema.maxProperties'],
  'oneOf that overlaps': [{ oneOf: [{ type: 'string', minLength: 2 }, { type: 'string' }] }, 'schema.oneOf'],
  'a reference elsewhere': [{ $ref: 'http://example.org/x' }, 'schema.$ref'],
  'a reference to nothing': [{ $ref: '#/$defs/x' }, 'schema.$ref'],
  'a reference to itself': [{ $ref: '#' }, 'schema'],
  'an unknown type': [{ type: 'foo' }, 'schema.type'],
  'bounds that cross': [{ type: 'integer', minimum: 5, maximum: 4 }, 'schema.minimum'],
  'a schema that is none': [closed({ a: 5 }), 'schema.properties.a'],
}; // biome-ignore format: a table

for (const [name, [schema, path]] of Object.entries(refused))
  test(`${name}: refused, and the place is named`, () =>
    assert.throws(
      () => regExpOf(schema),
      (error) => error instanceof SchemaError && error.path === path,
    ));

test('a required recursion without an end is refused', () => {
  assert.throws(() => regExpOf({ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }), SchemaError);
});

test('what is too deep or too large is refused at once', () => {
  let deep: Json = { type: 'string' };
  for (let i = 0; i < 5000; i++) deep = { type: 'array', items: deep };
  assert.throws(() => regExpOf(deep), SchemaError);
  const wide = closed(Object.fromEntries(Array.from({ length: 30_000 }, (_, i) => [`p${i}`, { type: 'string' }])));
  assert.throws(() => regExpOf(wide), SchemaError);
  assert.throws(() => regExpOf({ enum: [Array(50).fill('x'.repeat(100_000)).join('')] }), SchemaError);
});

test('any object is an object', () => {
  const rules = createRules();
  const expression = gbnfToRegExp(rules.text(anyObjectGrammar(rules, 100)));
  fc.assert(
    fc.property(fc.stringMatching(expression), (text) => {
      const value = JSON.parse(text);
      assert.ok(typeof value === 'object' && value !== null && !Array.isArray(value));
    }),
    { numRuns: 40 },
  );
});

const matches = (expression: string | undefined, text: string) =>
  expression !== undefined && gbnfToRegExp(`root ::= ${expression}`).test(text);

test('integers: exactly those in the bounds', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -5000, max: 5000 }),
      fc.integer({ min: 0, max: 5000 }),
      fc.integer({ min: -9999, max: 9999 }),
      (min, width, value) => {
        const max = min + width;
        assert.equal(matches(integerGrammar({ min, max }), String(value)), value >= min && value <= max);
        assert.equal(matches(integerGrammar({ min, exclusiveMin: true }), String(value)), value > min);
        assert.equal(matches(integerGrammar({ max, exclusiveMax: true }), String(value)), value < max);
      },
    ),
    { numRuns: 300 },
  );
});

test('decimals: exactly those in the bounds', () => {
  const cents = (min: number, max: number) => fc.integer({ min, max }).map((value) => value / 100);
  fc.assert(
    fc.property(cents(-2000, 2000), cents(0, 2000), cents(-5000, 5000), (min, width, value) => {
      const max = Math.round((min + width) * 100) / 100;
      assert.equal(
        matches(numberGrammar({ min, max }), String(value)),
        value >= min && value <= max,
        `${min} ${max} ${value}`,
      );
    }),
    { numRuns: 500 },
  );
});

for (const [name, expression] of Object.entries(formats))
  test(`format ${name}: what the grammar lets through is valid`, () => {
    const validate = validatorOf({ type: 'string', format: name });
    fc.assert(
      fc.property(fc.stringMatching(gbnfToRegExp(`root ::= ${expression}`)), (text) => {
        assert.ok(validate?.(text), text);
      }),
      { numRuns: 60 },
    );
  });

for (const source of [
  '^a+$',
  '^\\d{3}-\\d{4}$',
  'foo|bar',
  '^(foo|bar)+$',
  '^[^a-z"\\\\]+$',
  '^\\w+@\\w+\\.com$',
  '[α-ω]{2}',
  '^a$|^b$',
  '^(\\(\\d{3}\\))? ?\\d{3}$',
  '^(\\w+\\s?)+$',
  '^.{2,5}$',
  '^\\u0041[\\x42-\\x44]$',
])
  test(`pattern ${source}: what the grammar lets through matches`, () => {
    const rules = createRules();
    const pattern = patternGrammar(rules, source, 20);
    assert.ok(pattern);
    fc.assert(
      fc.property(fc.stringMatching(gbnfToRegExp(rules.text(`"\\"" ${pattern.expression} "\\""`))), (text) => {
        assert.match(JSON.parse(text), new RegExp(source, 'u'));
      }),
      { numRuns: 60 },
    );
  });

for (const source of ['^(?=a)b', '(a)\\1', '\\bword\\b', 'a^b', '[a', '(a', '\\p{L}'])
  test(`pattern ${source} is not expressible`, () =>
    assert.equal(patternGrammar(createRules(), source, 20), undefined));

test('a schema that unfolds without end is refused', () => {
  const schema = { type: 'null', anyOf: [{ $ref: '#' }, { type: 'null' }] };
  assert.throws(() => schemaGrammar(createRules()).document(schema, 200, true, 'schema'), SchemaError);
});
