/** OpenAI's published contract, as checks: ../shared/specs, or a copy named by VIADUCT_SPECS. Absent, nothing is checked. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';

const folder = process.env['VIADUCT_SPECS'] ?? join(import.meta.dirname, '../../../shared/specs');

type Contract = {
  /** Throws when `value` is not what `schema` (a name of the file's components) says. */
  check(schema: string, value: unknown): void;
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
  if (!existsSync(file)) return { check() {} };
  const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema(withNullables(JSON.parse(readFileSync(file, 'utf8'))), 'spec');
  const validators = new Map<string, ValidateFunction>();
  return {
    check(schema, value) {
      let validate = validators.get(schema);
      if (!validate) {
        validate = ajv.compile({ $ref: `spec#/components/schemas/${schema}` });
        validators.set(schema, validate);
      }
      // A null of an optional field counts as absent; one that the schema allows stays. Both readings must fail to be an error.
      if (validate(value) || validate(withoutNulls(value, validate))) return;
      const problems = validate.errors?.map(({ instancePath, message }) => `${instancePath} ${message}`).join('\n');
      assert.fail(`not a ${schema}:\n${problems}\n${JSON.stringify(value, null, 1).slice(0, 2000)}`);
    },
  };
}

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
    .split('\n')
    .filter((line) => line.startsWith('data: ') && line !== 'data: [DONE]')
    .map((line) => JSON.parse(line.slice(6)) as unknown);
}

/** A fetch for OpenAI's client that checks every reply and stream event at this door against the contract. */
export async function checkedFetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const response = await fetch(input, init);
  const { pathname } = new URL(input instanceof Request ? input.url : input);
  const text = await response.clone().text();
  const schemas = contract('openai');
  if (!response.ok) schemas.check('ErrorResponse', JSON.parse(text));
  else if (response.headers.get('content-type')?.startsWith('text/event-stream')) {
    const name = streamSchemas[pathname];
    // A failure inside a stream is a chunk with `error`, which OpenAI's contract does not describe.
    if (name) for (const event of eventsOf(text)) schemas.check(isFailure(event) ? 'ErrorResponse' : name, event);
  } else {
    const name = replySchemas[`${init?.method?.toUpperCase() ?? 'GET'} ${pathname}`];
    if (name) schemas.check(name, withVectors(JSON.parse(text)));
  }
  return response;
}

const replySchemas: Record<string, string> = {
  'POST /v1/chat/completions': 'CreateChatCompletionResponse',
  'GET /v1/chat/completions': 'ChatCompletionList',
  'POST /v1/completions': 'CreateCompletionResponse',
  'POST /v1/embeddings': 'CreateEmbeddingResponse',
  'GET /v1/models': 'ListModelsResponse',
};

const streamSchemas: Record<string, string> = {
  '/v1/chat/completions': 'CreateChatCompletionStreamResponse',
};

const isFailure = (event: unknown) => typeof event === 'object' && event !== null && 'error' in event;

/** The contract knows vectors as numbers only; base64 is the one exception of its README. */
function withVectors(body: { data?: { embedding?: unknown }[] }) {
  for (const item of body.data ?? []) if (typeof item.embedding === 'string') item.embedding = [];
  return body;
}
