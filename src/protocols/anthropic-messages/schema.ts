/** JSON Schemas as Anthropic's structured outputs take them. */
import type { Json, JsonObject } from '../../core/json.ts';

/** Keywords that make a 400; what they say goes into the description, where the model still reads it. */
const refused = new Set([
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'maxItems',
  'uniqueItems',
  'minProperties',
  'maxProperties',
]);
const maps = new Set(['properties', '$defs', 'definitions']);
const lists = new Set(['anyOf', 'allOf', 'oneOf']);

/**
 * A schema with the same meaning that the API accepts: objects closed, refused keywords turned into words, `oneOf` into
 * `anyOf`. A schema that is fine already comes back equal.
 * Source: https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs#json-schema-limitations
 */
export function acceptedSchema(schema: JsonObject): JsonObject {
  const accepted: JsonObject = {};
  const notes: string[] = [];
  for (const [keyword, value] of Object.entries(schema)) {
    if (refused.has(keyword) || (keyword === 'minItems' && Number(value) > 1))
      notes.push(`${keyword}: ${JSON.stringify(value)}`);
    else accepted[keyword === 'oneOf' ? 'anyOf' : keyword] = acceptedValue(keyword, value);
  }
  if (schema['type'] === 'object' || schema['properties']) accepted['additionalProperties'] = false;
  if (notes.length > 0) {
    const description = schema['description'];
    accepted['description'] = `${typeof description === 'string' ? `${description} ` : ''}(${notes.join(', ')})`;
  }
  return accepted;
}

function acceptedValue(keyword: string, value: Json): Json {
  if (maps.has(keyword) && isObject(value))
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, acceptedInner(inner)]));
  if (lists.has(keyword) && Array.isArray(value)) return value.map(acceptedInner);
  return keyword === 'items' ? acceptedInner(value) : value;
}

const acceptedInner = (value: Json): Json => (isObject(value) ? acceptedSchema(value) : value);

const isObject = (value: Json): value is JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value);
