/** What a grammar forces is valid every time: a hundred calls and documents at temperature 1, from the smallest models. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import OpenAI from 'openai';
import { startTestServer, type TestServer } from '../support/server.ts';

const models = ['smollm2:135m', 'gemma3:270m'];
const rounds = 100;
/** Requests at the same time: as many as the engine has slots. */
const lanes = 4;

let server: TestServer;
let client: OpenAI;

before(async () => {
  server = await startTestServer({ models });
  client = new OpenAI({ baseURL: `${server.url}/v1/`, apiKey: 'ollama', maxRetries: 0 });
});
after(() => server?.close());

const ajv = new Ajv2020({ strict: false });
addFormats.default(ajv);

/** `work(0)` … `work(99)`, a few at a time; gives what went wrong. */
async function failures(work: (seed: number) => Promise<string | undefined>): Promise<string[]> {
  const failed: string[] = [];
  let next = 0;
  const lane = async () => {
    while (next < rounds) {
      const failure = await work(next++);
      if (failure !== undefined) failed.push(failure);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return failed;
}

const tools = [
  { name: 'get_weather', description: 'Weather of a city', parameters: { type: 'object', properties: { city: { type: 'string' }, unit: { enum: ['celsius', 'fahrenheit'] }, days: { type: 'integer', minimum: 1, maximum: 14 } }, required: ['city', 'unit'], additionalProperties: false } },
  { name: 'set_alarm', description: 'Wake somebody up', parameters: { type: 'object', properties: { at: { type: 'object', properties: { hour: { type: 'integer', minimum: 0, maximum: 23 }, minute: { type: 'integer', minimum: 0, maximum: 59 } }, required: ['hour', 'minute'], additionalProperties: false }, label: { anyOf: [{ type: 'string', maxLength: 20 }, { type: 'null' }] } }, required: ['at', 'label'], additionalProperties: false } },
]; // biome-ignore format: a table

describe('forced tool calls', () => {
  const validators = new Map(tools.map(({ name, parameters }) => [name, ajv.compile(parameters)]));
  const choices: OpenAI.ChatCompletionToolChoiceOption[] = [
    'required',
    { type: 'function', function: { name: 'set_alarm' } },
  ];
  for (const model of models)
    test(`${model}: ${rounds} of ${rounds} at temperature 1`, async () => {
      const failed = await failures(async (seed) => {
        const tool_choice = choices[seed % 2] as OpenAI.ChatCompletionToolChoiceOption;
        const request = {
          model,
          messages: [{ role: 'user' as const, content: 'What is the weather in Paris? Wake me up at 7.' }],
          tools: tools.map((tool) => ({ type: 'function' as const, function: tool })),
          tool_choice,
          temperature: 1,
          seed,
          max_tokens: 300,
        };
        const { choices: answers } = await (seed % 4 < 2
          ? client.chat.completions.create(request)
          : client.chat.completions.stream(request).finalChatCompletion());
        const { message, finish_reason } = answers[0] ?? {};
        const [call, ...others] = message?.tool_calls ?? [];
        const said = JSON.stringify(answers[0]);
        if (finish_reason !== 'tool_calls' || call?.type !== 'function' || others.length > 0 || message?.content)
          return said;
        if (typeof tool_choice === 'object' && call.function.name !== 'set_alarm') return said;
        return validators.get(call.function.name)?.(JSON.parse(call.function.arguments)) ? undefined : said;
      });
      assert.deepEqual(failed, []);
      const metrics = await (await fetch(`${server.url}/metrics`)).text();
      const counted = (result: string) =>
        Number(new RegExp(`viaduct_tool_calls_total{model="${model}",result="${result}"} (\\d+)`).exec(metrics)?.[1]);
      assert.equal(counted('valid') + counted('repaired'), rounds);
    });
});

describe('documents of a schema', () => {
  const schemas: Record<string, object> = {
    'nested, with enums': { type: 'object', properties: { title: { type: 'string', maxLength: 30 }, author: { type: 'object', properties: { name: { type: 'string', maxLength: 20 }, born: { type: 'integer', minimum: 1500, maximum: 2020 } }, required: ['name', 'born'], additionalProperties: false }, kind: { enum: ['novel', 'poem', 'essay'] } }, required: ['title', 'author', 'kind'], additionalProperties: false },
    'alternatives': { type: 'object', properties: { answer: { anyOf: [{ type: 'object', properties: { ok: { const: true }, value: { type: 'number', minimum: -1.5, maximum: 2.5 } }, required: ['ok', 'value'], additionalProperties: false }, { type: 'object', properties: { ok: { const: false }, reason: { type: 'string', maxLength: 25 } }, required: ['ok', 'reason'], additionalProperties: false }] } }, required: ['answer'], additionalProperties: false },
    'recursion': { type: 'object', properties: { root: { $ref: '#/$defs/node' } }, required: ['root'], additionalProperties: false, $defs: { node: { type: 'object', properties: { name: { type: 'string', maxLength: 8 }, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } }, required: ['name', 'next'], additionalProperties: false } } },
    'unicode': { type: 'object', properties: { 'größe': { enum: ['klein', 'groß'] }, '城市': { enum: ['北京', '東京', 'Zürich'] }, '🙂': { type: 'boolean' } }, required: ['größe', '城市', '🙂'], additionalProperties: false },
    'bounds and formats': { type: 'object', properties: { date: { type: 'string', format: 'date' }, scores: { type: 'array', items: { type: 'integer', exclusiveMinimum: 0, exclusiveMaximum: 100 }, minItems: 2, maxItems: 3 }, code: { type: 'string', pattern: '^[A-Z]{2}-[0-9]{3}$' } }, required: ['date', 'scores', 'code'], additionalProperties: false },
  }; // biome-ignore format: a table
  const model = 'smollm2:135m';

  test(`${model}: ${rounds} of ${rounds} at temperature 1, whole and streamed`, async () => {
    const cases = Object.entries(schemas).map(([name, schema]) => ({ name, schema, validate: ajv.compile(schema) }));
    const failed = await failures(async (seed) => {
      const { name, schema, validate } = cases[seed % cases.length] as (typeof cases)[number];
      const request = {
        model,
        messages: [{ role: 'user' as const, content: 'Invent an example.' }],
        response_format: {
          type: 'json_schema' as const,
          json_schema: { name: 'example', strict: true, schema: schema as Record<string, unknown> },
        },
        temperature: 1,
        seed,
        max_tokens: 300,
      };
      const { choices } = await (seed % 2
        ? client.chat.completions.create(request)
        : client.chat.completions.stream(request).finalChatCompletion());
      const content = choices[0]?.message.content ?? '';
      const said = `${name}: ${content} (${choices[0]?.finish_reason})`;
      if (choices[0]?.finish_reason !== 'stop') return said;
      return validate(JSON.parse(content)) ? undefined : said;
    });
    assert.deepEqual(failed, []);
  });

  test('what no grammar can say is refused, and the keyword is named', async () => {
    const schema = {
      type: 'object',
      properties: { tags: { type: 'array', items: { type: 'string' }, uniqueItems: true } },
    };
    await assert.rejects(
      client.chat.completions.create({
        model,
        messages: [{ role: 'user', content: 'Invent an example.' }],
        response_format: { type: 'json_schema', json_schema: { name: 'example', strict: true, schema } },
      }),
      (error) =>
        error instanceof OpenAI.BadRequestError &&
        /uniqueItems/.test(`${error.param}`) &&
        /uniqueItems/.test(error.message),
    );
  });
});
