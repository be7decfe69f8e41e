import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { AssistantPart, ChatRequest, Message } from '../../core/chat.ts';
import { createFolder } from '../../core/collect.ts';
import type { ViaductError } from '../../core/errors.ts';
import { createStreamDecoder, decodeError, decodeResponse } from './decode-reply.ts';
import { decodeRequest } from './decode-request.ts';
import { encodeRequest } from './encode-request.ts';

const words = fc.string({ minLength: 1, maxLength: 20 });
const textPart = words.map((text) => ({ type: 'text' as const, text }));
const image = fc.base64String({ minLength: 4 }).map((data) => ({
  type: 'image' as const,
  source: { data, mediaType: 'image/png' },
}));
const toolArguments = fc
  .dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.integer())
  .map((value) => JSON.stringify(value));

const turn = fc.tuple(
  fc.array(fc.oneof(textPart, image), { minLength: 1, maxLength: 3 }),
  words,
  fc.option(
    fc.record({ id: fc.uuid(), name: fc.stringMatching(/^[a-z]{1,8}$/), arguments: toolArguments, result: words }),
  ),
  fc.boolean(),
);

const messages = fc
  .tuple(fc.option(textPart), fc.array(turn, { minLength: 1, maxLength: 3 }))
  .map(([system, turns]) => [
    ...(system ? [{ role: 'system', parts: [system] } as Message] : []),
    ...turns.flatMap(([parts, answer, call, isError]): Message[] => [
      { role: 'user', parts },
      {
        role: 'assistant',
        parts: [
          { type: 'reasoning', text: 'hm', origin: 'gemini' },
          { type: 'text', text: answer },
          ...(call
            ? [
                {
                  type: 'tool-call' as const,
                  id: call.id,
                  name: call.name,
                  arguments: call.arguments,
                  signature: 'c2ln',
                },
              ]
            : []),
        ],
      },
      ...(call
        ? [
            {
              role: 'tool' as const,
              toolCallId: call.id,
              parts: [{ type: 'text' as const, text: call.result }],
              ...(isError && { isError: true }),
            },
          ]
        : []),
    ]),
  ]);

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const request = fc
  .record({
    messages,
    maxTokens: optional(fc.nat()),
    temperature: optional(fc.float({ min: 0, max: 2, noNaN: true })),
    topK: optional(fc.nat()),
    seed: optional(fc.nat()),
    stop: optional(fc.array(words, { minLength: 1, maxLength: 4 })),
    tools: fc.constant([{ name: 'f', description: 'does f', parameters: { type: 'object' } }]),
    toolChoice: optional(
      fc.constantFrom(
        'none' as const,
        'auto' as const,
        'required' as const,
        { name: 'f' },
        { allowed: ['f'], mode: 'auto' as const },
      ),
    ),
    responseFormat: optional(
      fc.constantFrom(
        { type: 'json' as const },
        { type: 'json-schema' as const, name: 'response', schema: { type: 'object' } },
      ),
    ),
    reasoning: optional(fc.constantFrom({ effort: 'low' as const }, { effort: 'high' as const }, { budgetTokens: 99 })),
    extras: optional(fc.constant({ gemini: { tools: [{ googleSearch: {} }], safetySettings: [] } })),
  })
  // A forced call is asked for without a format.
  .filter(
    ({ responseFormat, toolChoice = 'auto' }) => !responseFormat || toolChoice === 'auto' || toolChoice === 'none',
  )
  .map(
    (fields) =>
      ({
        model: 'gemini-3-pro',
        stream: true,
        ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
      }) as ChatRequest,
  );

test('any request that Gemini can express comes back the same', () => {
  fc.assert(
    fc.property(request, (original) => {
      const { model, stream } = original;
      assert.deepEqual(decodeRequest(encodeRequest(original), { model, stream }), original);
    }),
  );
});

test('the results of one turn’s calls go back in one turn', () => {
  const call = (id: string) => ({ type: 'tool-call' as const, id, name: `f${id}`, arguments: '{}' });
  const result = (toolCallId: string): Message => ({ role: 'tool', toolCallId, parts: [{ type: 'text', text: 'ok' }] });
  const { contents } = encodeRequest({
    model: 'gemini-2.5-flash',
    stream: false,
    messages: [{ role: 'assistant', parts: [call('1'), call('2')] }, result('1'), result('2')],
  });
  assert.deepEqual(
    (contents as { role: string; parts: unknown[] }[]).map(({ role, parts }) => [role, parts.length]),
    [
      ['model', 2],
      ['user', 2],
    ],
  );
});

test('a stream’s usage is the last one, thoughts are part of the output', () => {
  const decoder = createStreamDecoder();
  const chunk = (text: string, usageMetadata: object, finishReason?: string) => ({
    data: JSON.stringify({
      responseId: 'r',
      candidates: [{ content: { parts: [{ text }] }, finishReason }],
      usageMetadata,
    }),
  });
  decoder.push(chunk('Hel', { promptTokenCount: 5, candidatesTokenCount: 1 }));
  decoder.push(chunk('lo', { promptTokenCount: 7, candidatesTokenCount: 2, thoughtsTokenCount: 40 }, 'STOP'));
  assert.deepEqual(decoder.end(), [
    { type: 'finish', reason: 'stop', rawReason: 'STOP', usage: { input: 7, output: 42, reasoning: 40 } },
  ]);
});

test('a refused prompt is an error, a refused answer a finish reason', () => {
  assert.throws(() => decodeResponse({ promptFeedback: { blockReason: 'SAFETY' } }), {
    code: 'content_policy_violation',
  });
  const events = decodeResponse({ candidates: [{ finishReason: 'RECITATION' }] });
  assert.deepEqual(
    events.map((event) => (event.type === 'finish' ? event.reason : event.type)),
    ['start', 'content-filter'],
  );
});

test('signatures know whose they are, log-probabilities stay with their text', () => {
  const events = decodeResponse({
    candidates: [
      {
        content: { parts: [{ text: '4', thoughtSignature: 'c2ln' }] },
        finishReason: 'STOP',
        logprobsResult: {
          chosenCandidates: [{ token: '4', logProbability: -0.5 }],
          topCandidates: [{ candidates: [{ token: '5', logProbability: -2 }] }],
        },
      },
    ],
  });
  assert.deepEqual(events.slice(1, 3), [
    {
      type: 'text',
      text: '4',
      logprobs: [{ token: '4', logprob: -0.5, bytes: [52], top: [{ token: '5', logprob: -2, bytes: [53] }] }],
    },
    { type: 'reasoning-end', signature: 'c2ln', origin: 'gemini' },
  ]);
});

test('a signature goes back on the part that it came with, whatever carried it', () => {
  const thoughts = [
    [
      { text: 'hm', thought: true },
      { text: 'Hi', thoughtSignature: 'c2ln' },
    ],
    [{ text: 'Hi', thoughtSignature: 'c2ln' }],
    [{ functionCall: { id: 'c1', name: 'f', args: {} }, thoughtSignature: 'c2ln' }],
    [{ text: 'Hi' }, { text: '', thoughtSignature: 'c2ln' }],
  ];
  const backAs = thoughts.map((parts) => {
    const folder = createFolder();
    for (const event of decodeResponse({ candidates: [{ content: { parts }, finishReason: 'STOP' }] }))
      folder.push(event);
    // Most doors have no place for a signature on a call.
    const carried = folder
      .result()
      .parts.map(({ signature, ...part }: AssistantPart & { signature?: string }) =>
        part.type === 'tool-call' ? part : { ...part, ...(signature && { signature }) },
      ) as AssistantPart[];
    const messages: Message[] = [{ role: 'assistant', parts: carried }];
    const { contents } = encodeRequest({ model: 'gemini-3-pro', stream: false, messages });
    return (contents as { parts: unknown[] }[])[0]?.parts;
  });
  // The signature of an empty last part may as well stand on the text before it.
  assert.deepEqual(backAs, [...thoughts.slice(0, 3), [{ text: 'Hi', thoughtSignature: 'c2ln' }]]);
});

test('an answer that breaks off is an error', () => {
  assert.throws(() => createStreamDecoder().end(), { code: 'provider_invalid_response' });
});

test('errors: a rate limit keeps its delay, a bad key is the server’s fault', () => {
  const body = (code: number, status: string, message: string, details: object[] = []) =>
    JSON.stringify({ error: { code, status, message, details } });
  const limited: ViaductError = decodeError(429, {}, body(429, 'RESOURCE_EXHAUSTED', 'Quota', [{ retryDelay: '34s' }]));
  assert.deepEqual([limited.code, limited.retryAfter], ['provider_rate_limited', 34]);
  const key = decodeError(400, {}, body(400, 'INVALID_ARGUMENT', 'API key not valid. Please pass a valid API key.'));
  assert.equal(key.code, 'provider_account');
  const long = decodeError(
    400,
    {},
    body(400, 'INVALID_ARGUMENT', 'The input token count (9) exceeds the maximum number of tokens allowed (8).'),
  );
  assert.equal(long.code, 'context_length_exceeded');
});

const answer = (parts: object[], finishReason = 'STOP') =>
  decodeResponse({ candidates: [{ content: { parts }, finishReason }] } as never);

test('a call whose arguments come in pieces is whole in the end, with its last event missing too', () => {
  const piece = (jsonPath: string, more: object) => ({
    functionCall: { partialArgs: [{ jsonPath, ...more }], willContinue: true },
  });
  const folder = createFolder();
  for (const event of answer([
    { functionCall: { name: 'cook', willContinue: true }, thoughtSignature: 'c2ln' },
    piece('$.recipe.steps[0].do', { stringValue: 'bo', willContinue: true }),
    piece('$.recipe.steps[0].do', { stringValue: 'il', willContinue: true }),
    piece('$.recipe.steps[0].do', { stringValue: '' }),
    piece('$.recipe.steps[0].minutes', { numberValue: 0.5 }),
    piece('$.recipe.steps[1].hot', { boolValue: true }),
    piece("$['odd key']", { nullValue: 'NULL_VALUE' }),
    { functionCall: { willContinue: true } },
    { functionCall: {} },
    { functionCall: { id: 'c2', name: 'eat', willContinue: true } },
    { functionCall: { partialArgs: [{ jsonPath: '$.what', stringValue: 'soup' }] } },
    { functionCall: { name: 'rest', args: {} } },
    { functionCall: { name: 'wash', willContinue: true } },
    { text: '' },
  ]))
    folder.push(event);
  const { parts, finish } = folder.result();
  const calls = parts.flatMap((part) => (part.type === 'tool-call' ? [part] : []));
  assert.deepEqual(
    calls.map(({ name, arguments: json }) => [name, JSON.parse(json)]),
    [
      ['cook', { recipe: { steps: [{ do: 'boil', minutes: 0.5 }, { hot: true }] }, 'odd key': null }],
      ['eat', { what: 'soup' }],
      ['rest', {}],
      ['wash', {}],
    ],
  );
  assert.equal(calls[0]?.signature, 'c2ln');
  assert.equal(finish.reason, 'tool-calls');
});

test('paths of pieces reach nothing but the call', () => {
  const pieces = ['$.__proto__.polluted', '$.constructor.prototype.polluted', '$.a[99999999]'];
  const partialArgs = pieces.map((jsonPath) => ({ jsonPath, stringValue: 'x' }));
  answer([{ functionCall: { name: 'f', willContinue: true } }, { functionCall: { partialArgs } }]);
  assert.equal(({} as { polluted?: string }).polluted, undefined);
});

test('a picture that did not come is an error, a call that was not well formed too', () => {
  for (const word of ['NO_IMAGE', 'IMAGE_OTHER', 'MALFORMED_FUNCTION_CALL', 'UNEXPECTED_TOOL_CALL']) {
    const finish = decodeResponse({ candidates: [{ content: {}, finishReason: word }] }).at(-1);
    assert.equal(finish?.type === 'finish' && finish.reason, 'error', word);
  }
});

const asked = (fields: Partial<ChatRequest>) =>
  encodeRequest({
    model: 'gemini-3-flash',
    stream: false,
    messages: [{ role: 'user', parts: [{ type: 'text', text: 'Hi' }] }],
    ...fields,
  }) as {
    generationConfig?: { thinkingConfig?: { thinkingLevel?: string }; responseMimeType?: string };
    systemInstruction?: unknown;
  };

test('each model gets a level of thinking that it has', () => {
  const level = (model: string, effort: 'none' | 'minimal' | 'medium' | 'high') =>
    asked({ model, reasoning: { effort } }).generationConfig?.thinkingConfig?.thinkingLevel;
  assert.equal(level('gemini-3-flash-preview', 'none'), 'minimal');
  assert.equal(level('gemini-3.1-flash-lite', 'minimal'), 'minimal');
  assert.equal(level('gemini-3.7-flash', 'none'), 'low');
  assert.equal(level('gemini-3.1-pro-preview', 'minimal'), 'low');
  assert.equal(level('gemini-3-pro-preview', 'medium'), 'high');
  assert.equal(level('gemini-3.1-pro-preview', 'medium'), 'medium');
});

test('tools and JSON exclude each other: the schema is told where it cannot be enforced', () => {
  const tools = [{ name: 'f' }];
  const responseFormat = { type: 'json-schema' as const, name: 'x', schema: { type: 'object' } };
  const mime = (fields: Partial<ChatRequest>) => asked(fields).generationConfig?.responseMimeType;
  assert.equal(mime({ tools, responseFormat }), 'application/json');
  assert.equal(mime({ tools, responseFormat, toolChoice: 'required' }), undefined);
  assert.equal(mime({ tools, responseFormat, model: 'gemini-2.5-pro' }), undefined);
  assert.equal(mime({ responseFormat, model: 'gemini-2.5-pro' }), 'application/json');
  const { systemInstruction } = asked({ tools, responseFormat, model: 'gemini-2.5-flash' });
  assert.match(JSON.stringify(systemInstruction), /\{\\"type\\":\\"object\\"\}/);
});

test('pictures in results of tools: inside them from Gemini 3 on, after them before', () => {
  const image = { type: 'image' as const, source: { data: 'QQ==', mediaType: 'image/png' } };
  const inline = { inlineData: { mimeType: 'image/png', data: 'QQ==' } };
  const call = (id: string) => ({ type: 'tool-call' as const, id, name: `f${id}`, arguments: '{}' });
  const result = (toolCallId: string): Message => ({ role: 'tool', toolCallId, parts: [image] });
  const messages: Message[] = [{ role: 'assistant', parts: [call('1'), call('2')] }, result('1'), result('2')];
  const partsFor = (model: string) =>
    (
      encodeRequest({ model, stream: false, messages })['contents'] as {
        parts: Record<string, { parts?: unknown }>[];
      }[]
    )[1]?.parts ?? [];
  assert.deepEqual(
    partsFor('gemini-3-flash').map((part) => part['functionResponse']?.parts),
    [[inline], [inline]],
  );
  const before = partsFor('gemini-2.5-flash');
  assert.deepEqual(
    before.map((part) => Object.keys(part)[0]),
    ['functionResponse', 'functionResponse', 'inlineData', 'inlineData'],
  );
  assert.equal(before[0]?.['functionResponse']?.parts, undefined);
});
