import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ChatRequest, Message, Tool, UserPart } from '../../core/chat.ts';
import type { JsonObject } from '../../core/json.ts';
import { decodeRequest, encodeRequest } from './request.ts';

const base = { model: 'm', input: 'hi' };
const decode = (body: object) => decodeRequest({ ...base, ...body } as JsonObject);

test('a text is a message of the user; instructions are the first system message', () => {
  assert.deepEqual(decode({ instructions: 'Be short.' }).messages, [
    { role: 'system', parts: [{ type: 'text', text: 'Be short.' }] },
    { role: 'user', parts: [{ type: 'text', text: 'hi' }] },
  ]);
});

test('thought, call and text of one turn become one message of the assistant', () => {
  const input = [
    { role: 'user', content: 'hi' },
    { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'hm' }] },
    { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'I look.' }] },
    { type: 'function_call', call_id: 'c', name: 'look', arguments: '{}' },
    { type: 'function_call_output', call_id: 'c', output: [{ type: 'input_text', text: 'seen' }] },
  ];
  const [, assistant, tool] = decode({ input }).messages;
  assert.deepEqual(
    assistant?.parts.map(({ type }) => type),
    ['reasoning', 'text', 'tool-call'],
  );
  assert.deepEqual(tool, { role: 'tool', toolCallId: 'c', parts: [{ type: 'text', text: 'seen' }] });
});

test('free-text tools are functions of one text', () => {
  const { tools, messages } = decode({
    tools: [{ type: 'custom', name: 'patch', description: 'Applies it' }],
    input: [
      { role: 'user', content: 'hi' },
      { type: 'custom_tool_call', call_id: 'c', name: 'patch', input: '+a' },
      { type: 'custom_tool_call_output', call_id: 'c', output: 'ok' },
    ],
  });
  assert.deepEqual(tools?.[0]?.parameters?.['required'], ['input']);
  const call = messages[1]?.parts[0];
  assert.equal(call?.type === 'tool-call' && call.arguments, '{"input":"+a"}');
});

test('settings', () => {
  const request = decode({
    tools: [
      { type: 'function', name: 'a', parameters: {} },
      { type: 'function', name: 'b', parameters: {}, strict: true },
    ],
    tool_choice: { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'b' }] },
    text: { format: { type: 'json_schema', name: 's', schema: { type: 'object' }, strict: true }, verbosity: 'low' },
    reasoning: { effort: 'high', summary: 'auto' },
    include: ['message.output_text.logprobs', 'reasoning.encrypted_content'],
    top_logprobs: 3,
    max_output_tokens: 50,
    prompt_cache_key: 'k',
    safety_identifier: 'u',
    options: { num_ctx: 2048 },
    keep_alive: '1h30m',
  });
  assert.deepEqual(request.toolChoice, { allowed: ['b'], mode: 'required' });
  assert.deepEqual(request.responseFormat, {
    type: 'json-schema',
    name: 's',
    schema: { type: 'object' },
    strict: true,
  });
  assert.deepEqual([request.logprobs, request.topLogprobs, request.maxTokens], [true, 3, 50]);
  assert.deepEqual(request.reasoning, { effort: 'high', summary: 'auto' });
  assert.deepEqual([request.cacheKey, request.user, request.verbosity], ['k', 'u', 'low']);
  assert.deepEqual(request.local, { numCtx: 2048, keepAlive: 5400 });
});

for (const [name, body, param, code] of [
  ['no model', { model: undefined }, 'model'],
  ['a model that is no text', { model: 3 }, 'model'],
  ['input of a wrong type', { input: 5 }, 'input'],
  ['an item that is no object', { input: ['x'] }, 'input[0]'],
  ['an unknown role', { input: [{ role: 'robot', content: 'x' }] }, 'input[0].role'],
  [
    'a part without its text',
    { input: [{ role: 'user', content: [{ type: 'input_text' }] }] },
    'input[0].content[0].text',
  ],
  [
    'a picture without address',
    { input: [{ role: 'user', content: [{ type: 'input_image' }] }] },
    'input[0].content[0].image_url',
  ],
  ['an output without its call', { input: [{ type: 'function_call_output', call_id: 'x', output: '' }] }, 'input'],
  ['temperature too high', { temperature: 3 }, 'temperature'],
  ['too many log-probabilities', { top_logprobs: 21 }, 'top_logprobs'],
  ['a tool without name', { tools: [{ type: 'function' }] }, 'tools[0].name'],
  [
    'two tools of one name',
    {
      tools: [
        { type: 'function', name: 'a' },
        { type: 'function', name: 'a' },
      ],
    },
    'tools[1].name',
  ],
  ['a choice of no tool', { tool_choice: { type: 'function', name: 'a' } }, 'tool_choice.name'],
  ['required without tools', { tool_choice: 'required' }, 'tool_choice'],
  ['an unknown format', { text: { format: { type: 'xml' } } }, 'text.format.type'],
  ['a schema without name', { text: { format: { type: 'json_schema', schema: {} } } }, 'text.format.name'],
  ['an unknown include', { include: ['everything'] }, 'include[0]'],
  ['metadata that is too long', { metadata: { a: 'x'.repeat(513) } }, 'metadata.a'],
  ['a context of no tokens', { options: { num_ctx: 0 } }, 'options.num_ctx'],
  [
    'a threshold below 1000',
    { context_management: [{ type: 'compaction', compact_threshold: 9 }] },
    'context_management[0].compact_threshold',
  ],
  ['a chain and a conversation', { previous_response_id: 'r', conversation: 'c' }, 'previous_response_id'],
  ['a prompt template', { prompt: { id: 'p' } }, 'prompt', 'unsupported_parameter'],
] as const)
  test(`refused, naming the field: ${name}`, () => {
    assert.throws(() => decode(body), { code: code ?? 'invalid_request', param });
  });

const text = fc.string({ minLength: 1 });
const name = fc.stringMatching(/^[a-z]{1,8}$/);
const userPart: fc.Arbitrary<UserPart> = fc.oneof(
  fc.record({ type: fc.constant('text' as const), text }),
  fc.record({
    type: fc.constant('image' as const),
    source: fc.record({ data: fc.base64String(), mediaType: fc.constant('image/png') }),
  }),
  fc.record({
    type: fc.constant('image' as const),
    source: fc.record({ url: fc.webUrl() }),
    detail: fc.constant('low' as const),
  }),
);
const turn: fc.Arbitrary<Message[]> = fc
  .record({
    asked: fc.array(userPart, { minLength: 1, maxLength: 3 }),
    said: text,
    call: name,
    json: fc.json(),
    result: text,
    id: fc.uuid(),
  })
  .map(({ asked, said, call, json, result, id }) => [
    { role: 'user', parts: asked },
    {
      role: 'assistant',
      parts: [
        { type: 'text', text: said },
        { type: 'tool-call', id, name: call, arguments: json },
      ],
    },
    { role: 'tool', toolCallId: id, parts: [{ type: 'text', text: result }] },
  ]);
const tools: fc.Arbitrary<Tool[]> = fc.uniqueArray(
  fc.record({ name, description: text, parameters: fc.constant<JsonObject>({ type: 'object' }) }),
  { minLength: 1, maxLength: 3, selector: (tool) => tool.name },
);
const request: fc.Arbitrary<ChatRequest> = fc
  .record({
    turns: fc.array(turn, { minLength: 1, maxLength: 3 }),
    tools,
    stream: fc.boolean(),
    temperature: fc.double({ min: 0, max: 2, noNaN: true }),
    maxTokens: fc.integer({ min: 1, max: 9999 }),
    effort: fc.constantFrom('low' as const, 'high' as const),
  })
  .map(({ turns, effort, ...rest }) => ({
    model: 'm',
    ...rest,
    reasoning: { effort },
    messages: [{ role: 'system', parts: [{ type: 'text', text: 'rules' }] }, ...turns.flat()],
  }));

test('any request that the protocol can express encodes and decodes to itself', () => {
  fc.assert(
    fc.property(request, (neutral) => {
      const wire = JSON.parse(JSON.stringify(encodeRequest(neutral))) as JsonObject;
      // -0 and objects without prototype are the generator's own.
      assert.deepEqual(decodeRequest(wire), JSON.parse(JSON.stringify(neutral)));
    }),
    { numRuns: 200 },
  );
});

test('bad input of any kind is an error of the client, never of the server', () => {
  fc.assert(
    fc.property(
      fc.object({ maxDepth: 3 }),
      fc.constantFrom('input', 'tools', 'text', 'tool_choice', 'reasoning'),
      (value, field) => {
        try {
          decode({ [field]: [value], metadata: null });
          decode({ [field]: value });
        } catch (error) {
          assert.match((error as { code?: string }).code ?? String(error), /^(invalid_request|unsupported)/);
        }
      },
    ),
  );
});
