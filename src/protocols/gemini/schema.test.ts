import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../core/json.ts';
import { encodeRequest } from './encode-request.ts';
import { withoutReferences } from './schema.ts';

test('a schema without references stays as it is, but for the name of its dialect', () => {
  const schema = { type: 'object', properties: { $ref: { type: 'string' }, $schema: { type: 'string' } } };
  assert.deepEqual(withoutReferences({ $schema: 'http://json-schema.org/draft-07/schema#', ...schema }), schema);
});

test('what it refers to is written out, with what stands beside the reference', () => {
  const size = { type: 'string', enum: ['s', 'm'], description: 'a size' };
  const schema = {
    type: 'object',
    properties: {
      size: { $ref: '#/$defs/Size', description: 'of the shirt' },
      others: { type: 'array', items: { anyOf: [{ $ref: '#/definitions/old~1Size' }, { type: 'null' }] } },
      again: { $ref: '#/properties/others' },
    },
    $defs: { Size: size },
    definitions: { 'old/Size': { $ref: '#/$defs/Size' } },
  };
  const others = { type: 'array', items: { anyOf: [size, { type: 'null' }] } };
  assert.deepEqual(withoutReferences(schema), {
    type: 'object',
    properties: { size: { ...size, description: 'of the shirt' }, others, again: others },
  });
  const named = { $ref: '#/definitions/Args', definitions: { Args: { type: 'object', properties: { a: size } } } };
  assert.deepEqual(withoutReferences(named), { type: 'object', properties: { a: size } });
});

test('a part within itself ends after one turn', () => {
  const node = { type: 'object', properties: { child: { $ref: '#/$defs/Node', description: 'below' } } };
  assert.deepEqual(
    withoutReferences({ type: 'object', properties: { root: { $ref: '#/$defs/Node' } }, $defs: { Node: node } }),
    {
      type: 'object',
      properties: {
        root: { type: 'object', properties: { child: { type: 'object', description: 'below' } } },
      },
    },
  );
  const itself = { type: 'object', properties: { inner: { $ref: '#' } } };
  assert.deepEqual(withoutReferences(itself), {
    type: 'object',
    properties: { inner: { type: 'object', properties: { inner: { type: 'object' } } } },
  });
});

test('a reference that leads nowhere stays, and no small schema becomes a huge one', () => {
  const lost = {
    properties: { a: { $ref: 'https://example.com/a.json' }, b: { $ref: '#/$defs/none' } },
    $defs: { c: {} },
  };
  assert.deepEqual(withoutReferences(lost), lost);
  assert.deepEqual(withoutReferences({ properties: { a: { $ref: '#/__proto__' } } }).properties, {
    a: { $ref: '#/__proto__' },
  });
  const twice = (name: string): JsonObject => ({
    properties: { a: { $ref: `#/$defs/${name}` }, b: { $ref: `#/$defs/${name}` } },
  });
  const $defs: JsonObject = { d60: { type: 'string' } };
  for (let depth = 0; depth < 60; depth++) $defs[`d${depth}`] = twice(`d${depth + 1}`);
  const written = JSON.stringify(withoutReferences({ ...twice('d0'), $defs }));
  assert.ok(written.length < 2_000_000, String(written.length));
  assert.ok(!written.includes('$ref'));
});

test('so are the parameters of tools and the schema of the answer', () => {
  const schema = {
    type: 'object',
    properties: { a: { $ref: '#/definitions/A' } },
    definitions: { A: { type: 'string' } },
  };
  const plain = { type: 'object', properties: { a: { type: 'string' } } };
  const body = encodeRequest({
    model: 'gemini-3-flash',
    stream: false,
    messages: [{ role: 'user', parts: [{ type: 'text', text: 'Hi' }] }],
    tools: [{ name: 'find', parameters: schema }],
    responseFormat: { type: 'json-schema', name: 'answer', schema },
  }) as { tools: [{ functionDeclarations: JsonObject[] }]; generationConfig: JsonObject };
  assert.deepEqual(body.tools[0].functionDeclarations[0]?.['parametersJsonSchema'], plain);
  assert.deepEqual(body.generationConfig['responseJsonSchema'], plain);
});
