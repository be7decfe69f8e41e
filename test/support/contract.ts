/** OpenAI's published contract, as checks: ../shared/specs, or a copy named by VIADUCT_SPECS. Absent, nothing is checked. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';

const folder = process.env['VIADUCT_SPECS'] ?? join(import.meta.dirname, '../../../shared/specs');

type Contract = {
  /** Throws when `value` is not what `schema` (a name of the file's components, or a pointer `#/…` into it) says. */
  check(schema: string, value: unknown): void;
  /** The schema of a reply of status 200 that the contract describes: by method, path and content type. */
  replyOf(method: string, path: string, type: string): string | undefined;
  /** The name of the component that describes events of this type, of the union `name`. */
  eventOf(name: string, type: string): string | undefined;
};

const contracts = new Map<string, Contract>();

/** The contract in one file of the specs: `openai`, `open-responses`, `ollama`. */
export function contract(name: 'openai' | 'open-responses' | 'ollama'): Contract {
  const known = contracts.get(name);
  if (known) return known;
  const made = load(join(folder, `${name}.openapi.json`));
  contracts.set(name, made);
  return made;
}

function load(file: string): Contract {
  if (!existsSync(file)) return { check() {}, replyOf: () => undefined, eventOf: () => undefined };
  const spec = JSON.parse(readFileSync(file, 'utf8')) as Spec;
  const paths = Object.keys(spec.paths)
    .filter((path) => !path.includes('?'))
    .map((path) => ({ path, matches: new RegExp(`^${path.replace(/\{[^}]+\}/g, '[^/]+')}$`) }));
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema(withNullables(spec), 'spec');
  const validators = new Map<string, ValidateFunction>();
  return {
    check(schema, value) {
      let validate = validators.get(schema);
      if (!validate) {
        validate = ajv.compile({ $ref: `spec${schema.startsWith('#') ? schema : `#/components/schemas/${schema}`}` });
        validators.set(schema, validate);
      }
      // A null of an optional field counts as absent; one that the schema allows stays. Both readings must fail to be an error.
      if (validate(value) || validate(withoutNulls(value, validate))) return;
      const problems = validate.errors?.map(({ instancePath, message }) => `${instancePath} ${message}`).join('\n');
      assert.fail(`not a ${schema}:\n${problems}\n${JSON.stringify(value, null, 1).slice(0, 2000)}`);
    },
    replyOf(method, path, type) {
      // `/models/list` before `/models/{model}`: what names the path itself is meant.
      const known = paths.filter(({ matches }) => matches.test(path)).sort((a, b) => count(a.path) - count(b.path))[0];
      const operation = known && spec.paths[known.path]?.[method.toLowerCase()];
      if (!known || !operation?.responses['200']?.content?.[type]?.schema) return undefined;
      return `#/paths/${pointerOf(known.path)}/${method.toLowerCase()}/responses/200/content/${pointerOf(type)}/schema`;
    },
    eventOf: (name, type) =>
      spec.components.schemas[name]?.anyOf
        ?.map(({ $ref }) => $ref.split('/').at(-1) ?? '')
        .find((event) => spec.components.schemas[event]?.properties?.['type']?.enum?.[0] === type),
  };
}

type Spec = {
  paths: Record<
    string,
    Record<string, { responses: Record<string, { content?: Record<string, { schema?: object }> }> }>
  >;
  components: {
    schemas: Record<string, { anyOf?: { $ref: string }[]; properties?: Record<string, { enum?: unknown[] }> }>;
  };
};

const count = (path: string) => path.split('{').length;
/** For a JSON pointer inside a URI fragment. */
const pointerOf = (key: string) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'));

/** OpenAPI 3.0's `nullable`, which JSON Schema does not know, also beside a $ref or an enum. */
function withNullables<Schema>(schema: Schema): Schema {
  if (Array.isArray(schema)) return schema.map(withNullables) as Schema;
  if (typeof schema !== 'object' || schema === null) return schema;
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, withNullables(value)]));
  if (copy['nullable'] !== true) return copy as Schema;
  const { nullable: _nullable, ...rest } = copy;
  return { anyOf: [rest, { type: 'null' }] } as Schema;
}

/** Drops the nulls at which the schema takes offence, until it takes no more. */
function withoutNulls(value: unknown, validate: ValidateFunction): unknown {
  const copy = structuredClone(value);
  for (let round = 0; round < 20; round++) {
    if (validate(copy)) return copy;
    let dropped = false;
    for (const { instancePath } of validate.errors ?? []) dropped = dropNull(copy, instancePath) || dropped;
    if (!dropped) return copy;
  }
  return copy;
}

function dropNull(root: unknown, pointer: string): boolean {
  const keys = pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = keys.pop();
  let at = root as Record<string, unknown> | undefined;
  for (const key of keys) at = at?.[key] as Record<string, unknown> | undefined;
  if (last === undefined || !at || at[last] !== null) return false;
  delete at[last];
  return true;
}

/** Every JSON event of an event stream's text, in order; `[DONE]` is left out. */
export function eventsOf(sse: string): unknown[] {
  return sse
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data: ') && line !== 'data: [DONE]')
    .map((line) => JSON.parse(line.slice(6)) as unknown);
}
