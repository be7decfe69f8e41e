/** Is a tool call what its schema asks for? And if not, is it near enough to be put right? */
import { createRequire } from 'node:module';
import type { ValidateFunction } from 'ajv/dist/2020.js';
import { jsonrepair } from 'jsonrepair';
import type { Tool } from '../../core/chat.ts';
import type { Json, JsonObject } from '../../core/json.ts';

export type CheckedCall =
  | { state: 'valid' | 'repaired'; name: string; arguments: string }
  /** `name` is the tool that was meant; `invented` says that there is none. */
  | { state: 'rejected'; name: string | undefined; reason: string; invented?: true };

/** Knows the tools of one request. */
export type ToolChecker = {
  /** Name as the model wrote it, arguments as JSON text or as what it parsed to. */
  check(name: string, input: Json): CheckedCall;
  /** The tool that a model means by a name that is nearly right. */
  find(name: string): Tool | undefined;
};

const require = createRequire(import.meta.url);

/** Compiled schemas, by their text: agents send the same tools with every request. */
const compiled = new Map<string, ValidateFunction | undefined>();
const maxCompiled = 500;
const repairs = new Set(['additionalProperties', 'unevaluatedProperties']);

export function createToolChecker(tools: readonly Tool[]): ToolChecker {
  const byName = new Map(tools.map((tool) => [tool.name, tool]));
  const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

  const find = (name: string): Tool | undefined => {
    const exact = byName.get(name) ?? byName.get(withoutSpace(name).replace(/:\d+$/, ''));
    return exact ?? tools.find((tool) => plain(tool.name) === plain(name));
  };

  /** `get_current_weather` for `get_weather`: one has all the words of the other. */
  const nearest = (name: string): Tool | undefined => {
    const called = wordsOf(withoutSpace(name));
    return tools.find((tool) => {
      const own = wordsOf(tool.name);
      const shared = called.filter((word) => own.includes(word));
      return shared.length === Math.min(called.length, own.length) && shared.some((word) => word.length >= tellingWord);
    });
  };

  return {
    find,
    check(called, input) {
      const tool = find(called);
      if (!tool) {
        const name = nearest(called)?.name;
        const reason = `there is no tool "${called}"`;
        return { state: 'rejected', name, reason, ...(name === undefined && { invented: true }) };
      }
      const parsed = parse(input);
      if (parsed === undefined) return { state: 'rejected', name: tool.name, reason: 'its arguments are not JSON' };
      const validate = validator(tool);
      const asWritten = isObject(parsed.value) ? parsed.value : {};
      const fits = isObject(parsed.value) && (!validate || validate(asWritten));
      const text = typeof input === 'string' && !parsed.repaired ? input : JSON.stringify(parsed.value);
      if (fits) {
        const untouched = tool.name === called && !parsed.repaired;
        return { state: untouched ? 'valid' : 'repaired', name: tool.name, arguments: text };
      }
      for (const candidate of candidates(parsed.value, tool)) {
        const repaired = validate ? coerce(candidate, validate, tool.parameters) : candidate;
        if (repaired) return { state: 'repaired', name: tool.name, arguments: JSON.stringify(repaired) };
      }
      validate?.(asWritten);
      const first = validate?.errors?.[0];
      const where = first?.instancePath ? `"${first.instancePath.slice(1).replaceAll('/', '.')}" ` : '';
      return {
        state: 'rejected',
        name: tool.name,
        reason: `its arguments do not fit: ${where}${first?.message ?? ''}`,
      };
    },
  };
}

/** Without the name space that some models put before every tool. */
const withoutSpace = (name: string) => name.replace(/^(functions?|tools?)[.:]/, '');

/** Letters of a word that says more than `get` and `add` do. */
const tellingWord = 4;

const wordsOf = (name: string) =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);

function parse(input: Json): { value: Json; repaired: boolean } | undefined {
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
  if (typeof value === 'string') {
    const inner = parse(value);
    if (inner && isObject(inner.value)) yield inner.value;
  }
  if (isObject(value)) {
    for (const key of ['parameters', 'arguments', 'args', 'input', 'properties', tool.name]) {
      const inner = value[key];
      if (isObject(inner)) yield inner;
      else if (typeof inner === 'string') {
        const text = parse(inner);
        if (text && isObject(text.value)) yield text.value;
      }
    }
    yield value;
    return;
  }
  const properties = isObject(tool.parameters?.['properties']) ? Object.keys(tool.parameters['properties']) : [];
  if (properties.length === 1 && value !== null) yield { [properties[0] as string]: value };
}

/** A copy with types put right and unknown fields dropped, when that is all it takes. */
function coerce(value: JsonObject, validate: ValidateFunction, schema: JsonObject | undefined): JsonObject | undefined {
  const copy: JsonObject = structuredClone(value);
  for (let round = 0; round < 8; round++) {
    if (validate(copy)) return copy;
    let changed = false;
    for (const error of validate.errors ?? []) {
      const path = error.instancePath.split('/').slice(1).map(decode);
      if (repairs.has(error.keyword)) {
        const holder = at(copy, path);
        const name = error.params['additionalProperty'] ?? error.params['unevaluatedProperty'];
        if (isObject(holder) && name in holder) {
          delete holder[name];
          changed = true;
        }
      } else if (error.keyword === 'type' && path.length > 0) {
        const holder = at(copy, path.slice(0, -1));
        const key = path.at(-1) as string;
        const right = convert(at(copy, path), error.params['type']);
        if (right !== undefined && holder !== undefined && holder !== null && typeof holder === 'object') {
          (holder as JsonObject)[key] = right;
          changed = true;
        } else if (isObject(holder) && holder[key] === null && !isRequired(schema, path)) {
          delete holder[key];
          changed = true;
        }
      } else if (error.keyword === 'uniqueItems') {
        const list = at(copy, path);
        if (Array.isArray(list)) {
          const distinct = new Map(list.map((item) => [JSON.stringify(item), item]));
          changed = distinct.size < list.length;
          list.splice(0, list.length, ...distinct.values());
        }
      } else if (error.keyword === 'enum' && path.length > 0) {
        const holder = at(copy, path.slice(0, -1));
        const given = String(at(copy, path)).toLowerCase();
        const meant = (error.params['allowedValues'] as Json[]).find((item) => String(item).toLowerCase() === given);
        if (meant !== undefined && isObject(holder)) {
          holder[path.at(-1) as string] = meant;
          changed = true;
        }
      }
    }
    if (!changed) return undefined;
  }
  return undefined;
}

function isRequired(schema: JsonObject | undefined, path: string[]): boolean {
  const required = path.length === 1 ? schema?.['required'] : undefined;
  return Array.isArray(required) && required.includes(path[0] as string);
}

function convert(value: Json | undefined, type: string | string[]): Json | undefined {
  for (const wanted of Array.isArray(type) ? type : [type]) {
    const text = typeof value === 'string' ? value.trim() : undefined;
    if ((wanted === 'number' || wanted === 'integer') && text && Number.isFinite(Number(text))) {
      if (wanted === 'number' || Number.isInteger(Number(text))) return Number(text);
    }
    if (
      wanted === 'integer' &&
      typeof value === 'number' &&
      Number.isInteger(Math.round(value)) &&
      Math.abs(value - Math.round(value)) < 1e-9
    )
      return Math.round(value);
    if (wanted === 'boolean' && text && /^(true|false|yes|no)$/i.test(text)) return /^(true|yes)$/i.test(text);
    if (wanted === 'null' && text && /^(null|none)$/i.test(text)) return null;
    if (wanted === 'string' && (typeof value === 'number' || typeof value === 'boolean')) return String(value);
    if ((wanted === 'array' || wanted === 'object') && text) {
      const inner = parse(text)?.value;
      if (wanted === 'array' ? Array.isArray(inner) : isObject(inner)) return inner;
    }
    if (wanted === 'array' && value !== undefined && value !== null) return [value];
  }
  return undefined;
}

function at(value: Json, path: string[]): Json | undefined {
  let current: Json | undefined = value;
  for (const step of path) {
    if (Array.isArray(current)) current = current[Number(step)];
    else if (isObject(current)) current = current[step];
    else return undefined;
  }
  return current;
}

const decode = (step: string) => step.replaceAll('~1', '/').replaceAll('~0', '~');

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Undefined when the schema is none or cannot be compiled: then any object will do. */
function validator({ parameters }: Tool): ValidateFunction | undefined {
  if (!parameters) return undefined;
  const text = JSON.stringify(parameters);
  if (compiled.has(text)) return compiled.get(text);
  if (compiled.size >= maxCompiled) compiled.clear();
  const validate = compileSchema(parameters);
  compiled.set(text, validate);
  return validate;
}

/** Undefined when ajv cannot compile it. */
export function compileSchema(schema: JsonObject): ValidateFunction | undefined {
  // A hundred files that a start does not need, and the first call with tools does.
  const { Ajv2020 } = require('ajv/dist/2020.js') as typeof import('ajv/dist/2020.js');
  const addFormats = require('ajv-formats') as typeof import('ajv-formats');
  const ajv = new Ajv2020({
    strict: false,
    allErrors: true,
    logger: false,
    validateSchema: false,
  });
  addFormats.default(ajv);
  try {
    const { $schema: _dialect, $id: _id, ...plain } = schema;
    return ajv.compile(plain);
  } catch {
    return undefined;
  }
}
