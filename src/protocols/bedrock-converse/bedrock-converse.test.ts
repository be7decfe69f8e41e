import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventStreamCodec } from '@smithy/eventstream-codec';
import fc from 'fast-check';
import type { ChatRequest, Message } from '../../core/chat.ts';
import { createFolder } from '../../core/collect.ts';
import { createEventStreamParser } from '../../lib/aws-event-stream.ts';
import { createStreamDecoder, decodeError, decodeResponse } from './decode-reply.ts';
import { decodeRequest } from './decode-request.ts';
import { encodeRequest } from './encode-request.ts';

const words = fc.stringMatching(/^[a-z]{1,12}$/);
const text = words.map((text) => ({ type: 'text' as const, text }));
const cached = words.map((text) => ({ type: 'text' as const, text, cache: {} }));
const image = fc
  .base64String({ minLength: 4 })
  .map((data) => ({ type: 'image' as const, source: { data, mediaType: 'image/png' } }));
const file = fc.record(
  {
    type: fc.constant('file' as const),
    source: fc.constant({ data: 'QQ==', mediaType: 'application/pdf' }),
    name: fc.constant('a'),
    cited: fc.constant(true as const),
  },
  { requiredKeys: ['type', 'source', 'name'], noNullPrototype: true },
);
const call = fc.record({ id: fc.uuid(), name: words, result: words, isError: fc.boolean() });

const messages = fc
  .tuple(
    fc.option(text),
    fc.array(fc.oneof(text, cached, image), { minLength: 1, maxLength: 3 }),
    words,
    fc.option(call),
    fc.array(file, { maxLength: 1 }),
  )
  .map(([system, parts, answer, used, files]): Message[] => [
    ...(system ? [{ role: 'system', parts: [system] } as Message] : []),
    { role: 'user', parts: [...parts, ...files] },
    {
      role: 'assistant',
      parts: [
        { type: 'reasoning', text: 'hm', signature: 'c2ln', origin: 'bedrock-converse' },
        { type: 'text', text: answer },
        ...(used ? [{ type: 'tool-call' as const, id: used.id, name: used.name, arguments: '{"a":1}' }] : []),
      ],
    },
    ...(used
      ? [
          {
            role: 'tool' as const,
            toolCallId: used.id,
            parts: [{ type: 'text' as const, text: used.result }],
            ...(used.isError && { isError: true }),
          },
        ]
      : []),
  ]);

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const request = fc
  .record({
    messages,
    maxTokens: optional(fc.integer({ min: 2000 })),
    temperature: optional(fc.float({ min: 0, max: 1, noNaN: true })),
    topP: optional(fc.float({ min: 0, max: 1, noNaN: true })),
    topK: optional(fc.nat()),
    stop: optional(fc.array(words, { minLength: 1, maxLength: 4 })),
    tools: fc.constant([{ name: 'f', description: 'does f', parameters: { type: 'object' }, strict: true, cache: {} }]),
    toolChoice: optional(fc.constantFrom('auto' as const, 'required' as const, { name: 'f' })),
    responseFormat: optional(fc.constant({ type: 'json-schema' as const, name: 'answer', schema: { type: 'object' } })),
    reasoning: optional(fc.constant({ budgetTokens: 1024 })),
    extras: optional(fc.constant({ 'bedrock-converse': { guardrailConfig: { guardrailIdentifier: 'g' } } })),
  })
  .map(
    (fields) =>
      ({
        model: 'anthropic.claude-sonnet-4-5',
        stream: false,
        ...Object.fromEntries(Object.entries(possible(fields)).filter(([, value]) => value !== undefined)),
      }) as ChatRequest,
  );

/** Claude takes temperature or top_p, none of them while it thinks, and does not think when it is made to call a tool. */
function possible<Fields extends { [name in 'temperature' | 'topP' | 'topK' | 'toolChoice' | 'reasoning']?: unknown }>(
  fields: Fields,
): Fields {
  if (fields.reasoning !== undefined)
    return { ...fields, temperature: undefined, topP: undefined, topK: undefined, toolChoice: undefined };
  return fields.temperature === undefined ? fields : { ...fields, topP: undefined };
}

test('any request that Converse can express comes back the same', () => {
  fc.assert(
    fc.property(request, (original) => {
      const { model, stream } = original;
      assert.deepEqual(decodeRequest(encodeRequest(original), { model, stream }), original);
    }),
  );
});

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString(),
  (text) => Buffer.from(text),
);
const frame = (type: string, body: object, kind = 'event') =>
  Buffer.from(
    codec.encode({
      headers: { [`:${kind}-type`]: { type: 'string', value: type } },
      body: Buffer.from(JSON.stringify(body)),
    }),
  );

const stream = [
  frame('messageStart', { role: 'assistant' }),
  frame('contentBlockDelta', { contentBlockIndex: 0, delta: { reasoningContent: { text: 'Hm.' } } }),
  frame('contentBlockDelta', { contentBlockIndex: 0, delta: { reasoningContent: { signature: 'c2ln' } } }),
  frame('contentBlockStop', { contentBlockIndex: 0 }),
  frame('contentBlockDelta', { contentBlockIndex: 1, delta: { text: 'Grüße' } }),
  frame('contentBlockStart', { contentBlockIndex: 2, start: { toolUse: { toolUseId: 't1', name: 'f' } } }),
  frame('contentBlockDelta', { contentBlockIndex: 2, delta: { toolUse: { input: '{"a":' } } }),
  frame('contentBlockDelta', { contentBlockIndex: 2, delta: { toolUse: { input: '1}' } } }),
  frame('messageStop', { stopReason: 'tool_use' }),
  frame('metadata', { usage: { inputTokens: 5, outputTokens: 7, cacheReadInputTokens: 100 } }),
];

test('a stream decodes the same wherever the network cuts it', () => {
  const bytes = Buffer.concat(stream);
  const read = (size: number) => {
    const parser = createEventStreamParser();
    const decoder = createStreamDecoder();
    const folder = createFolder();
    for (let from = 0; from < bytes.length; from += size)
      for (const message of parser.push(bytes.subarray(from, from + size)))
        for (const event of decoder.push(message)) folder.push(event);
    for (const event of decoder.end()) folder.push(event);
    return folder.result();
  };
  const whole = read(bytes.length);
  assert.deepEqual(whole.parts, [
    { type: 'reasoning', text: 'Hm.', signature: 'c2ln', origin: 'bedrock-converse' },
    { type: 'text', text: 'Grüße' },
    { type: 'tool-call', id: 't1', name: 'f', arguments: '{"a":1}' },
  ]);
  assert.deepEqual(whole.finish, {
    type: 'finish',
    reason: 'tool-calls',
    rawReason: 'tool_use',
    usage: { input: 105, output: 7, cacheRead: 100 },
  });
  for (const size of [1, 7, 100]) assert.deepEqual(read(size), whole);
});

const ask = (fields: Partial<ChatRequest>): ChatRequest => ({
  model: 'us.anthropic.claude-sonnet-4-6',
  stream: false,
  messages: [{ role: 'user', parts: [{ type: 'text', text: 'Hi' }] }],
  ...fields,
});
const fieldsOf = (fields: Partial<ChatRequest>) => encodeRequest(ask(fields))['additionalModelRequestFields'];

test('thinking is asked for in the words of each family', () => {
  assert.deepEqual(fieldsOf({ reasoning: { effort: 'high' } }), {
    thinking: { type: 'adaptive' },
    output_config: { effort: 'high' },
  });
  assert.deepEqual(fieldsOf({ model: 'us.anthropic.claude-3-7-sonnet-20250219-v1:0', reasoning: { effort: 'low' } }), {
    thinking: { type: 'enabled', budget_tokens: 2048 },
  });
  assert.deepEqual(fieldsOf({ model: 'qwen.qwen3-32b-v1:0', reasoning: { effort: 'high' } }), {
    reasoning_config: 'high',
  });
  assert.deepEqual(fieldsOf({ model: 'openai.gpt-oss-120b-1:0', reasoning: {} }), { reasoning_effort: 'medium' });
  assert.equal(fieldsOf({ reasoning: { effort: 'none' } }), undefined);
  assert.equal(fieldsOf({ model: 'us.deepseek.r1-v1:0', reasoning: { effort: 'high' } }), undefined);
});

test('a model that keeps to no schema is told it', () => {
  const responseFormat = { type: 'json-schema' as const, name: 'x', schema: { type: 'object' } };
  assert.ok(encodeRequest(ask({ responseFormat }))['outputConfig']);
  const body = encodeRequest(ask({ responseFormat, model: 'us.amazon.nova-pro-v1:0' }));
  assert.equal(body['outputConfig'], undefined);
  assert.match(JSON.stringify(body['system']), /\{\\"type\\":\\"object\\"\}/);
});

test('a conversation with calls names its tools, and their ids are in letters that Converse takes', () => {
  const id = 'functions.weather:0';
  const body = encodeRequest(
    ask({
      messages: [
        { role: 'user', parts: [{ type: 'text', text: 'Hi' }] },
        { role: 'assistant', parts: [{ type: 'tool-call', id, name: 'weather', arguments: '{}' }] },
        { role: 'tool', toolCallId: id, parts: [{ type: 'text', text: 'sun' }] },
      ],
    }),
  );
  assert.match(JSON.stringify(body['toolConfig']), /"name":"weather"/);
  assert.equal(JSON.stringify(body['messages']).match(/"toolUseId":"functions_weather_0"/g)?.length, 2);
});

test('an exception frame in mid-stream is an error', () => {
  const parser = createEventStreamParser();
  const decoder = createStreamDecoder();
  const [message] = parser.push(frame('throttlingException', { message: 'slow down' }, 'exception'));
  assert.throws(() => message && decoder.push(message), { code: 'provider_rate_limited' });
});

test('a whole reply', () => {
  const events = decodeResponse({
    output: { message: { role: 'assistant', content: [{ text: 'Hello' }] } },
    stopReason: 'end_turn',
    usage: { inputTokens: 1, outputTokens: 2, cacheWriteInputTokens: 3 },
  });
  assert.deepEqual(events.slice(1), [
    { type: 'text', text: 'Hello' },
    { type: 'finish', reason: 'stop', rawReason: 'end_turn', usage: { input: 4, output: 2, cacheWrite: 3 } },
  ]);
});

test('errors are told by the exception’s name, then by the status', () => {
  const code = (status: number, type: string | undefined, message: string) =>
    decodeError(status, type ? { 'x-amzn-errortype': type } : {}, JSON.stringify({ message })).code;
  assert.equal(code(429, 'ThrottlingException:http://x', 'Too many requests'), 'provider_rate_limited');
  assert.equal(code(400, 'ValidationException', 'Input is too long for requested model.'), 'context_length_exceeded');
  assert.equal(code(400, undefined, 'The provided model identifier is invalid.'), 'model_not_found');
  assert.equal(code(403, 'UnrecognizedClientException', 'The security token is invalid.'), 'provider_account');
  assert.equal(code(424, undefined, 'boom'), 'provider_unavailable');
});

const whole = (content: object[], more: object = {}) =>
  decodeResponse({
    output: { message: { role: 'assistant', content } },
    stopReason: 'end_turn',
    usage: {},
    ...more,
  } as never);

test('text with citations is text', () => {
  const cited = { citations: [{ title: 'doc' }], content: [{ text: 'Paris ' }, { text: 'is big.' }] };
  const events = whole([{ text: 'See: ' }, { citationsContent: cited }]);
  const said = events.map((event) => (event.type === 'text' ? event.text : '')).join('');
  assert.equal(said, 'See: Paris is big.');
});

test('empty text says nothing, marks that gpt-oss leaves in a name are taken off', () => {
  const use = { toolUseId: 't1', name: 'json<|channel|>commentary', input: { a: 1 }, type: 'tool_use' };
  const events = whole([{ text: '' }, { toolUse: use }], { stopReason: 'tool_use' });
  assert.deepEqual(
    events.map((event) => (event.type === 'tool-call' ? event.name : event.type)),
    ['start', 'json', 'tool-input', 'finish'],
  );
});

test('the sequence that ended the answer is told', () => {
  const additionalModelResponseFields = { stop_sequence: 'END' };
  const finish = whole([{ text: 'a' }], { stopReason: 'stop_sequence', additionalModelResponseFields }).at(-1);
  assert.equal(finish?.type === 'finish' && finish.stopSequence, 'END');
});

test('a body without a message is no answer', () => {
  const body = { Output: { __type: 'com.amazon.coral.service#UnknownOperationException' }, Version: '1.0' };
  assert.throws(() => decodeResponse(body), { code: 'provider_invalid_response' });
});

test('documents have names that Bedrock takes, no two the same', () => {
  const source = { data: 'QQ==', mediaType: 'application/pdf' };
  const files = ['résumé, 2026.pdf', 'résumé, 2026.pdf', '.pdf', 'x'.repeat(300)];
  const parts = files.map((name) => ({ type: 'file' as const, source, name }));
  const [message] = encodeRequest(ask({ messages: [{ role: 'user', parts }] }))['messages'] as {
    content: { document: { name: string } }[];
  }[];
  const names = message?.content.map(({ document }) => document.name) ?? [];
  assert.equal(new Set(names).size, 4);
  for (const name of names) assert.match(name, /^(?!.*\s\s)[A-Za-z0-9\s()[\]-]{1,200}$/);
});

test('Nova that thinks hard takes no limit and no samplers', () => {
  const nova = { model: 'us.amazon.nova-2-lite-v1:0', maxTokens: 100, temperature: 0.5, topP: 0.9 };
  assert.equal(encodeRequest(ask({ ...nova, reasoning: { effort: 'high' } }))['inferenceConfig'], undefined);
  assert.deepEqual(encodeRequest(ask({ ...nova, reasoning: { effort: 'low' } }))['inferenceConfig'], {
    maxTokens: 100,
    temperature: 0.5,
    topP: 0.9,
  });
});
