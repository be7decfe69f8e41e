/**
 * Which request fields of OpenAI's and Ollama's contracts do what here, found out by asking the decoders, for endpoints
 * without one the schemas that check their requests, and written to docs/compatibility.md. A field that a contract
 * gains fails this test until it has a sample. `UPDATE=1` rewrites the page.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { z } from 'zod';
import type { Endpoint as DoorEndpoint } from '../src/api/define.ts';
import { ollama as ollamaDoor } from '../src/api/ollama/index.ts';
import { openai as openaiDoor } from '../src/api/openai/index.ts';
import { ViaductError } from '../src/core/errors.ts';
import type { Json, JsonObject } from '../src/core/json.ts';
import * as ollama from '../src/protocols/ollama.ts';
import * as chat from '../src/protocols/openai-chat.ts';
import * as completions from '../src/protocols/openai-completions.ts';
import * as embeddings from '../src/protocols/openai-embeddings.ts';
import * as responses from '../src/protocols/openai-responses.ts';

const specs = join(import.meta.dirname, '../../shared/specs');
const page = join(import.meta.dirname, '../docs/compatibility.md');

type Endpoint = {
  title: string;
  schema: string;
  /** The smallest body. */
  base: JsonObject;
  decode(body: JsonObject): unknown;
  /** A value for every field that is not in `base`. */
  samples: JsonObject;
  /** Fields whose effect lies in the door, with end-to-end tests of their own. */
  door: string[];
  /** Fields beyond the contract, through the SDKs' extra_body. */
  extra: JsonObject;
};

const tools: Json = [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }];
const localExtra: JsonObject = { options: { num_ctx: 4096 }, keep_alive: '5m', top_k: 20, min_p: 0.1 };

const endpoints: Endpoint[] = [
  {
    title: 'POST /v1/chat/completions',
    schema: 'CreateChatCompletionRequest',
    base: { model: 'm', messages: [{ role: 'user', content: 'hi' }] },
    decode: chat.decodeRequest,
    door: ['store', 'stream_options'],
    samples: {
      audio: { voice: 'alloy', format: 'wav' },
      frequency_penalty: 1,
      function_call: { name: 'f' },
      functions: [{ name: 'f' }],
      logit_bias: { 5: 1 },
      logprobs: true,
      max_completion_tokens: 5,
      max_tokens: 5,
      metadata: { a: 'b' },
      modalities: ['text', 'audio'],
      moderation: { model: 'omni-moderation-latest' },
      n: 2,
      parallel_tool_calls: false,
      prediction: { type: 'content', content: 'x' },
      presence_penalty: 1,
      prompt_cache_key: 'k',
      prompt_cache_options: {},
      prompt_cache_retention: '24h',
      reasoning_effort: 'low',
      response_format: { type: 'json_object' },
      safety_identifier: 's',
      seed: 1,
      service_tier: 'flex',
      stop: ['x'],
      store: true,
      stream: true,
      stream_options: { include_usage: true },
      temperature: 0.5,
      tool_choice: 'required',
      tools,
      top_logprobs: 2,
      top_p: 0.5,
      user: 'u',
      verbosity: 'low',
      web_search_options: {},
    },
    extra: { ...localExtra, think: true, reasoning: { effort: 'low' }, repeat_penalty: 1.1, grammar: 'root ::= "a"' },
  },
  {
    title: 'POST /v1/completions',
    schema: 'CreateCompletionRequest',
    base: { model: 'm', prompt: 'hi' },
    decode: completions.decodeRequest,
    door: [],
    samples: {
      best_of: 2,
      echo: true,
      frequency_penalty: 1,
      logit_bias: { 5: 1 },
      logprobs: 2,
      max_tokens: 5,
      n: 2,
      presence_penalty: 1,
      seed: 1,
      stop: ['x'],
      stream: true,
      stream_options: { include_usage: true },
      suffix: 's',
      temperature: 0.5,
      top_p: 0.5,
      user: 'u',
    },
    extra: localExtra,
  },
  {
    title: 'POST /v1/embeddings',
    schema: 'CreateEmbeddingRequest',
    base: { model: 'm', input: 'hi' },
    decode: embeddings.decodeRequest,
    door: [],
    samples: { dimensions: 5, encoding_format: 'base64', user: 'u' },
    extra: { options: { num_ctx: 4096 }, keep_alive: '5m', truncate: true },
  },
  {
    title: 'POST /v1/responses',
    schema: 'CreateResponse',
    base: { model: 'm', input: 'hi' },
    decode: responses.decodeRequest,
    door: [
      'background',
      'context_management',
      'conversation',
      'include',
      'max_tool_calls',
      'previous_response_id',
      'store',
      'truncation',
    ],
    samples: {
      background: true,
      context_management: [{ type: 'compaction', compact_threshold: 1000 }],
      conversation: 'conv_1',
      include: ['reasoning.encrypted_content'],
      instructions: 'be kind',
      max_output_tokens: 16,
      max_tool_calls: 1,
      metadata: { a: 'b' },
      moderation: { model: 'omni-moderation-latest' },
      parallel_tool_calls: false,
      previous_response_id: 'resp_1',
      prompt: { id: 'p' },
      prompt_cache_key: 'k',
      prompt_cache_options: {},
      prompt_cache_retention: '24h',
      reasoning: { effort: 'low' },
      safety_identifier: 's',
      service_tier: 'flex',
      store: false,
      stream: true,
      stream_options: { include_obfuscation: false },
      temperature: 0.5,
      text: { format: { type: 'json_object' } },
      tool_choice: 'required',
      tools: [{ type: 'function', name: 'f', parameters: { type: 'object' } }],
      top_logprobs: 2,
      top_p: 0.5,
      truncation: 'auto',
      user: 'u',
    },
    extra: localExtra,
  },
];

const ollamaGeneration: JsonObject = {
  format: 'json',
  keep_alive: '5m',
  logprobs: true,
  options: { num_ctx: 4096 },
  stream: false,
  think: true,
  top_logprobs: 2,
};

const ollamaEndpoints: Endpoint[] = [
  {
    title: 'POST /api/chat',
    schema: 'ChatRequest',
    base: { model: 'm', messages: [{ role: 'user', content: 'hi' }] },
    decode: ollama.decodeRequest,
    door: [],
    samples: { ...ollamaGeneration, tools: [{ type: 'function', function: { name: 'f' } }] },
    extra: {},
  },
  {
    title: 'POST /api/generate',
    schema: 'GenerateRequest',
    base: { model: 'm', prompt: 'hi' },
    decode: ollama.decodeGenerate,
    door: [],
    samples: { ...ollamaGeneration, images: ['iVBORw0KGgo='], raw: true, suffix: 's', system: 's' },
    extra: { template: '{{ .Prompt }}' },
  },
  {
    title: 'POST /api/embed',
    schema: 'EmbedRequest',
    base: { model: 'm', input: 'hi' },
    decode: ollama.decodeEmbed,
    door: [],
    samples: { dimensions: 5, keep_alive: '5m', options: { num_ctx: 4096 }, truncate: false },
    extra: {},
  },
];

/** Fields that make sense only together with another one. */
const together: JsonObject = {
  top_logprobs: { logprobs: true },
  tool_choice: { tools },
  function_call: { functions: [{ name: 'f' }] },
};
const responsesTools: JsonObject = { tools: [{ type: 'function', name: 'f', parameters: { type: 'object' } }] };

type Effect = 'honoured' | 'ignored' | 'refused';

function effectOf(endpoint: Endpoint, field: string, value: Json): Effect {
  const companions = field === 'tool_choice' && endpoint.schema === 'CreateResponse' ? responsesTools : together[field];
  const without = {
    ...endpoint.base,
    ...(endpoint.schema === 'CreateEmbeddingRequest' ? {} : (companions as JsonObject)),
  };
  if (endpoint.door.includes(field)) return 'honoured';
  const plain = meaning(endpoint.decode(without));
  try {
    return meaning(endpoint.decode({ ...without, [field]: value })) === plain ? 'ignored' : 'honoured';
  } catch (error) {
    assert.ok(error instanceof ViaductError, `${field}: ${error}`);
    assert.equal(error.status, 400);
    assert.equal(error.param?.split(/[.[]/)[0], field);
    return 'refused';
  }
}

/** The neutral request, without what is only kept for providers of the same protocol. */
function meaning(decoded: unknown): string {
  return JSON.stringify(decoded, (key, value) => (key === 'extras' ? undefined : value));
}

function propertiesOf(spec: JsonObject, of: JsonObject): string[] {
  const schemas = (spec['components'] as JsonObject)['schemas'] as JsonObject;
  const walk = (schema: JsonObject): string[] => {
    const reference = schema['$ref'];
    if (typeof reference === 'string') return walk(schemas[reference.split('/').at(-1) ?? ''] as JsonObject);
    const parts = ((schema['allOf'] as JsonObject[] | undefined) ?? []).flatMap(walk);
    return [...parts, ...Object.keys((schema['properties'] as JsonObject | undefined) ?? {})];
  };
  return [...new Set(walk(of))].sort();
}

function render(openai: JsonObject, ollamaSpec: JsonObject): string {
  const lines = [
    '# Compatibility',
    '',
    'This page is made by `test/compatibility.test.ts` from the published contracts of OpenAI (API 2.3.0, August 2026) and Ollama, and from what the server does; do not edit it.',
    '',
    'It tells what happens to each request field when a model of another protocol, or a local model, answers. A provider that speaks the same protocol gets the whole body as it came, also the fields that are ignored or refused here.',
    '',
    '- honoured: the field does what it says.',
    '- ignored: the field is taken and changes nothing here; the answer would be the same.',
    '- refused: the field would change the answer and cannot be done; status 400 with the field in `param`.',
    '- passed on: every provider of it gets the field as it came.',
  ];
  lines.push(...tablesOf(openai, endpoints, openaiDoor.endpoints, '/v1'), '', '# Ollama', '');
  lines.push(
    "From Ollama's published contract (August 2026). Unknown `options` are taken and ignored, as Ollama does.",
    '',
    "Ollama's answers have no place for sources: an answer whose provider cites some is given without them (docs/providers.md tells what the other doors do).",
    ...tablesOf(ollamaSpec, ollamaEndpoints, ollamaDoor.endpoints, ''),
  );
  return `${lines.join('\n')}\n`;
}

/** One table for every endpoint that the contract and the door both have. */
function tablesOf(spec: JsonObject, decoded: Endpoint[], doors: DoorEndpoint[], prefix: string): string[] {
  const lines = decoded.flatMap((endpoint) => decodedTable(spec, endpoint));
  for (const [path, methods] of Object.entries(spec['paths'] as Record<string, Record<string, Operation>>))
    for (const [method, operation] of Object.entries(methods)) {
      const title = `${method.toUpperCase()} ${prefix}${path}`;
      if (decoded.some((endpoint) => endpoint.title === title)) continue;
      const door = doors.find((found) => `${found.method} ${withoutNames(found.path)}` === withoutNames(title));
      if (door) lines.push(...checkedTable(title, operationFields(spec, operation), door));
    }
  return lines;
}

const headOf = (title: string) => ['', `## ${title}`, '', '| field | |', '|---|---|'];

function decodedTable(spec: JsonObject, endpoint: Endpoint): string[] {
  const lines = headOf(endpoint.title);
  for (const field of propertiesOf(spec, { $ref: endpoint.schema })) {
    const sample = field in endpoint.base ? null : endpoint.samples[field];
    assert.notEqual(
      sample,
      undefined,
      `${endpoint.schema} has the field ${field}: give it a sample in ${import.meta.filename}`,
    );
    const effect = field in endpoint.base ? 'honoured' : effectOf(endpoint, field, sample as Json);
    lines.push(`| \`${field}\` | ${effect} |`);
  }
  const extra = Object.entries(endpoint.extra).map(([field, value]) => {
    assert.equal(effectOf(endpoint, field, value), 'honoured', field);
    return `\`${field}\``;
  });
  if (extra.length > 0) lines.push('', `Beyond the contract: ${extra.join(', ')}.`);
  return lines;
}

/** Of an endpoint whose schema says all that it reads. */
function checkedTable(title: string, fields: string[], { body, query }: DoorEndpoint): string[] {
  if (fields.length === 0) return [];
  const taken = new Set([...keysOf(body), ...keysOf(query)]);
  const others = body instanceof z.ZodObject && body.def.catchall ? 'passed on' : 'ignored';
  return [...headOf(title), ...fields.map((field) => `| \`${field}\` | ${taken.has(field) ? 'honoured' : others} |`)];
}

type Operation = {
  parameters?: { name: string; in: string }[];
  requestBody?: { content?: Record<string, { schema?: JsonObject }> };
};

/** `/conversations/{conversation_id}` and `/conversations/:id` are the same. */
const withoutNames = (path: string) => path.replace(/\{[^}]+\}|:[a-z]+|\*/g, ':');

function operationFields(spec: JsonObject, { parameters = [], requestBody }: Operation): string[] {
  const schema = requestBody?.content?.['application/json']?.schema;
  const query = parameters.flatMap((parameter) => (parameter.in === 'query' ? [parameter.name] : []));
  return [...query, ...(schema ? propertiesOf(spec, schema) : [])].sort();
}

const keysOf = (schema: z.ZodType | undefined) => (schema instanceof z.ZodObject ? Object.keys(schema.shape) : []);

const specification = (name: string) =>
  JSON.parse(readFileSync(join(specs, `${name}.openapi.json`), 'utf8')) as JsonObject;

test('docs/compatibility.md says what the server does', { skip: !existsSync(specs) }, () => {
  const made = render(specification('openai'), specification('ollama'));
  if (process.env['UPDATE']) writeFileSync(page, made);
  assert.equal(readFileSync(page, 'utf8'), made, 'run it again with UPDATE=1');
});
