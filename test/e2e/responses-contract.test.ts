/**
 * What Open Responses' own compliance suite (17 tests, 2026-04-24) asks of a server, in our words, with a scripted
 * model; every reply and event is checked against both published contracts.
 * Source: https://github.com/openresponses/openresponses
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { ChatEvent, ChatRequest } from '../../src/core/chat.ts';
import { contract, eventsOf } from '../support/contract.ts';
import { type ResponsesApp, startResponsesApp } from '../support/responses-app.ts';
import { checkEvents, checkResponse } from '../support/responses-contract.ts';
import { lastOf, openSocket } from '../support/responses-socket.ts';
import { say } from '../support/scripted-app.ts';

type Wire = { [field: string]: unknown };
let app: ResponsesApp;
let lastRequest: ChatRequest;

async function* answer(request: ChatRequest): AsyncIterable<readonly ChatEvent[]> {
  lastRequest = request;
  if (!request.tools) {
    yield* say('Three', ' small', ' words');
    return;
  }
  yield [{ type: 'start', id: 'x', model: 'm' }];
  yield [
    { type: 'tool-call', index: 0, id: 'call_1', name: 'get_weather' },
    { type: 'tool-input', index: 0, json: '{"location":' },
  ];
  yield [{ type: 'tool-input', index: 0, json: '"Paris"}' }];
  yield [{ type: 'finish', reason: 'tool-calls', usage: { input: 20, output: 9 } }];
}

before(async () => {
  app = await startResponsesApp({ chat: answer });
});
after(() => app.close());

const user = (text: string) => ({ type: 'message', role: 'user', content: text });
const weather = {
  type: 'function',
  name: 'get_weather',
  description: 'Weather of a place',
  parameters: { type: 'object', properties: { location: { type: 'string' } }, required: ['location'] },
};

async function post(path: string, body: object) {
  const reply = await fetch(`${app.url}/v1${path}`, { method: 'POST', body: JSON.stringify(body) });
  return { status: reply.status, body: (await reply.json()) as Wire };
}

async function respond(body: object): Promise<Wire & { output: Wire[] }> {
  const { status, body: response } = await post('/responses', { model: 'm', ...body });
  assert.equal(status, 200, JSON.stringify(response));
  checkResponse(response);
  assert.equal(response['status'], 'completed');
  assert.ok((response['output'] as Wire[]).length > 0);
  return response as Wire & { output: Wire[] };
}

async function stream(body: object): Promise<Wire[]> {
  const reply = await fetch(`${app.url}/v1/responses`, {
    method: 'POST',
    body: JSON.stringify({ model: 'm', stream: true, ...body }),
  });
  assert.match(reply.headers.get('content-type') ?? '', /^text\/event-stream/);
  const text = await reply.text();
  assert.ok(text.endsWith('data: [DONE]\n\n'));
  for (const block of text.split('\n\n').filter((part) => part.startsWith('event: '))) {
    const [name, data] = block.split('\n');
    assert.equal(name?.slice('event: '.length), (JSON.parse(data?.slice('data: '.length) ?? '') as Wire)['type']);
  }
  const events = eventsOf(text) as Wire[];
  checkEvents(events);
  return events;
}

test('a plain answer', async () => {
  await respond({ input: [user('Say hello in three words.')] });
});

test('assistant messages with a phase are taken', async () => {
  const phases = [
    { type: 'message', role: 'assistant', phase: 'commentary', content: 'I look it up.' },
    { type: 'message', role: 'assistant', phase: 'final_answer', content: 'It is four.' },
  ];
  await respond({ input: [...phases, user('Only the number.')] });
  assert.deepEqual(
    lastRequest.messages.map((message) => ('phase' in message ? message.phase : undefined)),
    ['commentary', 'final_answer', undefined],
  );
});

test('messages of an answer may carry a phase: the contract takes it', () =>
  contract('open-responses').check('Message', {
    id: 'msg_1',
    type: 'message',
    status: 'completed',
    role: 'assistant',
    phase: 'commentary',
    content: [{ type: 'output_text', text: 'I look it up.', annotations: [] }],
  }));

test('a stream: every event, in order', async () => {
  const events = await stream({ input: [user('Count to five.')] });
  assert.deepEqual(
    events.map(({ type }) => type),
    [
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.delta',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ],
  );
});

test('a system message', async () => {
  await respond({ input: [{ type: 'message', role: 'system', content: 'Speak like a pirate.' }, user('Hello.')] });
  assert.equal(lastRequest.messages[0]?.role, 'system');
});

test('a tool call', async () => {
  const { output } = await respond({ input: [user('Weather in Paris?')], tools: [weather] });
  assert.deepEqual(
    output.map(({ type, name, call_id, arguments: json }) => ({ type, name, call_id, json })),
    [{ type: 'function_call', name: 'get_weather', call_id: 'call_1', json: '{"location":"Paris"}' }],
  );
});

test('a tool call, streamed', async () => {
  const events = await stream({ input: [user('Weather in Paris?')], tools: [weather] });
  assert.deepEqual(
    events.slice(2, -1).map(({ type }) => type),
    [
      'response.output_item.added',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.delta',
      'response.function_call_arguments.done',
      'response.output_item.done',
    ],
  );
});

test('a picture', async () => {
  const picture = { type: 'input_image', image_url: 'data:image/png;base64,iVBORw0KGgo=' };
  const content = [{ type: 'input_text', text: 'What is it?' }, picture];
  await respond({ input: [{ type: 'message', role: 'user', content }] });
  assert.deepEqual(lastRequest.messages[0]?.parts[1], {
    type: 'image',
    source: { data: 'iVBORw0KGgo=', mediaType: 'image/png' },
  });
});

test('several turns', async () => {
  const assistant = { type: 'message', role: 'assistant', content: 'Hello Alice!' };
  await respond({ input: [user('I am Alice.'), assistant, user('Who am I?')] });
  assert.deepEqual(
    lastRequest.messages.map(({ role }) => role),
    ['user', 'assistant', 'user'],
  );
});

test('compaction, and what is missing for it', async () => {
  const input = [
    user('We launch on Tuesday and tell support first.'),
    { type: 'message', role: 'assistant', content: 'Tuesday, support first.' },
  ];
  const { status, body } = await post('/responses/compact', { model: 'm', prompt_cache_key: 'k', input });
  assert.equal(status, 200);
  contract('open-responses').check('CompactResource', body);
  contract('openai').check('CompactResource', body);
  assert.equal(body['object'], 'response.compaction');
  assert.ok((body['output'] as Wire[]).some(({ type }) => type === 'compaction'));

  const without = await post('/responses/compact', { input });
  assert.equal(without.status, 400);
  contract('openai').check('ErrorResponse', without.body);
  assert.equal((without.body['error'] as Wire)['param'], 'model');
});

test('WebSocket: one turn, then another on the same connection', async () => {
  await using socket = await openSocket(app.url);
  for (const input of ['first', [user('second')]]) {
    const events = await socket.turn({ model: 'm', store: false, input });
    checkEvents(events);
    assert.equal(events.at(-1)?.['type'], 'response.completed');
  }
});

test('WebSocket: a turn is continued from the memory of the connection', async () => {
  await using socket = await openSocket(app.url);
  const first = await socket.turn({ model: 'm', store: false, input: 'The word is cobalt.' });
  const previous_response_id = lastOf(first, 'response')['id'];
  const second = await socket.turn({ model: 'm', store: false, previous_response_id, input: 'Which word?' });
  checkEvents(second);
  assert.deepEqual(
    lastRequest.messages.map(({ parts }) => (parts[0]?.type === 'text' ? parts[0].text : '')),
    ['The word is cobalt.', 'Three small words', 'Which word?'],
  );
});

test('WebSocket: what was not stored is gone with its connection', async () => {
  const closed = await openSocket(app.url);
  const first = await closed.turn({ model: 'm', store: false, input: 'The word is copper.' });
  await closed[Symbol.asyncDispose]();
  await using socket = await openSocket(app.url);
  const previous_response_id = lastOf(first, 'response')['id'];
  const [error, ...rest] = await socket.turn({ model: 'm', store: false, previous_response_id, input: 'Which?' });
  assert.deepEqual(rest, []);
  assert.equal(error?.['type'], 'error');
  assert.equal(error['status'], 400);
  const { code, param } = error['error'] as Wire;
  assert.deepEqual({ code, param }, { code: 'previous_response_not_found', param: 'previous_response_id' });
  checkEvents(await socket.turn({ model: 'm', store: false, input: [user('Start again.')] }));
});

test('WebSocket: an unknown previous response', async () => {
  await using socket = await openSocket(app.url);
  const events = await socket.turn({ model: 'm', store: false, previous_response_id: 'resp_unknown', input: 'x' });
  assert.equal(lastOf(events, 'error')['code'], 'previous_response_not_found');
});

test('WebSocket: a failed turn takes the response that it named out of the memory', async () => {
  await using socket = await openSocket(app.url);
  const first = await socket.turn({ model: 'm', store: false, input: 'The word is ember.' });
  const previous_response_id = lastOf(first, 'response')['id'];
  const orphan = [{ type: 'function_call_output', call_id: 'call_none', output: 'nobody asked' }];
  const [failed] = await socket.turn({ model: 'm', store: false, previous_response_id, input: orphan });
  assert.equal(failed?.['type'], 'error');
  assert.equal(failed['status'], 400);
  const gone = await socket.turn({ model: 'm', store: false, previous_response_id, input: 'Which?' });
  assert.equal(lastOf(gone, 'error')['code'], 'previous_response_not_found');
});

test('WebSocket: a compacted conversation starts a new chain', async () => {
  const input = [
    user('The word is slate.'),
    { type: 'message', role: 'assistant', content: 'OK.' },
    user('Compress this.'),
  ];
  const { body } = await post('/responses/compact', { model: 'm', input });
  await using socket = await openSocket(app.url);
  const events = await socket.turn({
    model: 'm',
    store: false,
    tools: [],
    input: [...(body['output'] as Wire[]), user('Go on.')],
  });
  checkEvents(events);
  assert.match(JSON.stringify(lastRequest.messages), /slate/);
});
