import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { AssistantPart, ChatRequest, FilePart, ImagePart, Message, TextPart, UserPart } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { decodeRequest, encodeCount, encodeRequest } from '../anthropic-messages.ts';

const record = <Model extends object>(
  model: { [Key in keyof Model]: fc.Arbitrary<Model[Key]> },
  required: (keyof Model)[],
) => fc.record(model, { requiredKeys: required as never[], noNullPrototype: true });

const text = fc.string({ unit: 'grapheme', minLength: 1 }).filter((value) => value.trim() === value);
const word = fc.stringMatching(/^[a-z_]{1,12}$/);
const base64 = fc.base64String({ minLength: 4 });
const cache = fc.constantFrom({ ttl: '1h' as const }, {});

const textPart = record({ type: fc.constant('text' as const), text, cache }, [
  'type',
  'text',
]) as fc.Arbitrary<TextPart>;
const pictureSource = fc.oneof(
  record({ data: base64, mediaType: fc.constantFrom('image/png', 'image/webp') }, ['data', 'mediaType']),
  record({ url: fc.webUrl() }, ['url']),
);
const imagePart = record({ type: fc.constant('image' as const), source: pictureSource, cache }, [
  'type',
  'source',
]) as fc.Arbitrary<ImagePart>;
const fileSource = fc.oneof(
  record({ data: base64, mediaType: fc.constant('application/pdf') }, ['data', 'mediaType']),
  record(
    {
      data: text.map((value) => Buffer.from(value.toWellFormed()).toString('base64')),
      mediaType: fc.constant('text/plain'),
    },
    ['data', 'mediaType'],
  ),
  record({ url: fc.webUrl() }, ['url']),
  record({ fileId: word }, ['fileId']),
);
const cited = fc.constant(true as const);
const filePart = record({ type: fc.constant('file' as const), source: fileSource, name: word, cited, cache }, [
  'type',
  'source',
]) as fc.Arbitrary<FilePart>;
const part = fc.oneof(textPart, imagePart, filePart);
const thought = fc.oneof(
  record(
    {
      type: fc.constant('reasoning' as const),
      text,
      signature: word,
      origin: fc.constant('anthropic-messages' as const),
    },
    ['type', 'text', 'signature', 'origin'],
  ),
  record(
    {
      type: fc.constant('reasoning' as const),
      text: fc.constant(''),
      redacted: word,
      origin: fc.constant('anthropic-messages' as const),
    },
    ['type', 'text', 'redacted', 'origin'],
  ),
) as fc.Arbitrary<AssistantPart>;
const call = record(
  {
    type: fc.constant('tool-call' as const),
    id: word,
    name: word,
    arguments: fc
      .dictionary(word, fc.jsonValue(), { noNullPrototype: true })
      .map((value) => JSON.stringify(JSON.parse(JSON.stringify(value)))),
    cache,
  },
  ['type', 'id', 'name', 'arguments'],
) as fc.Arbitrary<AssistantPart>;

const toolMessage = record(
  {
    role: fc.constant('tool' as const),
    toolCallId: word,
    parts: fc.array(part, { maxLength: 2 }),
    isError: fc.boolean(),
  },
  ['role', 'toolCallId', 'parts'],
) as fc.Arbitrary<Message>;
const userMessage = (parts: fc.Arbitrary<UserPart[]>) =>
  parts.map((given): Message => ({ role: 'user', parts: given }));
const userTurn: fc.Arbitrary<Message[]> = fc.oneof(
  userMessage(fc.array(part, { minLength: 1, maxLength: 3 })).map((message) => [message]),
  fc
    .tuple(
      fc.array(toolMessage, { minLength: 1, maxLength: 2 }),
      fc.array(userMessage(textPart.map((said) => [said])), { maxLength: 1 }),
    )
    .map((groups) => groups.flat()),
);
const assistantTurn: fc.Arbitrary<Message[]> = fc
  .tuple(fc.array(thought, { maxLength: 2 }), fc.array(textPart, { maxLength: 2 }), fc.array(call, { maxLength: 2 }))
  .filter((groups) => groups.flat().length > 0)
  .map(([thoughts, said, calls]): Message[] => [{ role: 'assistant', parts: [...thoughts, ...said, ...calls] }]);

const systemMessage = fc
  .array(textPart, { minLength: 1, maxLength: 2 })
  .map((parts): Message => ({ role: 'system', parts }));

/** `inline`: system messages between a user's turn and the assistant's. */
const conversation = (inline: boolean): fc.Arbitrary<Message[]> =>
  fc
    .tuple(
      fc.array(systemMessage, { maxLength: 1 }),
      fc.array(
        fc.tuple(userTurn, inline ? fc.array(systemMessage, { maxLength: 1 }) : fc.constant([]), assistantTurn),
        {
          maxLength: 3,
        },
      ),
      userTurn,
    )
    .map(([system, turns, last]) => [...system, ...turns.flat(2), ...last]);

const schema = fc.constantFrom<JsonObject>(
  { type: 'object', properties: {}, additionalProperties: false },
  {
    type: 'object',
    properties: { city: { type: 'string' }, sizes: { type: 'array', items: { type: 'integer' } } },
    required: ['city'],
    additionalProperties: false,
  },
);
const tool = record({ name: word, description: text, parameters: schema, strict: fc.boolean(), cache }, [
  'name',
  'parameters',
]);
const unit = fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0);

const common = {
  stream: fc.boolean(),
  maxTokens: fc.integer({ min: 4096, max: 64_000 }),
  stop: fc.array(text, { minLength: 1, maxLength: 4 }),
  user: word,
  serviceTier: fc.constantFrom('auto', 'standard_only'),
  responseFormat: record(
    {
      type: fc.constant('json-schema' as const),
      name: fc.constant('output'),
      schema,
      strict: fc.constant(true),
    },
    ['type', 'name', 'schema', 'strict'],
  ),
  extras: fc.constant({
    'anthropic-messages': { mcp_servers: [{ type: 'url', url: 'https://example.com' }], container: 'c' },
  }),
};
const sampling = { temperature: unit, topP: unit, topK: fc.nat(100) };
const tools = { tools: fc.array(tool, { minLength: 1, maxLength: 3 }) };
const choice = fc.constantFrom('none', 'auto', 'required', 'named') as fc.Arbitrary<string>;

/** What each generation of models can be asked for. */
const asked: Record<string, fc.Arbitrary<unknown>> = {
  'a model that samples': fc.record(
    {
      model: fc.constant('other-model'),
      messages: conversation(false),
      ...common,
      ...sampling,
      ...tools,
      toolChoice: choice,
      parallelToolCalls: fc.constant(false),
    },
    { requiredKeys: ['model', 'messages', 'stream', 'maxTokens'], noNullPrototype: true },
  ),
  'a model that thinks within a budget': fc.record(
    {
      model: fc.constant('claude-sonnet-4-5'),
      messages: conversation(false).filter((messages) => messages.at(-1)?.role === 'user'),
      ...common,
      ...tools,
      reasoning: fc.oneof(
        fc.integer({ min: 1024, max: 4095 }).map((budgetTokens) => ({ budgetTokens })),
        fc.constant({ effort: 'none' }),
        fc.constant({ budgetTokens: 2000, summary: 'auto' }),
      ),
    },
    { requiredKeys: ['model', 'messages', 'stream', 'maxTokens'], noNullPrototype: true },
  ),
  'a model that decides how much to think': fc.record(
    {
      model: fc.constant('claude-opus-4-8'),
      messages: conversation(true),
      ...common,
      ...tools,
      reasoning: fc.constantFrom(
        { summary: 'auto' },
        { effort: 'high', summary: 'auto' },
        { effort: 'xhigh', summary: 'auto' },
      ),
    },
    { requiredKeys: ['model', 'messages', 'stream', 'maxTokens'], noNullPrototype: true },
  ),
};

for (const [name, arbitrary] of Object.entries(asked))
  test(`every request that the protocol can say to ${name} survives the round trip`, () => {
    fc.assert(
      fc.property(
        arbitrary as fc.Arbitrary<Omit<ChatRequest, 'toolChoice'> & { toolChoice?: string }>,
        ({ toolChoice, parallelToolCalls, ...rest }) => {
          const first = rest.tools?.[0];
          const request: ChatRequest = {
            ...rest,
            ...(first &&
              toolChoice && { toolChoice: toolChoice === 'named' ? { name: first.name } : (toolChoice as 'auto') }),
            ...(first && toolChoice && toolChoice !== 'none' && parallelToolCalls === false && { parallelToolCalls }),
          };
          assert.deepEqual(decodeRequest(JSON.parse(JSON.stringify(encodeRequest(request)))), request);
        },
      ),
      { numRuns: 200 },
    );
  });

const hello: Message = { role: 'user', parts: [{ type: 'text', text: 'Hello' }] };
const ask = (more: Partial<ChatRequest>): ChatRequest => ({
  model: 'claude-sonnet-4-5',
  messages: [hello],
  stream: false,
  ...more,
});
const said = (value: string) => [{ type: 'text' as const, text: value }];

describe('towards Anthropic', () => {
  test('max_tokens is what the model can say when the client gave none', () => {
    assert.equal(encodeRequest(ask({}))['max_tokens'], 64_000);
    assert.equal(encodeRequest(ask({ model: 'us.anthropic.claude-opus-4-20250514-v1:0' }))['max_tokens'], 32_000);
    assert.equal(encodeRequest(ask({ model: 'claude-3-opus-20240229' }))['max_tokens'], 4096);
    assert.equal(encodeRequest(ask({ model: 'kimi-k2' }))['max_tokens'], 8192);
  });

  test('turns alternate, results come first in theirs, and nothing empty is sent', () => {
    const { system, messages } = encodeRequest(
      ask({
        messages: [
          { role: 'developer', parts: said('Be brief.') },
          { role: 'assistant', parts: [{ type: 'tool-call', id: 'a:1', name: 'f', arguments: '' }] },
          { role: 'user', parts: said('wait') },
          { role: 'tool', toolCallId: 'a:1', parts: said('done') },
          { role: 'user', parts: said('  ') },
          { role: 'system', parts: said('Now in German.') },
          { role: 'assistant', parts: said('Gut. ') },
        ],
      }),
    );
    assert.deepEqual(system, [{ type: 'text', text: 'Be brief.' }]);
    assert.deepEqual(messages, [
      { role: 'user', content: [{ type: 'text', text: '.' }] },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'a_1', name: 'f', input: {} }] },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'a_1', content: [{ type: 'text', text: 'done' }] },
          { type: 'text', text: 'wait' },
          { type: 'text', text: '<system>Now in German.</system>' },
        ],
      },
      { role: 'assistant', content: [{ type: 'text', text: 'Gut.' }] },
    ]);
  });

  test('a system prompt alone becomes the question', () => {
    const { system, messages } = encodeRequest(ask({ messages: [{ role: 'system', parts: said('Greet me.') }] }));
    assert.equal(system, undefined);
    assert.deepEqual(messages, [{ role: 'user', content: [{ type: 'text', text: 'Greet me.' }] }]);
  });

  test('thoughts go back only to the one who signed them', () => {
    const { messages } = encodeRequest(
      ask({
        messages: [
          hello,
          {
            role: 'assistant',
            parts: [
              { type: 'reasoning', text: 'ours', signature: 's', origin: 'anthropic-messages' },
              { type: 'reasoning', text: 'theirs', signature: 't', origin: 'gemini' },
              { type: 'reasoning', text: 'unsigned' },
              ...said('Hi'),
            ],
          },
          hello,
        ],
      }),
    );
    assert.deepEqual((messages as JsonObject[])[1]?.['content'], [
      { type: 'thinking', thinking: 'ours', signature: 's' },
      { type: 'text', text: 'Hi' },
    ]);
  });

  test('thinking is asked for as the generation takes it, and gives way to what excludes it', () => {
    const thinking = (more: Partial<ChatRequest>) => encodeRequest(ask(more))['thinking'];
    assert.deepEqual(thinking({ reasoning: { effort: 'low' } }), { type: 'enabled', budget_tokens: 2048 });
    assert.deepEqual(thinking({ reasoning: { effort: 'high' }, maxTokens: 5000 }), {
      type: 'enabled',
      budget_tokens: 4999,
    });
    assert.equal(thinking({ reasoning: { effort: 'high' }, maxTokens: 500 }), undefined);
    assert.equal(thinking({ reasoning: {}, tools: [{ name: 'f' }], toolChoice: 'required' }), undefined);
    assert.equal(thinking({ model: 'claude-3-5-haiku-latest', reasoning: {} }), undefined);
    const adaptive = encodeRequest(ask({ model: 'claude-opus-4-7', reasoning: { effort: 'xhigh' }, temperature: 1 }));
    assert.deepEqual(adaptive['thinking'], { type: 'adaptive', display: 'summarized' });
    assert.deepEqual(adaptive['output_config'], { effort: 'xhigh' });
    assert.equal(adaptive['temperature'], undefined);
    const unsigned: Message[] = [
      hello,
      { role: 'assistant', parts: [{ type: 'tool-call', id: 'a', name: 'f', arguments: '{}' }] },
      { role: 'tool', toolCallId: 'a', parts: said('1') },
    ];
    assert.equal(thinking({ reasoning: { effort: 'low' }, messages: unsigned }), undefined);
  });

  test('sampling fits the scale and the generation', () => {
    assert.equal(encodeRequest(ask({ temperature: 1.7 }))['temperature'], 1);
    assert.equal(encodeRequest(ask({ temperature: 0.5, topP: 0.9 }))['top_p'], undefined);
    assert.equal(encodeRequest(ask({ topP: 0.9 }))['top_p'], 0.9);
    assert.equal(encodeRequest(ask({ model: 'claude-fable-5', temperature: 0.5 }))['temperature'], undefined);
  });

  test('schemas are made acceptable without losing what they ask', () => {
    const schema = {
      type: 'object',
      properties: { age: { type: 'integer', minimum: 0, description: 'Years.' }, pet: { oneOf: [{ type: 'string' }] } },
    };
    const request = ask({ responseFormat: { type: 'json-schema', name: 'person', schema } });
    assert.deepEqual(encodeRequest(request)['output_config'], {
      format: {
        type: 'json_schema',
        schema: {
          type: 'object',
          properties: {
            age: { type: 'integer', description: 'Years. (minimum: 0)' },
            pet: { anyOf: [{ type: 'string' }] },
          },
          additionalProperties: false,
        },
      },
    });
    const old = encodeRequest({ ...request, model: 'claude-3-5-sonnet-20241022' });
    assert.equal(old['output_config'], undefined);
    assert.match(JSON.stringify(old['system']), /JSON Schema/);
  });

  test('a count is asked for with what the count takes', () => {
    const request = ask({ tools: [{ name: 'f' }], temperature: 1, stop: ['x'], user: 'u', maxTokens: 5 });
    assert.deepEqual(Object.keys(encodeCount(request)).sort(), ['messages', 'model', 'tools']);
  });

  test('an allow-list is kept by offering nothing else', () => {
    const { tools, tool_choice } = encodeRequest(
      ask({ tools: [{ name: 'a' }, { name: 'b' }], toolChoice: { allowed: ['b'], mode: 'required' } }),
    );
    assert.deepEqual(tools, [{ name: 'b', input_schema: { type: 'object', properties: {} } }]);
    assert.deepEqual(tool_choice, { type: 'any' });
  });

  test('what Anthropic cannot do is said, and another target may be tried', () => {
    const refused: [Partial<ChatRequest>, string][] = [
      [{ logprobs: true }, 'logprobs'],
      [{ logitBias: { 1: 5 } }, 'logit_bias'],
      [{ stop: ['\n'] }, 'stop'],
      [{ messages: [{ role: 'user', parts: [{ type: 'audio', data: '', format: 'wav' }] }] }, 'messages'],
      [
        { messages: [{ role: 'user', parts: [{ type: 'file', source: { data: '', mediaType: 'application/zip' } }] }] },
        'messages',
      ],
    ];
    for (const [more, param] of refused)
      assert.throws(
        () => encodeRequest(ask(more)),
        (error) => error instanceof ViaductError && error.param === param && error.fallback,
      );
  });
});

describe('from a client', () => {
  const body = { model: 'm', max_tokens: 10, messages: [{ role: 'user', content: 'Hello' }] };
  const decode = (more: JsonObject) => decodeRequest({ ...body, ...more });

  test('the shortest request', () => {
    assert.deepEqual(decode({}), { model: 'm', messages: [hello], stream: false, maxTokens: 10 });
  });

  test('a bad field is named', () => {
    const bad: [JsonObject, string][] = [
      [{ max_tokens: null }, 'max_tokens'],
      [{ max_tokens: 0 }, 'max_tokens'],
      [{ messages: [] }, 'messages'],
      [{ messages: [{ role: 'robot', content: '' }] }, 'messages.0.role'],
      [{ messages: [{ role: 'user' }] }, 'messages.0.content'],
      [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages.0.content.0.text'],
      [{ messages: [{ role: 'user', content: [{ type: 'hologram' }] }] }, 'messages.0.content.0.type'],
      [
        { messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'ftp' } }] }] },
        'messages.0.content.0.source.type',
      ],
      [
        { messages: [{ role: 'assistant', content: [{ type: 'tool_use', id: 'a', name: 'f', input: 'x' }] }] },
        'messages.0.content.0.input',
      ],
      [{ temperature: 1.5 }, 'temperature'],
      [{ tools: [{ name: 'f' }] }, 'tools.0.input_schema'],
      [{ tool_choice: { type: 'tool' } }, 'tool_choice.name'],
      [{ thinking: { type: 'enabled', budget_tokens: 10 } }, 'thinking.budget_tokens'],
      [{ output_config: { format: { type: 'json_schema' } } }, 'output_config.format.schema'],
      [{ system: 5 }, 'system'],
    ];
    for (const [more, param] of bad)
      assert.throws(
        () => decode(more),
        (error) =>
          error instanceof ViaductError &&
          error.status === 400 &&
          error.param === param &&
          error.message.includes(param),
        param,
      );
  });

  test('one user turn may hold results, pictures and text', () => {
    const { messages } = decode({
      messages: [
        {
          role: 'user',
          content: [
            {
              type: 'tool_result',
              tool_use_id: 'a',
              content: [{ type: 'image', source: { type: 'url', url: 'https://a/b.png' } }],
              is_error: true,
            },
            { type: 'tool_result', tool_use_id: 'b', content: 'two' },
            {
              type: 'document',
              title: 'T',
              context: 'about',
              source: { type: 'text', media_type: 'text/plain', data: 'body' },
            },
            { type: 'document', source: { type: 'content', content: [{ type: 'text', text: 'inner' }] } },
            { type: 'search_result', source: 's', title: 't', content: [{ type: 'text', text: 'found' }] },
          ],
        },
      ],
    });
    assert.deepEqual(messages, [
      { role: 'tool', toolCallId: 'a', parts: [{ type: 'image', source: { url: 'https://a/b.png' } }], isError: true },
      { role: 'tool', toolCallId: 'b', parts: said('two') },
      {
        role: 'user',
        parts: [
          ...said('about'),
          { type: 'file', source: { data: 'Ym9keQ==', mediaType: 'text/plain' }, name: 'T' },
          ...said('inner'),
          ...said('t\ns\nfound'),
        ],
      },
    ]);
  });

  test('system as text, as blocks, and inside the conversation', () => {
    const { messages } = decode({
      system: [{ type: 'text', text: 'One.', cache_control: { type: 'ephemeral' } }],
      messages: [
        { role: 'user', content: 'Hello' },
        { role: 'system', content: 'Two.' },
      ],
    });
    assert.deepEqual(messages, [
      { role: 'system', parts: [{ type: 'text', text: 'One.', cache: {} }] },
      hello,
      { role: 'system', parts: said('Two.') },
    ]);
  });

  test('what only Anthropic knows is kept for it', () => {
    const { extras, tools } = decode({
      tools: [
        { name: 'f', input_schema: {} },
        { type: 'web_search_20250305', name: 'web_search' },
      ],
      thinking: { type: 'between_tools' },
      output_config: { task_budget: { total: 1 } },
      container: 'c',
    });
    assert.deepEqual(tools, [{ name: 'f', parameters: {} }]);
    assert.deepEqual(extras, {
      'anthropic-messages': {
        container: 'c',
        tools: [{ type: 'web_search_20250305', name: 'web_search' }],
        output_config: { task_budget: { total: 1 } },
        thinking: { type: 'between_tools' },
      },
    });
  });

  test('counting needs no max_tokens', () => {
    assert.equal(decodeRequest({ ...body, max_tokens: null }, { counting: true }).maxTokens, undefined);
  });
});
