import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ChatEvent, ChatRequest, Message } from '../../core/chat.ts';
import { createFolder } from '../../core/collect.ts';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { createNdjsonParser } from '../../lib/ndjson.ts';
import {
  createChatEncoder,
  createGenerateEncoder,
  createRelayScanner,
  createStreamDecoder,
  decodeEmbed,
  decodeEmbeddings,
  decodeError,
  decodeGenerate,
  decodeRequest,
  decodeResponse,
  encodeChatResponse,
  encodeGenerateResponse,
  encodeRequest,
  encodeStreamError,
  type ReplyContext,
} from '../ollama.ts';

const said = (text: string) => [{ type: 'text' as const, text }];
const hello: Message = { role: 'user', parts: said('Hello') };

function result(events: ChatEvent[]) {
  const folder = createFolder();
  for (const event of events) folder.push(event);
  return folder.result();
}

function decodeLines(body: string | Buffer, size = 1 << 20): ChatEvent[] {
  const parser = createNdjsonParser();
  const decoder = createStreamDecoder();
  const bytes = Buffer.from(body);
  const events: ChatEvent[] = [];
  for (let at = 0; at < bytes.length; at += size)
    for (const line of parser.push(bytes.subarray(at, at + size))) events.push(...decoder.push(line));
  for (const line of parser.end()) events.push(...decoder.push(line));
  return [...events, ...decoder.end()];
}

describe('recorded traffic', () => {
  const folder = join(import.meta.dirname, '__fixtures__');
  for (const file of readdirSync(folder)) {
    const { request, response } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
      request: { url: string; body: string };
      response: { body: string };
    };
    const chat = request.url.endsWith('/api/chat');
    const body = JSON.parse(request.body) as JsonObject;

    test(`${file}: the request decodes`, () => {
      const decoded = chat ? decodeRequest(body) : decodeGenerate(body);
      const asked = 'Tell me a joke about OpenTelemetry';
      assert.deepEqual(decoded, {
        model: 'llama3',
        messages: [{ role: 'user', parts: said(asked) }],
        stream: body['stream'] === true,
      });
    });

    if (!chat) continue;
    test(`${file}: the reply decodes without loss`, () => {
      const records = response.body
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      const last = records.at(-1);
      for (const size of [1, 100, 1 << 20]) {
        const { parts, finish } = result(decodeLines(response.body, size));
        assert.deepEqual(parts, said(records.map(({ message }) => message.content).join('')));
        assert.deepEqual(finish.usage, { input: last.prompt_eval_count ?? 0, output: last.eval_count });
        assert.equal(finish.timings?.total, last.total_duration / 1e6);
        const scanner = createRelayScanner();
        const bytes = Buffer.from(response.body);
        for (let at = 0; at < bytes.length; at += size) scanner.push(bytes.subarray(at, at + size));
        scanner.end();
        assert.deepEqual(
          [scanner.usage, scanner.finish, scanner.done, scanner.contentSeen, scanner.error],
          [finish.usage, last.done_reason ?? 'stop', true, true, undefined],
        );
      }
      if (records.length === 1) assert.deepEqual(decodeResponse(last), decodeLines(response.body));
    });
  }
});

const record = <Model extends object>(
  model: { [Key in keyof Model]: fc.Arbitrary<Model[Key]> },
  required: (keyof Model)[],
) => fc.record(model, { requiredKeys: required as never[], noNullPrototype: true });

test('every request that the protocol can say survives the round trip', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1 });
  const word = fc.stringMatching(/^[a-z_]{1,12}$/);
  const textPart = record({ type: fc.constant('text'), text }, ['type', 'text']);
  const image = fc.constantFrom(
    { type: 'image', source: { data: 'iVBORw0KGgoA', mediaType: 'image/png' } },
    { type: 'image', source: { data: '/9j/AAAA', mediaType: 'image/jpeg' } },
    { type: 'image', source: { data: 'UklGRgAA', mediaType: 'image/webp' } },
  );
  const pictured = fc
    .tuple(fc.array(image, { maxLength: 2 }), fc.array(textPart, { maxLength: 1 }))
    .map(([images, texts]) => [...images, ...texts]);
  const json = fc
    .dictionary(word, fc.jsonValue(), { noNullPrototype: true })
    .map((value) => JSON.stringify(JSON.parse(JSON.stringify(value))));
  const assistantParts = fc
    .tuple(
      fc.array(record({ type: fc.constant('reasoning'), text }, ['type', 'text']), { maxLength: 1 }),
      fc.array(textPart, { maxLength: 1 }),
      fc.uniqueArray(
        record({ type: fc.constant('tool-call'), id: word, name: word, arguments: json }, [
          'type',
          'id',
          'name',
          'arguments',
        ]),
        { maxLength: 2, selector: ({ id }) => id ?? '' },
      ),
    )
    .map((groups) => groups.flat());
  const message = fc.oneof(
    record({ role: fc.constant('system'), parts: fc.array(textPart, { maxLength: 1 }) }, ['role', 'parts']),
    record({ role: fc.constant('user'), parts: pictured }, ['role', 'parts']),
    record({ role: fc.constant('assistant'), parts: assistantParts }, ['role', 'parts']),
    record({ role: fc.constant('tool'), toolCallId: word, parts: pictured }, ['role', 'toolCallId', 'parts']),
  );
  const number = fc.double({ min: 0, max: 2, noNaN: true }).map((value) => value + 0);
  const local = record(
    {
      numCtx: fc.integer({ min: 2, max: 100_000 }),
      keepAlive: fc.integer({ min: -1, max: 600 }),
      minP: number,
      typicalP: number,
      repeatPenalty: number,
      repeatLastN: fc.nat(100),
      mirostat: fc.nat(2),
      mirostatTau: number,
      mirostatEta: number,
      numKeep: fc.nat(10),
    },
    [],
  ).filter((value) => Object.keys(value).length > 0);
  const schema = fc.constantFrom<JsonObject>({ type: 'object', properties: { a: { type: 'string' } } });
  const request = record(
    {
      model: word,
      messages: fc.array(message, { maxLength: 4 }),
      stream: fc.boolean(),
      tools: fc.array(record({ name: word, description: text, parameters: schema, strict: fc.boolean() }, ['name']), {
        minLength: 1,
        maxLength: 2,
      }),
      maxTokens: fc.integer({ min: 1 }),
      temperature: number,
      topP: number,
      topK: fc.nat(100),
      frequencyPenalty: number,
      presencePenalty: number,
      seed: fc.nat(),
      stop: fc.array(text, { minLength: 1, maxLength: 3 }),
      responseFormat: fc.oneof(
        fc.constant({ type: 'json' }),
        schema.map((given) => ({ type: 'json-schema', name: 'output', schema: given, strict: true })),
      ),
      reasoning: fc.constantFrom(
        {},
        { effort: 'none' },
        { effort: 'low' },
        { effort: 'medium' },
        { effort: 'high' },
        { effort: 'xhigh' },
      ),
      local,
    },
    ['model', 'messages', 'stream'],
  ) as fc.Arbitrary<ChatRequest>;
  fc.assert(
    fc.property(request, (value) => {
      assert.deepEqual(decodeRequest(JSON.parse(JSON.stringify(encodeRequest(value)))), value);
    }),
    { numRuns: 300 },
  );
});

describe('requests', () => {
  const chat = (more: JsonObject) =>
    decodeRequest({ model: 'm', messages: [{ role: 'user', content: 'Hello' }], ...more });

  test('streaming is the default; options, format, think and keep_alive are understood', () => {
    assert.deepEqual(chat({}), { model: 'm', messages: [hello], stream: true });
    assert.deepEqual(
      chat({
        stream: false,
        format: 'json',
        think: 'high',
        keep_alive: '1h30m',
        logprobs: true,
        top_logprobs: 3,
        options: {
          num_ctx: 2048,
          num_predict: -1,
          temperature: 0,
          seed: -1,
          stop: 'END',
          mystery: {},
          num_thread: 2,
          top_k: null,
        },
      }),
      {
        model: 'm',
        messages: [hello],
        stream: false,
        responseFormat: { type: 'json' },
        reasoning: { effort: 'high' },
        logprobs: true,
        topLogprobs: 3,
        temperature: 0,
        stop: ['END'],
        local: { numCtx: 2048, keepAlive: 5400 },
      },
    );
    assert.deepEqual(chat({ format: '', think: null, keep_alive: null, options: {} }), chat({}));
    assert.equal(chat({ keep_alive: -1 }).local?.keepAlive, -1);
    assert.equal(chat({ keep_alive: '0s' }).local?.keepAlive, 0);
  });

  test('a bad field or option is named', () => {
    const bad: [JsonObject, string][] = [
      [{ model: 5 }, 'model'],
      [{ model: null }, 'model'],
      [{ messages: 'Hello' }, 'messages'],
      [{ messages: [{ role: 'robot' }] }, 'messages.0.role'],
      [{ messages: [{ role: 'user', images: 'x' }] }, 'messages.0.images'],
      [{ options: { num_ctx: 'big' } }, 'options.num_ctx'],
      [{ options: { num_ctx: 1 } }, 'options.num_ctx'],
      [{ options: { temperature: '1' } }, 'options.temperature'],
      [{ options: { stop: 5 } }, 'options.stop'],
      [{ options: { use_mmap: 'yes' } }, 'options.use_mmap'],
      [{ options: [] }, 'options'],
      [{ format: 'xml' }, 'format'],
      [{ format: 5 }, 'format'],
      [{ think: 'hard' }, 'think'],
      [{ keep_alive: 'soon' }, 'keep_alive'],
      [{ top_logprobs: 21 }, 'top_logprobs'],
      [{ tools: [{ type: 'function' }] }, 'tools.0.function'],
    ];
    for (const [more, param] of bad)
      assert.throws(
        () => chat(more),
        (error) =>
          error instanceof ViaductError &&
          error.status === 400 &&
          error.param === param &&
          error.message.includes(param),
        param,
      );
  });

  test('results find their calls without ids, by name and by order', () => {
    const { messages } = chat({
      messages: [
        { role: 'user', content: 'Hello' },
        {
          role: 'assistant',
          content: '',
          tool_calls: [
            { function: { name: 'f', arguments: { x: 1 } } },
            { function: { name: 'g', arguments: {} } },
            { function: { name: 'f', arguments: { x: 2 } } },
          ],
        },
        { role: 'tool', tool_name: 'g', content: 'G' },
        { role: 'tool', tool_name: 'f', content: 'F1' },
        { role: 'tool', content: 'F2' },
        { role: 'tool', content: 'stray' },
      ],
    });
    const ids = messages.flatMap((message) => (message.role === 'tool' ? [message.toolCallId] : []));
    assert.deepEqual(ids, ['call_1', 'call_0', 'call_2', 'call_3']);
  });

  test('pictures as base64, as a data URL, as a URL', () => {
    const { messages } = chat({
      messages: [
        {
          role: 'user',
          content: 'What?',
          images: ['R0lGODlh', 'data:image/png;base64,iVBORw0KGgo', 'https://a/b.png'],
        },
      ],
    });
    assert.deepEqual(messages[0]?.parts, [
      { type: 'image', source: { data: 'R0lGODlh', mediaType: 'image/gif' } },
      { type: 'image', source: { data: 'iVBORw0KGgo', mediaType: 'image/png' } },
      { type: 'image', source: { url: 'https://a/b.png' } },
      ...said('What?'),
    ]);
  });

  test('generate: system, template, suffix, raw', () => {
    assert.deepEqual(
      decodeGenerate({
        model: 'm',
        prompt: 'Hello',
        system: 'Be brief.',
        template: '{{ .Prompt }}',
        suffix: 'end',
        images: ['/9j/'],
      }),
      {
        model: 'm',
        messages: [
          { role: 'system', parts: said('Be brief.') },
          {
            role: 'user',
            parts: [{ type: 'image', source: { data: '/9j/', mediaType: 'image/jpeg' } }, ...said('Hello')],
          },
        ],
        stream: true,
        local: { template: '{{ .Prompt }}', suffix: 'end' },
      },
    );
    assert.deepEqual(decodeGenerate({ model: 'm', prompt: 'Hello', raw: true }).local, { raw: true });
    assert.throws(() => decodeGenerate({ model: 'm', prompt: 'x', raw: true, system: 'y' }), { param: 'raw' });
    assert.deepEqual(decodeGenerate({ model: 'm' }).messages, []);
  });

  test('embed: one input or many, cut unless told not to', () => {
    assert.deepEqual(decodeEmbed({ model: 'm', input: 'a' }), { model: 'm', input: ['a'], truncate: true });
    assert.deepEqual(
      decodeEmbed({
        model: 'm',
        input: ['a', 'b'],
        truncate: false,
        dimensions: 2,
        keep_alive: 5,
        options: { num_ctx: 64 },
      }),
      { model: 'm', input: ['a', 'b'], truncate: false, dimensions: 2, local: { numCtx: 64, keepAlive: 5 } },
    );
    assert.deepEqual(decodeEmbeddings({ model: 'm', prompt: '' }).input, []);
    for (const num_ctx of [0, 1])
      assert.throws(() => decodeEmbed({ model: 'm', input: 'a', options: { num_ctx } }), { param: 'options.num_ctx' });
    assert.throws(() => decodeEmbed({ model: 'm', input: 5 }), { param: 'input' });
    assert.throws(() => decodeEmbed({ model: 'm' }), { param: 'input' });
  });

  test('what an Ollama server cannot do is said, and another target may be tried', () => {
    const refused: [Partial<ChatRequest>, string][] = [
      [{ tools: [{ name: 'f' }], toolChoice: 'required' }, 'tool_choice'],
      [{ tools: [{ name: 'f' }], toolChoice: { name: 'f' } }, 'tool_choice'],
      [{ logitBias: { 5: 1 } }, 'logit_bias'],
      [{ local: { raw: true } }, 'raw'],
      [{ messages: [{ role: 'user', parts: [{ type: 'image', source: { url: 'https://a/b.png' } }] }] }, 'messages'],
    ];
    for (const [more, param] of refused)
      assert.throws(
        () => encodeRequest({ model: 'm', messages: [hello], stream: false, ...more }),
        (error) => error instanceof ViaductError && error.param === param && error.fallback,
      );
    assert.equal(
      encodeRequest({ model: 'm', messages: [hello], stream: false, tools: [{ name: 'f' }], toolChoice: 'none' })[
        'tools'
      ],
      undefined,
    );
  });
});

describe('replies', () => {
  let clock = 0;
  const context: ReplyContext = {
    model: 'asked:latest',
    startedAt: 1_000,
    now: () => 1_000 + clock++,
    loadMs: () => undefined,
  };
  const events: ChatEvent[] = [
    { type: 'start', id: 'x', model: 'm' },
    { type: 'reasoning', text: 'hm' },
    {
      type: 'text',
      text: 'Hi',
      logprobs: [{ token: 'Hi', logprob: -0.5, bytes: [72, 105], top: [{ token: 'Hi', logprob: -0.5, bytes: null }] }],
    },
    { type: 'tool-call', index: 0, id: 'a', name: 'f' },
    { type: 'tool-input', index: 0, json: '{"x":' },
    { type: 'tool-input', index: 0, json: '1}' },
    { type: 'tool-call', index: 1, id: 'b', name: 'g' },
    { type: 'finish', reason: 'tool-calls', usage: { input: 9, output: 3 } },
  ];
  const lines = (text: string) =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  const calls = [
    { id: 'a', function: { index: 0, name: 'f', arguments: { x: 1 } } },
    { id: 'b', function: { index: 1, name: 'g', arguments: {} } },
  ];

  test('a streamed chat: thoughts, words, whole calls, then the counts', () => {
    const encoder = createChatEncoder(context);
    const records = lines(events.map((event) => encoder.push(event)).join('') + encoder.end());
    assert.deepEqual(
      records.map(({ message }) => message),
      [
        { role: 'assistant', content: '', thinking: 'hm' },
        { role: 'assistant', content: 'Hi' },
        { role: 'assistant', content: '', tool_calls: [calls[0]] },
        { role: 'assistant', content: '', tool_calls: [calls[1]] },
        { role: 'assistant', content: '' },
      ],
    );
    assert.deepEqual(records[1].logprobs, [
      { token: 'Hi', logprob: -0.5, bytes: [72, 105], top_logprobs: [{ token: 'Hi', logprob: -0.5 }] },
    ]);
    const last = records.at(-1);
    assert.deepEqual([last.model, last.done, last.done_reason], ['asked:latest', true, 'stop']);
    for (const name of [
      'total_duration',
      'load_duration',
      'prompt_eval_count',
      'prompt_eval_duration',
      'eval_count',
      'eval_duration',
    ])
      assert.ok(Number.isInteger(last[name]) && last[name] > 0, name);
  });

  test('a whole chat says the same', () => {
    const reply = encodeChatResponse(result(events), context);
    assert.deepEqual(reply['message'], { role: 'assistant', content: 'Hi', thinking: 'hm', tool_calls: calls });
    assert.equal(reply['done_reason'], 'stop');
    const { parts, finish } = result(decodeResponse(JSON.parse(JSON.stringify(reply))));
    assert.equal(finish.reason, 'tool-calls');
    assert.deepEqual(
      parts.map(({ type }) => type),
      ['reasoning', 'text', 'tool-call', 'tool-call'],
    );
  });

  test('measured times win over ours', () => {
    const timings = { load: 2, promptEval: 3, eval: 4, total: 9.5 };
    const finish: ChatEvent = { type: 'finish', reason: 'length', usage: { input: 1, output: 1 }, timings };
    const reply = encodeGenerateResponse(result([{ type: 'start', id: 'x', model: 'm' }, finish]), context);
    assert.deepEqual(
      [
        reply['load_duration'],
        reply['prompt_eval_duration'],
        reply['eval_duration'],
        reply['total_duration'],
        reply['done_reason'],
      ],
      [2e6, 3e6, 4e6, 9.5e6, 'length'],
    );
    assert.equal(reply['context'], undefined);
  });

  test('context carries the conversation from one generate to the next', () => {
    const history = decodeGenerate({ model: 'm', prompt: 'My name is Ada.', system: 'Be kind.' }).messages;
    const encoder = createGenerateEncoder({ ...context, history });
    const stream: ChatEvent[] = [
      { type: 'text', text: 'Hello ' },
      { type: 'text', text: 'Ada 🌊' },
      { type: 'finish', reason: 'stop', usage: { input: 1, output: 1 } },
    ];
    const { context: integers } = lines(stream.map((event) => encoder.push(event)).join('')).at(-1);
    assert.ok(integers.every(Number.isInteger));
    const next = decodeGenerate({ model: 'm', prompt: 'Who am I?', context: integers });
    assert.deepEqual(next.messages, [
      { role: 'system', parts: said('Be kind.') },
      { role: 'user', parts: said('My name is Ada.') },
      { role: 'assistant', parts: said('Hello Ada 🌊') },
      { role: 'user', parts: said('Who am I?') },
    ]);
    const other = decodeGenerate({ model: 'm', prompt: 'x', context: integers, system: 'New.' });
    assert.deepEqual(
      other.messages.map(({ role }) => role),
      ['system', 'user', 'assistant', 'user'],
    );
    assert.deepEqual(other.messages[0]?.parts, said('New.'));
    assert.throws(() => decodeGenerate({ model: 'm', prompt: 'x', context: [128_006, 882, 128_007] }), {
      param: 'context',
    });
  });

  test('an error ends a stream as a line, and is read from one', () => {
    const line = encodeStreamError(new ViaductError('provider_overloaded', 'busy'));
    assert.equal(line, '{"error":"busy"}\n');
    assert.throws(() => decodeLines('{"error":"model runner has unexpectedly stopped"}\n'), {
      code: 'provider_unavailable',
    });
    assert.throws(() => decodeLines('{"message":{"content":"a"},"done":false}\n'), {
      code: 'provider_invalid_response',
    });
    assert.throws(() => decodeLines('<html>\n'), { code: 'provider_invalid_response' });
    assert.equal(decodeError(404, {}, '{"error":"model \'x\' not found"}').code, 'model_not_found');
    assert.equal(
      decodeError(400, {}, '{"error":"the input length exceeds the context length"}').code,
      'context_length_exceeded',
    );
    assert.equal(decodeError(500, {}, '{"error":"boom"}').code, 'provider_unavailable');
    assert.equal(
      decodeError(503, {}, '{"error":"server busy, please try again.  maximum pending requests exceeded"}').code,
      'provider_overloaded',
    );
  });
});
