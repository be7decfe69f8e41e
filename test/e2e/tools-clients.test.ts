/** The loop "model asks for a tool, gets its result, answers", as the libraries that people use run it, on real weights. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { tool as langchainTool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import {
  Agent,
  tool as agentTool,
  OpenAIChatCompletionsModel,
  OpenAIResponsesModel,
  Runner,
  setTracingDisabled,
} from '@openai/agents';
import { tool as aiTool, generateText, stepCountIs, streamText } from 'ai';
import OpenAI from 'openai';
import { zodFunction } from 'openai/helpers/zod';
import { z } from 'zod';
import { runPython } from '../support/python.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const model = 'qwen2.5-coder:0.5b';
const small = 'smollm2:135m';
const question = 'What is the weather in Paris? Use the tool.';
const name = 'get_weather';
const description = 'Get the weather of a city';
const parameters = z.object({ city: z.string().describe('Name of the city') });

let server: TestServer;
let client: OpenAI;
let asked: string[] = [];

/** The tool itself: remembers what it was asked. */
const weather = ({ city }: { city: string }) => {
  asked.push(city);
  return '21 degrees and sunny';
};

before(async () => {
  setTracingDisabled(true); // The Agents SDK would send traces to OpenAI.
  server = await startTestServer({ models: [model, small] });
  client = new OpenAI({ baseURL: `${server.url}/v1/`, apiKey: 'ollama', maxRetries: 0 });
});
beforeEach(() => {
  asked = [];
});
after(() => server?.close());

/** The tool was called for the right city, and what it said reached the answer. */
function assertAnswered(answer: string | null | undefined) {
  assert.ok(asked.length > 0 && asked.every((city) => /paris/i.test(city)), `asked for ${JSON.stringify(asked)}`);
  assert.match(answer ?? '', /21|sunny/i);
}

describe('openai-node', () => {
  const tools = [zodFunction({ name, description, parameters, function: weather })];
  const messages = [{ role: 'user' as const, content: question }];

  test('runTools', async () => {
    const runner = client.chat.completions.runTools({ model, messages, tools, temperature: 0 });
    assertAnswered(await runner.finalContent());
    const roles = runner.messages.map(({ role }) => role);
    assert.deepEqual(roles, ['user', 'assistant', 'tool', 'assistant']);
  });

  test('runTools, streamed', async () => {
    const runner = client.chat.completions.runTools({ model, messages, tools, temperature: 0, stream: true });
    let text = '';
    runner.on('content', (delta) => {
      text += delta;
    });
    const answer = await runner.finalContent();
    assertAnswered(answer);
    assert.ok(text.endsWith(answer ?? ''));
  });

  test('runTools with a model that knows no tools, which is made to call', async () => {
    const tool_choice = { type: 'function' as const, function: { name } };
    const runner = client.chat.completions.runTools({ model: small, messages, tools, tool_choice, temperature: 0 });
    await runner.done();
    assert.equal(asked.length, 1);
  });

  // Offered tools, this model makes up others for small talk: one answer in four.
  for (const stream of [false, true])
    test(`small talk while tools are offered, stream: ${stream}: words, or a call of a tool that there is`, async () => {
      const asked: [content: string, seed: number][] = [
        ['Hello!', 1],
        ['Tell me a joke.', 0],
        ['Tell me a joke.', 2],
        ['Give me a JSON of a person with a name and an age.', 0],
      ];
      for (const [content, seed] of asked) {
        const request = { model, messages: [{ role: 'user' as const, content }], tools, temperature: 0.8, seed };
        const settings = { ...request, max_tokens: 80 };
        const choice = stream
          ? (await client.chat.completions.stream(settings).finalChatCompletion()).choices[0]
          : (await client.chat.completions.create(settings)).choices[0];
        const { content: text, tool_calls: calls = [] } = choice?.message ?? {};
        assert.doesNotMatch(text ?? '', /^\W*(json)?\W*"\w+": *"[^"]*",\s*"(arguments|parameters)"/, content);
        assert.equal(choice?.finish_reason === 'tool_calls', calls.length > 0);
        assert.ok(calls.length > 0 || text, `${content} ${seed}: nothing`);
        for (const call of calls) assert.equal(call.type === 'function' && call.function.name, name);
      }
    });

  test('Responses: a call, and its output sent back to the stored response', async () => {
    const tools: OpenAI.Responses.FunctionTool[] = [
      {
        type: 'function',
        name,
        description,
        strict: true,
        parameters: {
          type: 'object',
          properties: { city: { type: 'string' } },
          required: ['city'],
          additionalProperties: false,
        },
      },
    ];
    const first = await client.responses.create({ model, input: question, tools, temperature: 0 });
    const call = first.output.find((item) => item.type === 'function_call');
    assert.ok(call);
    const output = weather(JSON.parse(call.arguments));
    const second = await client.responses.create({
      model,
      previous_response_id: first.id,
      input: [{ type: 'function_call_output', call_id: call.call_id, output }],
      tools,
      temperature: 0,
    });
    assertAnswered(second.output_text);
  });
});

describe('OpenAI Agents SDK', () => {
  const makeAgent = (spoken: OpenAIChatCompletionsModel | OpenAIResponsesModel) =>
    new Agent({
      name: 'Weather',
      instructions: 'You answer questions about the weather.',
      model: spoken,
      modelSettings: { temperature: 0 },
      tools: [agentTool({ name, description, parameters, execute: weather })],
    });
  const dialects = {
    'chat completions': () => new OpenAIChatCompletionsModel(client, model),
    responses: () => new OpenAIResponsesModel(client, model),
  };
  for (const [dialect, speak] of Object.entries(dialects)) {
    test(dialect, async () => {
      const result = await new Runner().run(makeAgent(speak()), question, { maxTurns: 5 });
      assertAnswered(result.finalOutput);
    });

    test(`${dialect}, streamed`, async () => {
      const result = await new Runner().run(makeAgent(speak()), question, { maxTurns: 5, stream: true });
      let text = '';
      for await (const delta of result.toTextStream()) text += delta;
      await result.completed;
      assertAnswered(result.finalOutput);
      assert.ok(text.endsWith(result.finalOutput ?? ''));
    });
  }
});

describe('LangChain', () => {
  const tool = langchainTool(weather, { name, description, schema: parameters });
  const chat = (useResponsesApi: boolean) =>
    new ChatOpenAI({
      model,
      temperature: 0,
      apiKey: 'ollama',
      useResponsesApi,
      configuration: { baseURL: `${server.url}/v1/` },
    });

  for (const useResponsesApi of [false, true]) {
    const dialect = useResponsesApi ? 'responses' : 'chat completions';
    test(`bindTools, ${dialect}`, async () => {
      const bound = chat(useResponsesApi).bindTools([tool]);
      const messages = [new HumanMessage(question)];
      const called = await bound.invoke(messages);
      const [call] = called.tool_calls ?? [];
      assert.ok(call);
      const answer = await bound.invoke([...messages, called, await tool.invoke({ ...call, type: 'tool_call' })]);
      assertAnswered(answer.text);
    });

    test(`bindTools, ${dialect}, streamed`, async () => {
      const stream = await chat(useResponsesApi)
        .bindTools([tool])
        .stream([new HumanMessage(question)]);
      let whole: Awaited<ReturnType<typeof stream.next>>['value'];
      for await (const chunk of stream) whole = whole ? whole.concat(chunk) : chunk;
      assert.deepEqual(
        whole?.tool_calls?.map((call: { name: string }) => call.name),
        [name],
      );
      assert.match(String(whole?.tool_calls?.[0]?.args['city']), /paris/i);
    });
  }
});

describe('Vercel AI SDK', () => {
  const tools = { [name]: aiTool({ description, inputSchema: parameters, execute: async (input) => weather(input) }) };
  const request = () => ({
    model: createOpenAICompatible({ name: 'viaduct', baseURL: `${server.url}/v1`, apiKey: 'ollama' })(model),
    tools,
    prompt: question,
    temperature: 0,
    maxRetries: 0,
    stopWhen: stepCountIs(5),
  });

  test('generateText', async () => {
    const { text, steps, totalUsage } = await generateText(request());
    assertAnswered(text);
    assert.equal(steps[0]?.finishReason, 'tool-calls');
    assert.ok((totalUsage.outputTokens ?? 0) > 0);
  });

  test('streamText', async () => {
    const result = streamText(request());
    let text = '';
    for await (const delta of result.textStream) text += delta;
    assertAnswered(text);
    assert.equal((await result.steps)[0]?.finishReason, 'tool-calls');
  });
});

test('Python: a call and its result, whole and streamed', async () => {
  const { code, stderr } = await runPython(
    `
import json, os
import openai
from pydantic import BaseModel, Field
class get_weather(BaseModel):
    """Get the weather of a city"""
    city: str = Field(description="Name of the city")
client = openai.OpenAI(base_url=os.environ["URL"] + "/v1/", api_key="ollama", max_retries=0)
tools = [openai.pydantic_function_tool(get_weather, name="get_weather")]
messages = [{"role": "user", "content": os.environ["QUESTION"]}]
common = {"model": os.environ["MODEL"], "tools": tools, "temperature": 0}
first = client.chat.completions.parse(messages=messages, **common).choices[0]
assert first.finish_reason == "tool_calls", first
call = first.message.tool_calls[0]
assert call.function.parsed_arguments.city == "Paris", call
with client.chat.completions.stream(messages=messages, **common) as stream:
    for event in stream: pass
    streamed = stream.get_final_completion().choices[0].message.tool_calls[0]
assert streamed.function.arguments == call.function.arguments, streamed
messages += [first.message.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.id, "content": "21 degrees and sunny"}]
answer = client.chat.completions.create(messages=messages, **common).choices[0].message.content
assert "21" in answer or "sunny" in answer, answer
`,
    { URL: server.url, MODEL: model, QUESTION: question },
  );
  assert.equal(code, 0, stderr);
});
