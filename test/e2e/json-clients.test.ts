/** Typed answers through the helpers that people use for them: what comes back is what their schema says. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { generateObject, generateText, Output, streamObject } from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { runPython } from '../support/python.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const model = 'qwen2.5-coder:0.5b';
const small = 'smollm2:135m';
const schema = z.object({
  name: z.string().max(30),
  age: z.number().int().min(0).max(120),
  pet: z.union([z.object({ kind: z.enum(['cat', 'dog']), name: z.string().max(20) }), z.null()]),
});
const prompt = 'Ada is 36 years old and has a cat called Tom.';
const messages = [{ role: 'user' as const, content: prompt }];

let server: TestServer;
let client: OpenAI;

before(async () => {
  server = await startTestServer({ models: [model, small] });
  client = new OpenAI({ baseURL: `${server.url}/v1/`, apiKey: 'ollama', maxRetries: 0 });
});
after(() => server?.close());

/** The model read the sentence, and the answer is of the schema. */
function assertAda(value: unknown) {
  const { name, age } = schema.parse(value);
  assert.match(name, /Ada/);
  assert.equal(age, 36);
}

describe('openai-node', () => {
  const response_format = zodResponseFormat(schema, 'person');

  test('chat.completions.parse', async () => {
    const reply = await client.chat.completions.parse({ model, messages, response_format, temperature: 0 });
    assertAda(reply.choices[0]?.message.parsed);
  });

  test('chat.completions.stream', async () => {
    const stream = client.chat.completions.stream({ model, messages, response_format, temperature: 0 });
    let last: unknown;
    stream.on('content.delta', ({ parsed }) => {
      last = parsed;
    });
    const reply = await stream.finalChatCompletion();
    assertAda(reply.choices[0]?.message.parsed);
    assert.deepEqual(last, reply.choices[0]?.message.parsed);
  });

  test('responses.parse and responses.stream', async () => {
    const request = { model, input: prompt, text: { format: zodTextFormat(schema, 'person') }, temperature: 0 };
    assertAda((await client.responses.parse(request)).output_parsed);
    assertAda((await client.responses.stream(request).finalResponse()).output_parsed);
  });

  test('json_object is an object, whatever the model', async () => {
    // A small model may write on until the limit: of several answers those that ended by themselves count.
    const replies = await Promise.all(
      Array.from({ length: 6 }, (_, seed) =>
        client.chat.completions.create({
          model: small,
          messages: [{ role: 'user', content: 'Describe a cat as JSON.' }],
          response_format: { type: 'json_object' },
          max_tokens: 200,
          seed,
        }),
      ),
    );
    const ended = replies.flatMap(({ choices }) => choices).filter(({ finish_reason }) => finish_reason === 'stop');
    assert.ok(ended.length > 0, 'some ended');
    for (const { message } of ended) {
      const value: unknown = JSON.parse(message.content ?? '');
      assert.ok(typeof value === 'object' && value !== null && !Array.isArray(value));
    }
  });
});

describe('Vercel AI SDK', () => {
  const request = (structured: boolean) => ({
    model: createOpenAICompatible({
      name: 'viaduct',
      baseURL: `${server.url}/v1`,
      apiKey: 'ollama',
      supportsStructuredOutputs: structured,
    })(model),
    prompt,
    temperature: 0,
    maxRetries: 0,
  });

  test('generateObject', async () => {
    const { object } = await generateObject({ ...request(true), schema });
    assertAda(object);
  });

  test('generateObject without a schema', async () => {
    const { object } = await generateObject({ ...request(false), output: 'no-schema' });
    assert.equal(typeof object, 'object');
  });

  test('streamObject', async () => {
    const result = streamObject({ ...request(true), schema });
    let parts = 0;
    for await (const _part of result.partialObjectStream) parts++;
    assertAda(await result.object);
    assert.ok(parts > 1, 'it came in parts');
  });

  test('generateText with an output', async () => {
    const { output } = await generateText({ ...request(true), output: Output.object({ schema }) });
    assertAda(output);
  });
});

describe('LangChain', () => {
  for (const method of ['jsonSchema', 'functionCalling'] as const)
    test(`withStructuredOutput, ${method}`, async () => {
      const chat = new ChatOpenAI({
        model,
        temperature: 0,
        apiKey: 'ollama',
        configuration: { baseURL: `${server.url}/v1/` },
      });
      assertAda(await chat.withStructuredOutput(schema, { name: 'person', method }).invoke([new HumanMessage(prompt)]));
    });
});

test('Python: parse and stream of openai, and instructor in four modes', async () => {
  const { code, stderr } = await runPython(
    `
import os
from enum import Enum
from typing import Optional
import instructor, openai
from pydantic import BaseModel, Field
class Kind(str, Enum):
    cat = "cat"
    dog = "dog"
class Pet(BaseModel):
    kind: Kind
    name: str
class Person(BaseModel):
    name: str
    age: int = Field(ge=0, le=120)
    pet: Optional[Pet]
client = openai.OpenAI(base_url=os.environ["URL"] + "/v1/", api_key="ollama", max_retries=0)
common = {"model": os.environ["MODEL"], "messages": [{"role": "user", "content": os.environ["PROMPT"]}], "temperature": 0}
def check(person):
    assert "Ada" in person.name and person.age == 36, person
check(client.chat.completions.parse(response_format=Person, **common).choices[0].message.parsed)
with client.chat.completions.stream(response_format=Person, **common) as stream:
    for event in stream: pass
    check(stream.get_final_completion().choices[0].message.parsed)
check(client.responses.parse(model=os.environ["MODEL"], input=os.environ["PROMPT"], text_format=Person, temperature=0).output_parsed)
for mode in (instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT, instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA):
    check(instructor.from_openai(client, mode=mode).chat.completions.create(response_model=Person, max_retries=0, **common))
`,
    { URL: server.url, MODEL: model, PROMPT: prompt },
  );
  assert.equal(code, 0, stderr);
});
