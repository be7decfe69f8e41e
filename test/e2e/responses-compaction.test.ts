/** Conversations that outgrow their model: compaction, truncation, and what of them is kept. A scripted model of 8,000 tokens. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import OpenAI from 'openai';
import type { ResponseInputItem } from 'openai/resources/responses/responses';
import type { ChatEvent, ChatRequest } from '../../src/core/chat.ts';
import { ViaductError } from '../../src/core/errors.ts';
import { type ResponsesApp, startResponsesApp } from '../support/responses-app.ts';
import { checkEvents } from '../support/responses-contract.ts';
import { lastOf, openSocket } from '../support/responses-socket.ts';
import { say } from '../support/scripted-app.ts';

const context = 8000;
const sizeOf = (request: ChatRequest) => Math.ceil(JSON.stringify(request.messages).length / 4);
const isSummary = (request: ChatRequest) => JSON.stringify(request.messages).includes('Summarise the conversation');

let summarise: (request: ChatRequest) => AsyncIterable<readonly ChatEvent[]>;
let answer: (request: ChatRequest) => AsyncIterable<readonly ChatEvent[]>;
let requests: ChatRequest[] = [];
let summaries = 0;
let app: ResponsesApp;
let client: OpenAI;

before(async () => {
  app = await startResponsesApp({
    async *chat(request) {
      if (sizeOf(request) > context)
        throw new ViaductError(
          'context_length_exceeded',
          `The input has ${sizeOf(request)} tokens, the context ${context}.`,
        );
      if (isSummary(request)) {
        summaries++;
        yield* summarise(request);
        return;
      }
      requests.push(request);
      yield* answer(request);
    },
    countTokens: async (request) => sizeOf(request),
  });
  client = new OpenAI({ baseURL: `${app.url}/v1`, apiKey: 'ann', maxRetries: 0 });
});
after(() => app.close());
beforeEach(() => {
  summarise = () => say('They talk about numbers. ', 'The user decided on blue.');
  answer = (request) => say(`Answer to a context of ${sizeOf(request)}. ${'Words and words. '.repeat(15)}`);
  requests = [];
  summaries = 0;
});

const management = (compact_threshold?: number) => [
  { type: 'compaction' as const, ...(compact_threshold && { compact_threshold }) },
];
const last = () => JSON.stringify(requests.at(-1)?.messages);

async function chain(turns: number, more: object): Promise<number> {
  let previous: string | null = null;
  let compactions = 0;
  for (let turn = 0; turn < turns; turn++) {
    const response: OpenAI.Responses.Response = await client.responses.create({
      model: 'm',
      instructions: 'Always be kind.',
      previous_response_id: previous,
      input: `Turn ${turn}: ${turn === 0 ? 'my name is Ann.' : 'and now?'} ${'filler '.repeat(20)}`,
      ...more,
    });
    assert.equal(response.status, 'completed');
    compactions += response.output.filter(({ type }) => type === 'compaction').length;
    const seen = last();
    assert.match(seen, /Always be kind/);
    assert.ok(seen.includes(`Turn ${turn}:`), 'the newest turn is there');
    if (turn > 0) assert.ok(seen.includes(`Turn ${turn - 1}:`), 'the turn before it is there');
    previous = response.id;
  }
  return compactions;
}

test('200 turns go on below a threshold', async () => {
  const compactions = await chain(200, { context_management: management(5000) });
  assert.ok(compactions >= 3, String(compactions));
  assert.match(last(), /my name is Ann/);
  assert.match(last(), /decided on blue/);
});

test('200 turns go on without a threshold, or with one that the model does not reach', async () => {
  assert.ok((await chain(100, { context_management: management() })) >= 1);
  assert.ok((await chain(100, { context_management: management(100_000) })) >= 1);
});

test('where the context is known, room is left for the answer', async () => {
  const sizes: number[] = [];
  const known = await startResponsesApp({
    async *chat(request) {
      sizes.push(sizeOf(request));
      yield* say(isSummary(request) ? 'They talk.' : 'Words and words. '.repeat(15));
    },
    countTokens: async (request) => sizeOf(request),
    describe: (id) => ({ id, contextLength: context }),
  });
  const api = new OpenAI({ baseURL: `${known.url}/v1`, apiKey: 'ann', maxRetries: 0 });
  let previous: string | null = null;
  for (let turn = 0; turn < 100; turn++) {
    const response: OpenAI.Responses.Response = await api.responses.create({
      model: 'm',
      previous_response_id: previous,
      input: `Turn ${turn}: ${'filler '.repeat(20)}`,
      context_management: management(),
      max_output_tokens: 1500,
    });
    previous = response.id;
  }
  await known.close();
  assert.ok(Math.max(...sizes) <= context - 1500, String(Math.max(...sizes)));
});

test('a model that cannot summarise stops nothing', async () => {
  for (const bad of [
    () => say(''),
    () => say('ha '.repeat(20_000)),
    async function* (): AsyncIterable<readonly ChatEvent[]> {
      yield [{ type: 'start', id: 'x', model: 'm' }];
      throw new ViaductError('runner_crashed', 'The engine stopped.');
    },
  ]) {
    summarise = bad;
    assert.ok((await chain(60, { context_management: management(3000) })) >= 2);
    assert.match(last(), /my name is Ann/);
  }
});

test('what the user asked for is kept in their own words while there is room, and what was answered where nobody summarises', async () => {
  const rule = `Please plan my move. ${'There are many boxes. '.repeat(20)} The piano must go first. ${'It is far. '.repeat(20)}`;
  const answered = 'We decided to hire the company Rossi. ';
  for (const summary of ['', 'They talk about moving.']) {
    summarise = () => say(summary);
    const input: ResponseInputItem[] = [
      { role: 'user', content: rule },
      { role: 'assistant', content: answered },
      ...Array.from({ length: 40 }, (_, n): ResponseInputItem[] => [
        { role: 'user', content: `Question ${n}. ${'why '.repeat(30)}` },
        { role: 'assistant', content: 'Words and words. '.repeat(20) },
      ]).flat(),
      { role: 'user', content: 'And now?' },
    ];
    await client.responses.create({ model: 'm', input, context_management: management(4000) });
    assert.ok(last().includes(rule.trim()), 'a request of 700 characters is whole');
    assert.equal(last().includes('hire the company Rossi'), summary === '');
  }
});

test('an instruction that comes with every turn is kept once', async () => {
  let previous: string | null = null;
  for (let turn = 0; turn < 60; turn++) {
    const input: ResponseInputItem[] = [
      { role: 'developer', content: 'Answer in rhymes, always.' },
      { role: 'user', content: `Turn ${turn}: ${'filler '.repeat(20)}` },
    ];
    const response: OpenAI.Responses.Response = await client.responses.create({
      model: 'm',
      previous_response_id: previous,
      input,
      context_management: management(3000),
    });
    previous = response.id;
  }
  assert.ok(summaries > 1);
  const times = requests.at(-1)?.messages.filter(({ role }) => role === 'developer').length ?? 0;
  assert.ok(times > 0 && times < 30, `${times} times`);
  const compacted = await client.responses.compact({ model: 'm', previous_response_id: previous });
  const output = compacted.output as ResponseInputItem[];
  await client.responses.create({ model: 'm', input: [...output, { role: 'user', content: 'Go on.' }] });
  assert.equal(last().split('in rhymes').length, 2);
});

test('truncation: auto drops the oldest, disabled refuses', async () => {
  const input: ResponseInputItem[] = [{ role: 'developer', content: 'Never shout.' }];
  for (let turn = 0; turn < 60; turn++)
    input.push(
      { role: 'user', content: `Turn ${turn} ${'x'.repeat(400)}` },
      { role: 'assistant', content: 'y'.repeat(400) },
    );
  input.push({ role: 'user', content: 'The newest.' });
  await assert.rejects(client.responses.create({ model: 'm', input }), {
    status: 400,
    code: 'context_length_exceeded',
  });
  await client.responses.create({ model: 'm', input, truncation: 'auto' });
  assert.match(last(), /Never shout/);
  assert.match(last(), /The newest/);
  assert.match(last(), /Turn 59/);
  assert.doesNotMatch(last(), /Turn 0 /);
  assert.equal(summaries, 0);
  const huge = client.responses.create({ model: 'm', input: 'z'.repeat(40_000), truncation: 'auto' });
  await assert.rejects(huge, { code: 'context_length_exceeded' });
});

test('a compaction is an event of the stream, and the new base of the chain', async () => {
  const input = 'word '.repeat(400);
  const first = await client.responses.create({ model: 'm', input });
  const second = await client.responses.create({ model: 'm', input, previous_response_id: first.id });
  const stream = await client.responses.create({
    model: 'm',
    input: 'And now?',
    previous_response_id: second.id,
    context_management: management(1000),
    stream: true,
  });
  const events: object[] = [];
  let id = '';
  for await (const event of stream) {
    events.push(event);
    if (event.type === 'response.created') id = event.response.id;
  }
  checkEvents(events);
  const { output } = await client.responses.retrieve(id);
  assert.deepEqual(
    output.map(({ type }) => type),
    ['compaction', 'message'],
  );
  assert.doesNotMatch(JSON.stringify(output), /decided on blue/);
  await client.responses.create({ model: 'm', input: 'Go on.', previous_response_id: id });
  assert.ok(last().length < 6000);
  assert.match(last(), /And now\?.*Go on\./);
});

test('an open tool call and its thought stay whole, and are answered after compaction', async () => {
  const input: ResponseInputItem[] = [
    { role: 'system', content: 'Use the tool.' },
    { role: 'user', content: 'Old question. '.repeat(100) },
    { role: 'assistant', content: 'Old answer. '.repeat(100) },
    { role: 'user', content: 'What is the weather?' },
    { type: 'function_call', call_id: 'call_open', name: 'weather', arguments: '{"city":"Rome"}' },
  ];
  const compacted = await client.responses.compact({ model: 'm', input });
  assert.equal(compacted.object, 'response.compaction');
  await client.responses.create({
    model: 'm',
    input: [
      ...(compacted.output as ResponseInputItem[]),
      { type: 'function_call_output', call_id: 'call_open', output: 'sunny' },
    ],
  });
  const messages = requests.at(-1)?.messages ?? [];
  assert.deepEqual(
    messages.map(({ role }) => role),
    ['system', 'user', 'assistant', 'tool'],
  );
  assert.match(last(), /Old question/);
});

test('a changed or stolen compaction is refused', async () => {
  const compacted = await client.responses.compact({
    model: 'm',
    input: [
      { role: 'user', content: 'x' },
      { role: 'assistant', content: 'y' },
    ],
  });
  const [item] = compacted.output;
  assert.ok(item?.type === 'compaction');
  const seal = item.encrypted_content;
  const use = (encrypted_content: string, api = client) =>
    api.responses.create({
      model: 'm',
      input: [
        { type: 'compaction', encrypted_content },
        { role: 'user', content: 'z' },
      ],
    });
  await use(seal);
  for (const changed of [
    `${seal.slice(0, -1)}${seal.endsWith('A') ? 'B' : 'A'}`,
    `${seal}A`,
    seal.slice(4),
    'gAAAAforged',
    '',
  ])
    await assert.rejects(use(changed), { status: 400, code: 'invalid_encrypted_content' });
  const stranger = new OpenAI({ baseURL: `${app.url}/v1`, apiKey: 'bob', maxRetries: 0 });
  await assert.rejects(use(seal, stranger), { code: 'invalid_encrypted_content' });
});

test('what another provider sealed is refused before anything runs, and the item is named', async () => {
  const forged = { type: 'compaction' as const, encrypted_content: 'gAAAAABpM0Yj_forged' };
  const input = [{ role: 'user' as const, content: 'x' }, forged, { role: 'user' as const, content: 'y' }];
  const refusal = { status: 400, code: 'invalid_encrypted_content', param: 'input[1].encrypted_content' };
  for (const more of [{}, { stream: true }, { background: true }, { background: true, stream: true }, { store: false }])
    await assert.rejects(client.responses.create({ model: 'm', input, ...more }), refusal);
  await assert.rejects(client.responses.compact({ model: 'm', input }), refusal);
  await assert.rejects(client.responses.inputTokens.count({ model: 'm', input }), refusal);

  await using socket = await openSocket(app.url);
  const [error, ...rest] = await socket.turn({ model: 'm', input });
  assert.deepEqual(rest, []);
  const { code, param } = lastOf(error ? [error] : [], 'error');
  assert.deepEqual({ status: error?.['status'], code, param }, refusal);
  checkEvents(await socket.turn({ model: 'm', input: 'still here' }));

  // Thoughts that OpenAI sealed are dropped: a client may go on with another model.
  const thought = { type: 'reasoning' as const, id: 'rs_1', summary: [], encrypted_content: 'gAAAAABpM0Yj_thought' };
  await client.responses.create({ model: 'm', input: [thought, { role: 'user', content: 'y' }] });

  const conversation = await client.conversations.create({ items: [forged as ResponseInputItem] });
  await assert.rejects(client.responses.create({ model: 'm', input: 'y', conversation: conversation.id }), {
    ...refusal,
    param: 'conversation',
  });
});

test('compact takes a stored chain, and what to pay attention to', async () => {
  const { id } = await client.responses.create({ model: 'm', input: 'Remember teal.' });
  let asked = '';
  summarise = (request) => {
    asked = JSON.stringify(request.messages);
    return say('teal');
  };
  const compacted = await client.responses.compact({
    model: 'm',
    previous_response_id: id,
    instructions: 'Keep colours.',
  });
  assert.ok(compacted.usage.output_tokens > 0);
  assert.match(asked, /Keep colours/);
  await assert.rejects(client.responses.compact({ model: 'missing', previous_response_id: id }), { status: 404 });
  await assert.rejects(client.responses.compact({ model: 'm' }), { status: 400, param: 'input' });
});

test('input tokens are counted as they would be sent', async () => {
  const { input_tokens } = await client.responses.inputTokens.count({ model: 'm', input: 'one two three' });
  const longer = await client.responses.inputTokens.count({
    model: 'm',
    input: 'one two three',
    instructions: 'Be short.',
  });
  assert.ok(longer.input_tokens > input_tokens && input_tokens > 0);
});
