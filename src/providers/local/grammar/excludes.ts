/** Whether two schemas of a `oneOf` exclude each other: then "exactly one of" is "one of", which a grammar can say. */
import { isObject, type Json, type JsonObject } from '../../../core/json.ts';
import { asArray, hasType } from './keywords.ts';

const types = ['object', 'array', 'string', 'number', 'boolean', 'null'];

/** True when no document can fit both: another type, or a property that both require with other constants. */
export function excludes(a: JsonObject, b: JsonObject): boolean {
  return (
    disjoint(constantsOf(a), constantsOf(b)) ||
    disjoint(typesOf(a), typesOf(b)) ||
    closedWithout(a, b) ||
    closedWithout(b, a) ||
    toldApartByProperty(a, b)
  );
}

function disjoint(left: Json[] | undefined, right: Json[] | undefined): boolean {
  if (left === undefined || right === undefined) return false;
  return !left.some((x) => right.some((y) => JSON.stringify(x) === JSON.stringify(y)));
}

function constantsOf(schema: Json | undefined): Json[] | undefined {
  if (!isObject(schema)) return undefined;
  return schema['const'] !== undefined ? [schema['const']] : asArray(schema['enum']);
}

/** Stated, or those of the constants; an integer is a number. */
function typesOf(schema: JsonObject): Json[] | undefined {
  const typeOf = (value: Json) => types.find((type) => hasType(value, type)) ?? null;
  const found = asArray(schema['type']) ?? constantsOf(schema)?.map(typeOf);
  return found?.map((type) => (type === 'integer' ? 'number' : type));
}

const requiredOf = (schema: JsonObject) => new Set(asArray(schema['required']) ?? []);
const propertiesOf = (schema: JsonObject) => (isObject(schema['properties']) ? schema['properties'] : {});

/** `schema` admits no property that `other` requires. */
function closedWithout(schema: JsonObject, other: JsonObject): boolean {
  if (schema['additionalProperties'] !== false) return false;
  return [...requiredOf(other)].some((name) => !(String(name) in propertiesOf(schema)));
}

function toldApartByProperty(a: JsonObject, b: JsonObject): boolean {
  const constants = (schema: JsonObject, name: Json) => constantsOf(propertiesOf(schema)[String(name)]);
  return [...requiredOf(a)].some((name) => requiredOf(b).has(name) && disjoint(constants(a, name), constants(b, name)));
}
