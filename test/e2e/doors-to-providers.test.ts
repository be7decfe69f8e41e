/**
 * Every front door to every protocol of a provider, through the real server: its clients outside, and behind it an
 * upstream that replays what the provider really answered.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import type Anthropic from '@anthropic-ai/sdk';
import type { Ollama } from 'ollama';
import type OpenAI from 'openai';
import { openProviderDoors, type ProviderDoors } from '../support/provider-doors.ts';

type Recording = { response: { status: number; headers: Record<string, string>; body: string } };

const fixtures = join(import.meta.dirname, '../../src/providers/__fixtures__');
const recorded = (name: string): Recording['response'] =>
  JSON.parse(readFileSync(join(fixtures, `${name}.json`), 'utf8')).response;

type Case = { text: RegExp; call: { name: string; arguments: object } };
type Upstream = {
  kind: string;
  model: string;
  path: string;
  plain: Case;
  stream: Case;
  files?: Record<string, string>;
};

/** What the recordings say, by protocol. */
const upstreams: Upstream[] = [
  {
    kind: 'openai-compatible',
    model: 'gpt-4o',
    path: '/v1',
    files: {
      plain: 'openai/chat-plain-2',
      'plain-tool': 'openai/chat-plain-tool-2',
      stream: 'openai/chat-stream',
      'stream-tool': 'qwen/chat-stream-tool',
    },
    plain: { text: /^The capital of Mexico is/, call: { name: 'get_weather', arguments: { city: 'Paris' } } },
    stream: { text: /^The capital of Mexico is/, call: { name: 'weather', arguments: { location: 'San Francisco' } } },
  },
  {
    kind: 'anthropic',
    model: 'claude-sonnet-4-5',
    path: '/v1',
    files: { plain: 'anthropic/chat-plain-2', 'plain-tool': 'anthropic/chat-plain-tool-2' },
    plain: { text: /^The capital of France is/, call: { name: 'get_weather', arguments: { city: 'San Francisco' } } },
    stream: { text: /^Hello there!/, call: { name: 'pelican_name_generator', arguments: {} } },
  },
  {
    kind: 'gemini',
    model: 'gemini-2.5-flash',
    path: '/v1beta',
    plain: { text: /^The capital of France is/, call: { name: 'get_capital', arguments: { country: 'France' } } },
    stream: { text: /^Paris/, call: { name: 'get_temperature', arguments: { city: 'Paris' } } },
  },
  {
    kind: 'bedrock',
    model: 'us.amazon.nova-micro-v1:0',
    path: '',
    files: { 'plain-tool': 'bedrock/chat-plain-tool-think' },
    plain: { text: /^Hello! How can I assist/, call: { name: 'get_temperature', arguments: { city: 'London' } } },
    stream: { text: /"city":\s?"Paris"/, call: { name: 'get_weather', arguments: { location: 'Barcelona' } } },
  },
];

/** Models whose recorded answer has a signed thought or call, and where the signature stands when it comes back. */
const signed: { kind: string; model: string; file: string; signature: (body: unknown) => unknown }[] = [
  {
    kind: 'gemini',
    model: 'gemini-3-pro-preview',
    file: 'gemini/chat-plain-tool-2',
    signature: (body) => at(body, 'contents', 1, 'parts', 0, 'thoughtSignature'),
  },
  {
    kind: 'bedrock',
    model: 'us.anthropic.claude-sonnet-4-20250514-v1:0',
    file: 'bedrock/chat-plain-think-3',
    signature: (body) => at(body, 'messages', 1, 'content', 0, 'reasoningContent', 'reasoningText', 'signature'),
  },
];

const at = (value: unknown, ...path: (string | number)[]): unknown =>
  path.reduce((inner, step) => (inner as Record<string | number, unknown> | undefined)?.[step], value);

/** What the upstream was sent, oldest first. */
const bodies: unknown[] = [];
const replay = createServer(async (request, response) => {
  const [, kind = ''] = (request.url ?? '').split('/');
  const body = JSON.parse(await text(request));
  const streams = body.stream === true || /stream/i.test(request.url ?? '');
  bodies.push(body);
  const special = signed.find(({ model }) => decodeURIComponent(request.url ?? '').includes(model));
  const name = `${streams ? 'stream' : 'plain'}${body.tools || body.toolConfig ? '-tool' : ''}`;
  const {
    status,
    headers,
    body: answer,
  } = recorded(
    special?.file ?? upstreams.find((upstream) => upstream.kind === kind)?.files?.[name] ?? `${kind}/chat-${name}`,
  );
  const bytes = answer.startsWith('base64:') ? Buffer.from(answer.slice(7), 'base64') : answer;
  response.writeHead(status, { 'content-type': String(headers['content-type']) }).end(bytes);
});
let server: ProviderDoors;
let openai: OpenAI;
let anthropic: Anthropic;
let ollama: Ollama;

before(async () => {
  server = await openProviderDoors(replay, upstreams);
  ({ openai, anthropic, ollama } = server);
});
after(() => server?.close());

/** What every door has to say, in one shape. */
type Answer = { text: string; calls: { name: string; arguments: object }[]; tokens: number };

const schema = { type: 'object' as const, properties: { city: { type: 'string' } } };
const tool = { name: 'get_weather', description: 'Weather of a city', parameters: schema };
const functionTool = { type: 'function' as const, function: tool };
const messages = [{ role: 'user' as const, content: 'Hello?' }];
const parsed = (json: string) => JSON.parse(json || '{}') as object;

const doors: Record<string, (model: string, stream: boolean, tools: boolean) => Promise<Answer>> = {
  async 'OpenAI chat'(model, stream, tools) {
    const ask = { model, messages, ...(tools && { tools: [functionTool] }) };
    const { choices, usage } = stream
      ? await openai.chat.completions.stream({ ...ask, stream_options: { include_usage: true } }).finalChatCompletion()
      : await openai.chat.completions.create(ask);
    const message = choices[0]?.message;
    return {
      text: message?.content ?? '',
      calls: (message?.tool_calls ?? []).flatMap((call) =>
        call.type === 'function' ? [{ name: call.function.name, arguments: parsed(call.function.arguments) }] : [],
      ),
      tokens: usage?.completion_tokens ?? 0,
    };
  },
  async 'OpenAI responses'(model, stream, tools) {
    const ask = {
      model,
      input: 'Hello?',
      ...(tools && { tools: [{ type: 'function' as const, strict: false, ...tool }] }),
    };
    const { output, output_text, usage } = stream
      ? await openai.responses.stream(ask).finalResponse()
      : await openai.responses.create(ask);
    return {
      text: output_text,
      calls: output.flatMap((item) =>
        item.type === 'function_call' ? [{ name: item.name, arguments: parsed(item.arguments) }] : [],
      ),
      tokens: usage?.output_tokens ?? 0,
    };
  },
  async 'Anthropic messages'(model, stream, tools) {
    const ask = {
      model,
      max_tokens: 100,
      messages,
      ...(tools && { tools: [{ name: 'get_weather', input_schema: schema }] }),
    };
    const { content, usage } = stream
      ? await anthropic.messages.stream(ask).finalMessage()
      : await anthropic.messages.create(ask);
    return {
      text: content.map((block) => (block.type === 'text' ? block.text : '')).join(''),
      calls: content.flatMap((block) =>
        block.type === 'tool_use' ? [{ name: block.name, arguments: block.input as object }] : [],
      ),
      tokens: usage.output_tokens,
    };
  },
  async Ollama(model, stream, tools) {
    const ask = { model, messages, ...(tools && { tools: [functionTool] }) };
    const pieces = stream ? await ollama.chat({ ...ask, stream: true }) : [await ollama.chat(ask)];
    const answer: Answer = { text: '', calls: [], tokens: 0 };
    for await (const { message, eval_count } of pieces) {
      answer.text += message.content;
      for (const { function: fn } of message.tool_calls ?? [])
        answer.calls.push({ name: fn.name, arguments: fn.arguments });
      answer.tokens = eval_count ?? answer.tokens;
    }
    return answer;
  },
};

for (const [door, ask] of Object.entries(doors))
  describe(door, () => {
    for (const { kind, model, ...expected } of upstreams)
      for (const form of ['plain', 'stream'] as const) {
        test(`to ${kind}, ${form}: text`, async () => {
          const { text, tokens } = await ask(`${kind}/${model}`, form === 'stream', false);
          assert.match(text, expected[form].text);
          assert.ok(tokens > 0);
        });
        test(`to ${kind}, ${form}: a tool call`, async () => {
          const { calls } = await ask(`${kind}/${model}`, form === 'stream', true);
          assert.deepEqual(calls[0], expected[form].call);
        });
      }
  });

/** A first turn, then a second one that sends the first back as the client got it. */
const twoTurns: Record<string, (model: string) => Promise<unknown>> = {
  async 'OpenAI chat'(model) {
    const ask = { model, tools: [functionTool], reasoning_effort: 'low' as const };
    const { choices } = await openai.chat.completions.create({ ...ask, messages });
    const message = choices[0]?.message;
    assert.ok(message);
    const results = (message.tool_calls ?? []).map(({ id }) => ({
      role: 'tool' as const,
      tool_call_id: id,
      content: 'sunny',
    }));
    return openai.chat.completions.create({ ...ask, messages: [...messages, message, ...results, ...messages] });
  },
  async 'OpenAI responses'(model) {
    const ask = {
      model,
      store: false,
      include: ['reasoning.encrypted_content' as const],
      reasoning: { effort: 'low' as const },
      tools: [{ type: 'function' as const, strict: false, ...tool }],
    };
    const { output } = await openai.responses.create({ ...ask, input: 'Hello?' });
    const results = output.flatMap((item) =>
      item.type === 'function_call'
        ? [{ type: 'function_call_output' as const, call_id: item.call_id, output: 'sunny' }]
        : [],
    );
    const history = output as OpenAI.Responses.ResponseInputItem[];
    return openai.responses.create({ ...ask, input: [...messages, ...history, ...results, ...messages] });
  },
  async 'Anthropic messages'(model) {
    const ask = {
      model,
      max_tokens: 4000,
      thinking: { type: 'enabled' as const, budget_tokens: 1024 },
      tools: [{ name: 'get_weather', input_schema: schema }],
    };
    const { content } = await anthropic.messages.create({ ...ask, messages });
    const results = content.flatMap((block) =>
      block.type === 'tool_use' ? [{ type: 'tool_result' as const, tool_use_id: block.id, content: 'sunny' }] : [],
    );
    return anthropic.messages.create({
      ...ask,
      messages: [
        ...messages,
        { role: 'assistant', content },
        { role: 'user', content: [...results, { type: 'text', text: 'And now?' }] },
      ],
    });
  },
};

describe('What a provider signed comes back to it', () => {
  for (const [door, converse] of Object.entries(twoTurns))
    for (const { kind, model, file, signature } of signed)
      test(`${door}, ${kind}`, async () => {
        await converse(`${kind}/${model}`);
        const sent = signature(bodies.at(-1));
        assert.equal(typeof sent, 'string');
        assert.ok(recorded(file).body.includes(String(sent)));
      });
});
