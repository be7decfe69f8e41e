import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AssistantPart, ChatRequest, Message, Tool } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { decodeRequest, encodeRequest } from '../openai-chat.ts';

const body = (fields: JsonObject = {}): JsonObject => ({
  model: 'm',
  messages: [{ role: 'user', content: 'hi' }],
  ...fields,
});

const refusal = (fields: JsonObject) => {
  try {
    decodeRequest(body(fields));
  } catch (error) {
    assert.ok(error instanceof ViaductError);
    return error;
  }
  return assert.fail('was taken');
};

test('every role and kind of content is taken', () => {
  const { messages } = decodeRequest({
    model: 'm',
    messages: [
      { role: 'developer', content: [{ type: 'text', text: 'be kind', cache_control: { type: 'ephemeral' } }] },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'what is this?' },
          { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBO', detail: 'low' } },
          { type: 'image_url', image_url: 'https://example.com/a.png' },
          { type: 'input_audio', input_audio: { data: 'UklG', format: 'wav' } },
          { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBE' } },
        ],
      },
      {
        role: 'assistant',
        content: null,
        reasoning_content: 'hm',
        tool_calls: [{ id: 'c1', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c1', content: [{ type: 'text', text: 'ok' }] },
    ],
  });
  assert.deepEqual(messages, [
    { role: 'developer', parts: [{ type: 'text', text: 'be kind', cache: {} }] },
    {
      role: 'user',
      parts: [
        { type: 'text', text: 'what is this?' },
        { type: 'image', source: { data: 'iVBO', mediaType: 'image/png' }, detail: 'low' },
        { type: 'image', source: { url: 'https://example.com/a.png' } },
        { type: 'audio', data: 'UklG', format: 'wav' },
        { type: 'file', source: { data: 'JVBE', mediaType: 'application/pdf' }, name: 'a.pdf' },
      ],
    },
    {
      role: 'assistant',
      parts: [
        { type: 'reasoning', text: 'hm' },
        { type: 'tool-call', id: 'c1', name: 'f', arguments: '{}' },
      ],
    },
    { role: 'tool', toolCallId: 'c1', parts: [{ type: 'text', text: 'ok' }] },
  ]);
});

test('the deprecated functions become tools, and a function message answers the call before it', () => {
  const request = decodeRequest({
    model: 'm',
    functions: [{ name: 'f', parameters: { type: 'object' } }],
    function_call: { name: 'f' },
    messages: [
      { role: 'user', content: 'go' },
      { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } },
      { role: 'function', name: 'f', content: 'done' },
    ],
  });
  assert.deepEqual(request.tools, [{ name: 'f', parameters: { type: 'object' } }]);
  assert.deepEqual(request.toolChoice, { name: 'f' });
  const [, call, result] = request.messages;
  assert.ok(call?.role === 'assistant' && result?.role === 'tool');
  assert.deepEqual(call.parts, [{ type: 'tool-call', id: result.toolCallId, name: 'f', arguments: '{}' }]);
});

test("Ollama's options come through extra_body; OpenAI's own fields win", () => {
  const request = decodeRequest(
    body({
      options: { num_ctx: 4096, temperature: 0.1, top_k: 3 },
      keep_alive: '1h30m',
      temperature: 0.5,
      max_tokens: -1,
    }),
  );
  assert.deepEqual(request.local, { numCtx: 4096, keepAlive: 5400 });
  assert.equal(request.temperature, 0.5);
  assert.equal(request.topK, 3);
  assert.equal(request.maxTokens, undefined);
});

test('thought is asked for in four ways', () => {
  assert.deepEqual(decodeRequest(body({ reasoning_effort: 'low' })).reasoning, { effort: 'low' });
  assert.deepEqual(decodeRequest(body({ reasoning: { max_tokens: 99 } })).reasoning, { budgetTokens: 99 });
  assert.deepEqual(decodeRequest(body({ reasoning: { enabled: false } })).reasoning, { effort: 'none' });
  assert.deepEqual(decodeRequest(body({ think: true })).reasoning, {});
  assert.deepEqual(decodeRequest(body({ think: 'high' })).reasoning, { effort: 'high' });
  assert.equal(decodeRequest(body()).reasoning, undefined);
});

test('a tool choice is taken in every form', () => {
  const tools = [{ type: 'function', function: { name: 'f' } }];
  const named = { type: 'function', function: { name: 'f' } };
  assert.deepEqual(decodeRequest(body({ tools, tool_choice: named })).toolChoice, { name: 'f' });
  assert.deepEqual(
    decodeRequest(
      body({ tools, tool_choice: { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [named] } } }),
    ).toolChoice,
    { allowed: ['f'], mode: 'required' },
  );
  assert.equal(decodeRequest(body({ tool_choice: 'auto' })).toolChoice, undefined);
});

test('custom tools are functions with one text, and their calls in the history too', () => {
  const request = decodeRequest(
    body({
      tools: [{ type: 'custom', custom: { name: 'sql', description: 'Run it', format: { type: 'text' } } }],
      tool_choice: { type: 'custom', custom: { name: 'sql' } },
      messages: [
        { role: 'assistant', tool_calls: [{ id: 'c', type: 'custom', custom: { name: 'sql', input: 'select 1' } }] },
        { role: 'tool', tool_call_id: 'c', content: '1' },
      ],
    }),
  );
  assert.equal(request.tools?.[0]?.description, 'Run it');
  assert.deepEqual(request.toolChoice, { name: 'sql' });
  assert.deepEqual(request.messages[0]?.parts, [
    { type: 'tool-call', id: 'c', name: 'sql', arguments: '{"input":"select 1"}' },
  ]);
});

test('unknown fields are kept for upstreams that may know them, null counts as absent', () => {
  const request = decodeRequest(body({ guided_json: {}, seed: null, store: true, stream_options: null }));
  assert.deepEqual(request.extras, { 'openai-chat': { guided_json: {} } });
  assert.ok(!('seed' in request));
});

const refused: [string, JsonObject, string][] = [
  ['no messages', { messages: null }, 'messages'],
  ['empty messages', { messages: [] }, 'messages'],
  ['no model', { model: null }, 'model'],
  ['content of a wrong type', { messages: [{ role: 'user', content: 5 }] }, 'messages[0].content'],
  [
    'part of an unknown type',
    { messages: [{ role: 'user', content: [{ type: 'x' }] }] },
    'messages[0].content[0].type',
  ],
  [
    'text part without text',
    { messages: [{ role: 'user', content: [{ type: 'text' }] }] },
    'messages[0].content[0].text',
  ],
  ['unknown role', { messages: [{ role: 'robot', content: 'x' }] }, 'messages[0].role'],
  ['tool result without id', { messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].tool_call_id'],
  ['temperature too high', { temperature: 2.1 }, 'temperature'],
  ['temperature as text', { temperature: 'hot' }, 'temperature'],
  ['top_p', { top_p: -0.1 }, 'top_p'],
  ['top_logprobs without logprobs', { top_logprobs: 3 }, 'top_logprobs'],
  ['top_logprobs too many', { logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
  ['five stops', { stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
  ['stop of a wrong type', { stop: [1] }, 'stop[0]'],
  ['n', { n: 0 }, 'n'],
  ['max_tokens 0', { max_tokens: 0 }, 'max_tokens'],
  ['max_completion_tokens', { max_completion_tokens: 1.5 }, 'max_completion_tokens'],
  ['logit_bias', { logit_bias: { 5: 101 } }, 'logit_bias.5'],
  ['penalty', { presence_penalty: 3 }, 'presence_penalty'],
  ['stream', { stream: 'yes' }, 'stream'],
  ['response_format', { response_format: { type: 'xml' } }, 'response_format.type'],
  [
    'schema missing',
    { response_format: { type: 'json_schema', json_schema: { name: 'x' } } },
    'response_format.json_schema.schema',
  ],
  ['tool without name', { tools: [{ type: 'function', function: {} }] }, 'tools[0].function.name'],
  ['tool without function', { tools: [{ type: 'function' }] }, 'tools[0].function'],
  [
    'call without function',
    { messages: [{ role: 'assistant', tool_calls: [{ id: 'c' }] }] },
    'messages[0].tool_calls[0].function',
  ],
  ['choice without tools', { tool_choice: 'required' }, 'tool_choice'],
  [
    'choice of a tool that is not there',
    {
      tools: [{ type: 'function', function: { name: 'f' } }],
      tool_choice: { type: 'function', function: { name: 'g' } },
    },
    'tool_choice',
  ],
  ['keep_alive', { keep_alive: 'soon' }, 'keep_alive'],
  ['num_ctx', { options: { num_ctx: 0 } }, 'options.num_ctx'],
  [
    'image that is no URL',
    { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'cat.png' } }] }] },
    'messages[0].content[0].image_url.url',
  ],
];
for (const [what, fields, param] of refused)
  test(`refused: ${what}`, () => {
    const error = refusal(fields);
    assert.equal(error.status, 400);
    assert.equal(error.param, param);
    assert.match(error.message, /^(Invalid|Missing|'|The)/);
  });

test('what would change the answer and cannot be done is refused by name', () => {
  for (const [fields, param] of [
    [{ modalities: ['text', 'audio'] }, 'modalities'],
    [{ web_search_options: {} }, 'web_search_options'],
  ] as const) {
    const error = refusal(fields as unknown as JsonObject);
    assert.equal(error.code, 'unsupported_parameter');
    assert.equal(error.param, param);
  }
});

// What the protocol can express: parts of an assistant in the wire's order, one unsigned thought, text that is not cut in two.
const text = fc.string({ unit: 'grapheme', minLength: 1 });
const word = fc.stringMatching(/^[a-z][a-z_]{0,11}$/);
const base64 = fc.base64String({ minLength: 4 });
const cache = fc.constantFrom({ ttl: '1h' as const }, {});
const record = <Model extends object>(
  model: { [Key in keyof Model]: fc.Arbitrary<Model[Key]> },
  required: (keyof Model)[],
) => fc.record(model, { requiredKeys: required as never[], noNullPrototype: true });

const textPart = record({ type: fc.constant('text' as const), text, cache }, ['type', 'text']);
const source = fc.oneof(
  record({ data: base64, mediaType: fc.constantFrom('image/png', 'image/webp') }, ['data', 'mediaType']),
  record({ url: fc.constant('https://example.com/a.png') }, ['url']),
);
const userPart = fc.oneof(
  textPart,
  record({ type: fc.constant('image' as const), source, detail: fc.constantFrom('auto', 'low', 'high'), cache }, [
    'type',
    'source',
  ]),
  record({ type: fc.constant('audio' as const), data: base64, format: fc.constantFrom('wav', 'mp3') }, [
    'type',
    'data',
    'format',
  ]),
  record(
    { type: fc.constant('file' as const), source: fc.oneof(source, record({ fileId: word }, ['fileId'])), name: word },
    ['type', 'source'],
  ),
);
const reasoning = fc.oneof(
  record({ type: fc.constant('reasoning' as const), text }, ['type', 'text']),
  record(
    {
      type: fc.constant('reasoning' as const),
      text,
      signature: word,
      id: word,
      origin: fc.constantFrom('anthropic-messages', 'gemini'),
    },
    ['type', 'text', 'signature'],
  ),
);
const call = record(
  { type: fc.constant('tool-call' as const), id: word, name: word, arguments: fc.json(), signature: word, cache },
  ['type', 'id', 'name', 'arguments'],
);
const refusalPart = record({ type: fc.constant('refusal' as const), text }, ['type', 'text']);
const assistantParts = fc
  .tuple(
    fc.array(reasoning, { maxLength: 1 }),
    fc.array(fc.oneof(textPart, refusalPart), { maxLength: 2 }),
    fc.array(call, { maxLength: 2 }),
  )
  .map((parts): AssistantPart[] => parts.flat() as AssistantPart[])
  .filter((parts) => parts.some((part) => part.type !== 'reasoning'));
const message = fc.oneof(
  record(
    {
      role: fc.constantFrom('system', 'developer'),
      parts: fc.array(textPart, { minLength: 1, maxLength: 2 }),
      name: word,
    },
    ['role', 'parts'],
  ),
  record({ role: fc.constant('user'), parts: fc.array(userPart, { minLength: 1, maxLength: 3 }), name: word }, [
    'role',
    'parts',
  ]),
  record({ role: fc.constant('assistant'), parts: assistantParts, name: word }, ['role', 'parts']),
  record({ role: fc.constant('tool'), toolCallId: word, parts: fc.array(textPart, { minLength: 1, maxLength: 2 }) }, [
    'role',
    'toolCallId',
    'parts',
  ]),
) as fc.Arbitrary<Message>;

const schema = fc.constantFrom({}, { type: 'object', properties: { a: { type: 'string' } } });
const tool = record({ name: word, description: text, parameters: schema, strict: fc.boolean(), cache }, [
  'name',
]) as fc.Arbitrary<Tool>;
const unit = fc.double({ min: 0, max: 1, noNaN: true });
const penalty = fc.double({ min: -2, max: 2, noNaN: true }).map((value) => value + 0);

const request = record(
  {
    model: word,
    messages: fc.array(message, { minLength: 1, maxLength: 4 }),
    stream: fc.boolean(),
    tools: fc.array(tool, { minLength: 1, maxLength: 3 }),
    toolChoice: fc.constantFrom('none', 'auto', 'required', 'first', 'allowed'),
    parallelToolCalls: fc.boolean(),
    responseFormat: fc.oneof(
      fc.constant({ type: 'text' }),
      fc.constant({ type: 'json' }),
      record({ type: fc.constant('json-schema'), name: word, schema, strict: fc.boolean(), description: text }, [
        'type',
        'name',
        'schema',
      ]),
    ),
    maxTokens: fc.integer({ min: 1, max: 1e6 }),
    temperature: unit,
    topP: unit,
    topK: fc.nat(100),
    frequencyPenalty: penalty,
    presencePenalty: penalty,
    seed: fc.maxSafeInteger(),
    stop: fc.array(text, { minLength: 1, maxLength: 4 }),
    logprobs: fc.constant(true),
    logitBias: fc.dictionary(fc.nat().map(String), fc.integer({ min: -100, max: 100 }), { noNullPrototype: true }),
    n: fc.integer({ min: 1, max: 128 }),
    reasoning: record({ effort: fc.constantFrom('none', 'minimal', 'low', 'medium', 'high', 'xhigh') }, ['effort']),
    verbosity: fc.constantFrom('low', 'medium', 'high'),
    cacheKey: word,
    user: word,
    metadata: fc.dictionary(word, word, { noNullPrototype: true }),
    serviceTier: word,
    local: record({ minP: unit, repeatPenalty: unit, grammar: text }, ['minP']),
    extras: fc.constant({ 'openai-chat': { guided_regex: 'a+' } }),
  },
  ['model', 'messages', 'stream'],
).map((value): ChatRequest => {
  const { toolChoice, ...rest } = value as { toolChoice?: string; tools?: Tool[] } & object;
  const name = rest.tools?.[0]?.name;
  if (!toolChoice || name === undefined) return rest as ChatRequest;
  const choices: Record<string, unknown> = { first: { name }, allowed: { allowed: [name], mode: 'auto' } };
  return { ...rest, toolChoice: choices[toolChoice] ?? toolChoice } as ChatRequest;
});

test('any request encodes and decodes to itself', () => {
  fc.assert(
    fc.property(request, (value) => {
      assert.deepEqual(decodeRequest(encodeRequest(value)), value);
    }),
  );
});

test('pictures in results of tools follow the results, from the user', () => {
  const image = { type: 'image' as const, source: { data: 'QQ==', mediaType: 'image/png' } };
  const call = (id: string) => ({ type: 'tool-call' as const, id, name: 'shot', arguments: '{}' });
  const request: ChatRequest = {
    model: 'm',
    stream: false,
    messages: [
      { role: 'assistant', parts: [call('a'), call('b')] },
      { role: 'tool', toolCallId: 'a', parts: [{ type: 'text', text: 'done' }, image] },
      { role: 'tool', toolCallId: 'b', parts: [image] },
      { role: 'user', parts: [{ type: 'text', text: 'And?' }] },
    ],
  };
  const messages = encodeRequest(request)['messages'] as JsonObject[];
  assert.deepEqual(
    messages.map(({ role, content }) => [role, Array.isArray(content) ? content.length : content]),
    [
      ['assistant', null],
      ['tool', 'done'],
      ['tool', 'The result follows below.'],
      ['user', 4],
      ['user', 'And?'],
    ],
  );
  const kept = encodeRequest(request, { toolMedia: 'keep' })['messages'] as { content: Json }[];
  assert.deepEqual(kept[2]?.content, [{ type: 'image_url', image_url: { url: 'data:image/png;base64,QQ==' } }]);
});
