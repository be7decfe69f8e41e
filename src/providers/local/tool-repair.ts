/** Arguments of a tool call that are nearly what the schema asks for, put right. */
import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import { jsonrepair } from 'jsonrepair';
import type { Tool } from '../../core/chat.ts';
import { isObject, type Json, type JsonObject } from '../../core/json.ts';

/** Arguments that satisfy `validate`, as near to `value` as they come; undefined when it is too far off. */
export function repairedArguments(
  value: Json,
  tool: Tool,
  validate: ValidateFunction | undefined,
): JsonObject | undefined {
  for (const candidate of candidates(value, tool)) {
    const repaired = validate ? mended(candidate, validate) : candidate;
    if (repaired) return repaired;
  }
  return undefined;
}

/** JSON text, mended where needed, or a value that is parsed already; undefined when nothing helps. */
export function parseLoosely(input: Json): { value: Json; repaired: boolean } | undefined {
  if (typeof input !== 'string') return { value: input, repaired: false };
  if (input.trim() === '') return { value: {}, repaired: true };
  try {
    return { value: JSON.parse(input), repaired: false };
  } catch {
    try {
      return { value: JSON.parse(jsonrepair(input)), repaired: true };
    } catch {
      return undefined;
    }
  }
}

/** What the model may have meant: the arguments wrapped once more, written as text, or a bare value for the only parameter. */
function* candidates(value: Json, tool: Tool): Generator<JsonObject> {
  if (value === null) yield {};
  else if (isObject(value)) {
    for (const key of ['parameters', 'arguments', 'args', 'input', 'properties', tool.name]) {
      const inner = objectIn(value[key]);
      if (inner) yield inner;
    }
    yield value;
  } else {
    const written = objectIn(value);
    if (written) yield written;
    const properties = isObject(tool.parameters?.['properties']) ? Object.keys(tool.parameters['properties']) : [];
    if (properties.length === 1) yield { [properties[0] as string]: value };
  }
}

/** An object, as it is or written as text. */
function objectIn(value: Json | undefined): JsonObject | undefined {
  const parsed = typeof value === 'string' ? parseLoosely(value)?.value : value;
  return isObject(parsed) ? parsed : undefined;
}

/** Mending one thing may show the next; this often at most. */
const maxRounds = 8;

/** A copy with types put right and unknown fields dropped, when that is all it takes. */
function mended(value: JsonObject, validate: ValidateFunction): JsonObject | undefined {
  const copy: JsonObject = structuredClone(value);
  for (let round = 0; round < maxRounds; round++) {
    if (validate(copy)) return copy;
    const errors = validate.errors ?? [];
    const changes = errors.filter((error) => mends[error.keyword]?.(placeOf(copy, error), error.params));
    if (changes.length === 0) return undefined;
  }
  return undefined;
}

/** Where an error is: the value, and the object or list that holds it under `key`; the arguments as a whole have no holder. */
type Place = { value: Json | undefined; holder: Json | undefined; key: string };

function placeOf(root: JsonObject, { instancePath }: ErrorObject): Place {
  const path = instancePath
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
  const holder = path.length > 0 ? valueAt(root, path.slice(0, -1)) : undefined;
  return { value: valueAt(root, path), holder, key: path.at(-1) ?? '' };
}

/** What puts right an error of ajv, in place, by the schema's keyword that it breaks; false when it cannot. */
type Mend = (place: Place, params: ErrorObject['params']) => boolean;

const mends: Record<string, Mend> = {
  additionalProperties: ({ value }, params) => dropField(value, params['additionalProperty']),
  unevaluatedProperties: ({ value }, params) => dropField(value, params['unevaluatedProperty']),

  type({ value, holder, key }, params) {
    const right = converted(value, params['type']);
    if (right !== undefined) return setField(holder, key, right);
    // Models write null for what they leave out; if it was required, the next round says so.
    return value === null && dropField(holder, key);
  },

  uniqueItems({ value }) {
    if (!Array.isArray(value)) return false;
    const distinct = [...new Map(value.map((item) => [JSON.stringify(item), item])).values()];
    if (distinct.length === value.length) return false;
    value.splice(0, value.length, ...distinct);
    return true;
  },

  enum({ value, holder, key }, params) {
    const given = String(value).toLowerCase();
    const meant = (params['allowedValues'] as Json[]).find((item) => String(item).toLowerCase() === given);
    return meant !== undefined && setField(holder, key, meant);
  },
};

function dropField(holder: Json | undefined, name: string): boolean {
  return isObject(holder) && Object.hasOwn(holder, name) && delete holder[name];
}

function setField(holder: Json | undefined, key: string, value: Json): boolean {
  if (Array.isArray(holder)) holder[Number(key)] = value;
  else if (isObject(holder)) holder[key] = value;
  else return false;
  return true;
}

/** The value as the first of the schema's types that it can be; undefined when it can be none. */
function converted(value: Json | undefined, type: string | string[]): Json | undefined {
  if (value === undefined) return undefined;
  for (const wanted of Array.isArray(type) ? type : [type]) {
    const right = conversions[wanted]?.(value);
    if (right !== undefined) return right;
  }
  return undefined;
}

/** By type of JSON Schema; undefined when the value cannot be that. */
const conversions: Record<string, (value: Json) => Json | undefined> = {
  number: numberIn,

  integer(value) {
    const number = typeof value === 'number' ? value : numberIn(value);
    const whole = Math.round(number ?? Number.NaN);
    // A model's 3.0000000001 is a 3; its "3.5" is no integer.
    const tolerance = typeof value === 'number' ? 1e-9 : 0;
    return number !== undefined && Math.abs(number - whole) <= tolerance ? whole : undefined;
  },

  boolean(value) {
    if (/^(true|yes)$/i.test(textIn(value))) return true;
    return /^(false|no)$/i.test(textIn(value)) ? false : undefined;
  },

  null: (value) => (/^(null|none)$/i.test(textIn(value)) ? null : undefined),

  string: (value) => (typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined),

  array(value) {
    const written = typeof value === 'string' ? parseLoosely(value)?.value : undefined;
    if (Array.isArray(written)) return written;
    return value === null ? undefined : [value];
  },

  object: (value) => (typeof value === 'string' && value.trim() !== '' ? objectIn(value) : undefined),
};

const textIn = (value: Json) => (typeof value === 'string' ? value.trim() : '');

function numberIn(value: Json): number | undefined {
  const text = textIn(value);
  return text !== '' && Number.isFinite(Number(text)) ? Number(text) : undefined;
}

function valueAt(value: Json, path: string[]): Json | undefined {
  let current: Json | undefined = value;
  for (const step of path) {
    if (Array.isArray(current)) current = current[Number(step)];
    else if (isObject(current)) current = current[step];
    else return undefined;
  }
  return current;
}
