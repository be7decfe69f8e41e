/**
 * State of the Responses API with OpenAI's own client and a scripted model: chains, conversations, background, tenants,
 * restarts.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import type {
  ResponseCreateParamsNonStreaming,
  ResponseInputItem,
  ResponseReasoningItem,
  ResponseStreamEvent,
} from 'openai/resources/responses/responses';
import type { ChatEvent, ChatRequest } from '../../src/core/chat.ts';
import { ViaductError } from '../../src/core/errors.ts';
import { type ResponsesApp, startResponsesApp } from '../support/responses-app.ts';
import { checkEvents, checkResponse } from '../support/responses-contract.ts';
import { say } from '../support/scripted-app.ts';

type Answer = (request: ChatRequest, signal: AbortSignal) => AsyncIterable<readonly ChatEvent[]>;
const defaultAnswer: Answer = () => say('Hello', ' there');
let answer = defaultAnswer;
let requests: ChatRequest[] = [];
const home = mkdtempSync(join(tmpdir(), 'viaduct-responses-'));
const database = `sqlite:${join(home, 'viaduct.db')}`;
let app: ResponsesApp;
let client: OpenAI;
let stranger: OpenAI;

const start = async () => {
  app = await startResponsesApp(
    {
      chat(request, { signal }) {
        requests.push(request);
        return answer(request, signal);
      },
    },
    { database },
  );
  const options = { baseURL: `${app.url}/v1`, maxRetries: 0 };
  client = new OpenAI({ ...options, apiKey: 'ann' });
  stranger = new OpenAI({ ...options, apiKey: 'bob' });
};

before(start);
after(async () => {
  await app.close();
  rmSync(home, { recursive: true, force: true });
});
beforeEach(() => {
  answer = defaultAnswer;
  requests = [];
});

const said = (request: ChatRequest | undefined) =>
  request?.messages.map(
    ({ role, parts }) => `${role}: ${parts.map((part) => ('text' in part ? part.text : part.type)).join('|')}`,
  );
const usage = { input: 3, output: 2 };

async function readAll<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function* calls(...names: string[]): AsyncIterable<readonly ChatEvent[]> {
  yield [{ type: 'start', id: 'x', model: 'm' }];
  for (const [index, name] of names.entries())
    yield [
      { type: 'tool-call', index, id: `call_${index}`, name },
      { type: 'tool-input', index, json: '{"input":"a"}' },
    ];
  yield [{ type: 'finish', reason: 'tool-calls', usage }];
}
const tool = (name: string) => ({ type: 'function' as const, name, parameters: {}, strict: false });

/** Speaks a word every 20 ms until it is stopped. */
const slow = (words: number): Answer =>
  async function* (_request, signal) {
    yield [{ type: 'start', id: 'x', model: 'm' }];
    for (let word = 0; word < words; word++) {
      await sleep(20, undefined, { signal });
      yield [{ type: 'text', text: `${word} ` }];
    }
    yield [{ type: 'finish', reason: 'stop', usage }];
  };

describe('chains', () => {
  test('a response continues another; instructions are not handed on', async () => {
    const first = await client.responses.create({ model: 'm', instructions: 'Rule one.', input: 'First.' });
    assert.equal(first.output_text, 'Hello there');
    const second = await client.responses.create({
      model: 'm',
      instructions: 'Rule two.',
      previous_response_id: first.id,
      input: 'Second.',
    });
    assert.deepEqual(said(requests[1]), [
      'system: Rule two.',
      'user: First.',
      'assistant: Hello there',
      'user: Second.',
    ]);
    assert.equal(second.previous_response_id, first.id);
    const found = await client.responses.retrieve(second.id);
    assert.deepEqual({ ...found, output_text: '' }, { ...second, output_text: '' });
  });

  test('what went in is listed in pages', async () => {
    const input = ['a', 'b', 'c'].map((content) => ({ role: 'user' as const, content }));
    const { id } = await client.responses.create({ model: 'm', input });
    const texts: string[] = [];
    for await (const item of client.responses.inputItems.list(id, { limit: 2, order: 'asc' }))
      if (item.type === 'message') texts.push(JSON.stringify(item.content));
    assert.equal(texts.length, 3);
    assert.match(texts[2] ?? '', /"c"/);
    await assert.rejects(client.responses.inputItems.list(id, { limit: 0 }), BadRequestError);
    await assert.rejects(client.responses.inputItems.list(id, { limit: Number.NaN }), {
      param: 'limit',
      message: /expected a number, but got something else/,
    });
  });

  test('a deleted response is gone, and the responses after it go on without it', async () => {
    const first = await client.responses.create({ model: 'm', input: 'First.' });
    answer = () => calls('look_up');
    const second = await client.responses.create({
      model: 'm',
      input: 'Second.',
      previous_response_id: first.id,
      tools: [tool('look_up')],
    });
    answer = defaultAnswer;
    const third = await client.responses.create({
      model: 'm',
      previous_response_id: second.id,
      input: [
        { type: 'function_call_output', call_id: 'call_0', output: 'found' },
        { role: 'user', content: 'Third.' },
      ],
    });
    const next = async () => {
      await client.responses.create({ model: 'm', input: 'Fourth.', previous_response_id: third.id });
      return said(requests.at(-1));
    };
    assert.equal((await next())?.length, 8);
    await client.responses.delete(second.id);
    await assert.rejects(client.responses.retrieve(second.id), NotFoundError);
    const rest = ['user: Third.', 'assistant: Hello there', 'user: Fourth.'];
    assert.deepEqual(await next(), ['user: First.', 'assistant: Hello there', ...rest]);
    await client.responses.delete(first.id);
    assert.deepEqual(await next(), rest);
    await client.responses.delete(third.id);
    await assert.rejects(next, { status: 400, code: 'previous_response_not_found' });
  });

  test('a deleted response cannot be continued', async () => {
    const first = await client.responses.create({ model: 'm', input: 'x' });
    await client.responses.delete(first.id);
    await assert.rejects(client.responses.retrieve(first.id), NotFoundError);
    const broken = client.responses.create({ model: 'm', input: 'y', previous_response_id: first.id });
    await assert.rejects(broken, { status: 400, code: 'previous_response_not_found', param: 'previous_response_id' });
  });

  test('store: false is not kept', async () => {
    const response = await client.responses.create({ model: 'm', input: 'x', store: false });
    const { id, store } = response as typeof response & { store?: boolean };
    assert.equal(store, false);
    await assert.rejects(client.responses.retrieve(id), NotFoundError);
  });

  test('stored items are referred to by their id', async () => {
    const first = await client.responses.create({ model: 'm', input: 'x' });
    const item = { type: 'item_reference' as const, id: first.output[0]?.id ?? '' };
    await client.responses.create({
      model: 'm',
      input: [{ role: 'user', content: 'a' }, item, { role: 'user', content: 'b' }],
    });
    assert.deepEqual(said(requests[1]), ['user: a', 'assistant: Hello there', 'user: b']);
    const unknown = client.responses.create({ model: 'm', input: [{ type: 'item_reference', id: 'msg_none' }] });
    await assert.rejects(unknown, { status: 404, param: 'input[0].id' });
    const foreign = stranger.responses.create({ model: 'm', input: [item] });
    await assert.rejects(foreign, { status: 404 });
  });

  test('nothing of one key is there for another', async () => {
    const { id } = await client.responses.create({ model: 'm', input: 'x' });
    await assert.rejects(stranger.responses.retrieve(id), NotFoundError);
    await assert.rejects(stranger.responses.delete(id), NotFoundError);
    await assert.rejects(stranger.responses.cancel(id), NotFoundError);
    await assert.rejects(stranger.responses.inputItems.list(id), NotFoundError);
    const next = stranger.responses.create({ model: 'm', input: 'y', previous_response_id: id });
    await assert.rejects(next, { code: 'previous_response_not_found' });
  });
});

describe('streams', () => {
  test("the client's own accumulation gives what is stored", async () => {
    const stream = client.responses.stream({ model: 'm', input: 'x' });
    const events: ResponseStreamEvent[] = [];
    for await (const event of stream) events.push(event);
    const final = await stream.finalResponse();
    assert.equal(final.output_text, 'Hello there');
    const found = await client.responses.retrieve(final.id);
    assert.deepEqual(
      found.output,
      JSON.parse(JSON.stringify(final.output, (key, value) => (key === 'parsed' ? undefined : value))),
    );
  });

  test('a finished response is read again as a stream', async () => {
    const { id } = await client.responses.create({ model: 'm', input: 'x' });
    const events: { [field: string]: unknown }[] = [];
    for await (const event of await client.responses.retrieve(id, { stream: true })) events.push({ ...event });
    checkEvents(events);
    const rest = await readAll(await client.responses.retrieve(id, { stream: true, starting_after: 3 }));
    assert.equal(rest[0]?.sequence_number, 4);
  });

  test('a failure in the middle is an error of the client and a failed response', async () => {
    answer = async function* () {
      yield [{ type: 'start', id: 'x', model: 'm' }];
      yield [{ type: 'text', text: 'half' }];
      throw new ViaductError('runner_crashed', 'The engine stopped.');
    };
    const reply = await fetch(`${app.url}/v1/responses`, {
      method: 'POST',
      headers: { authorization: 'Bearer ann' },
      body: JSON.stringify({ model: 'm', input: 'x', stream: true }),
    });
    const events = (await reply.text())
      .split('\n')
      .flatMap((line) => (line.startsWith('data: {') ? [JSON.parse(line.slice(6))] : []));
    checkEvents(events);
    assert.deepEqual(
      events.slice(-2).map(({ type }) => type),
      ['error', 'response.failed'],
    );
    const { response } = events.at(-1);
    assert.equal(response.error_type, 'runner_crashed');
    assert.equal(response.output[0].status, 'incomplete');
    assert.equal((await client.responses.retrieve(response.id)).status, 'failed');
    const stream = client.responses.stream({ model: 'm', input: 'x' });
    await assert.rejects(stream.finalResponse(), /The engine stopped/);
    await assert.rejects(client.responses.create({ model: 'm', input: 'x' }), { status: 502, code: 'runner_crashed' });
  });

  test('a client that leaves stops the model, and the response is kept as cancelled', async () => {
    let stopped = false;
    answer = async function* (request, signal) {
      signal.addEventListener('abort', () => {
        stopped = true;
      });
      yield* slow(1000)(request, signal);
    };
    const stream = await client.responses.create({ model: 'm', input: 'x', stream: true });
    let id = '';
    for await (const event of stream) {
      if (event.type === 'response.created') id = event.response.id;
      if (event.type === 'response.output_text.delta') break;
    }
    for (let waited = 0; waited < 50 && !stopped; waited++) await sleep(20);
    assert.ok(stopped);
    for (let waited = 0; waited < 50; waited++) {
      const found = await client.responses.retrieve(id).catch(() => undefined);
      if (found) {
        assert.equal(found.status, 'cancelled');
        return;
      }
      await sleep(20);
    }
    assert.fail('it was not kept');
  });

  test('running into the limit of tokens is incomplete', async () => {
    answer = async function* () {
      yield [{ type: 'start', id: 'x', model: 'm' }];
      yield [{ type: 'text', text: 'half' }];
      yield [{ type: 'finish', reason: 'length', usage }];
    };
    const response = await client.responses.create({ model: 'm', input: 'x', max_output_tokens: 16 });
    checkResponse(response);
    assert.equal(response.status, 'incomplete');
    assert.deepEqual(response.incomplete_details, { reason: 'max_output_tokens' });
  });
});

describe('tools and thoughts', () => {
  test('max_tool_calls and allowed_tools hold whatever the model does', async () => {
    answer = () => calls('a', 'b', 'a');
    const tools = [tool('a'), tool('b')];
    const most = await client.responses.create({ model: 'm', input: 'x', tools, max_tool_calls: 1 });
    assert.equal(most.output.length, 1);
    const choice = { type: 'allowed_tools' as const, mode: 'auto' as const, tools: [{ type: 'function', name: 'b' }] };
    const allowed = await client.responses.create({ model: 'm', input: 'x', tools, tool_choice: choice });
    assert.deepEqual(
      allowed.output.map((item) => item.type === 'function_call' && item.name),
      ['b'],
    );
    assert.deepEqual(requests[1]?.toolChoice, { allowed: ['b'], mode: 'auto' });
    assert.equal(requests[1]?.tools?.length, 2);
  });

  test('a free-text tool is called with its text', async () => {
    answer = () => calls('patch');
    const stream = await client.responses.create({
      model: 'm',
      input: 'x',
      stream: true,
      tools: [{ type: 'custom', name: 'patch' }],
    });
    const events = await readAll(stream);
    checkEvents(events);
    const done = events.find((event) => event.type === 'response.custom_tool_call_input.done');
    assert.equal(done?.input, 'a');
  });

  test('thoughts are items of their own; sealed ones come back whole, changed ones are refused', async () => {
    answer = async function* () {
      yield [{ type: 'start', id: 'x', model: 'm' }];
      yield [
        { type: 'reasoning', text: 'Let me ' },
        { type: 'reasoning', text: 'think.' },
      ];
      yield [{ type: 'reasoning-end', signature: 'signed by the provider', origin: 'anthropic-messages' }];
      yield [{ type: 'text', text: 'Four.' }];
      yield [{ type: 'finish', reason: 'stop', usage: { ...usage, reasoning: 1 } }];
    };
    const body = { model: 'm', input: '2+2?', store: false } as const;
    const plain = await client.responses.create(body);
    checkResponse(plain);
    assert.ok(!JSON.stringify(plain).includes('encrypted_content'));
    assert.equal(plain.output_text, 'Four.');

    const sealed = await client.responses.create({ ...body, include: ['reasoning.encrypted_content'] });
    const [thought] = sealed.output;
    assert.ok(thought?.type === 'reasoning' && thought.encrypted_content);
    assert.ok(!JSON.stringify(sealed).includes('signed by the provider'));
    const next = (item: ResponseReasoningItem): ResponseCreateParamsNonStreaming => ({
      ...body,
      input: [
        { role: 'user', content: '2+2?' },
        item,
        ...(sealed.output.slice(1) as ResponseInputItem[]),
        { role: 'user', content: '+1?' },
      ],
    });
    await client.responses.create(next(thought));
    const part = requests.at(-1)?.messages[1]?.parts[0];
    assert.deepEqual(part, {
      type: 'reasoning',
      text: 'Let me think.',
      signature: 'signed by the provider',
      origin: 'anthropic-messages',
      id: thought.id,
    });
    const seal = thought.encrypted_content;
    for (const changed of [`${seal.slice(0, -2)}AA`, `x${seal}`, seal.slice(5), 'nonsense'])
      await assert.rejects(client.responses.create(next({ ...thought, encrypted_content: changed })), {
        status: 400,
        code: 'invalid_encrypted_content',
      });
    const stolen = stranger.responses.create(next(thought));
    await assert.rejects(stolen, { code: 'invalid_encrypted_content' });

    // Stored, the seal need not travel.
    const stored = await client.responses.create({ model: 'm', input: '2+2?' });
    await client.responses.create({ model: 'm', input: '+1?', previous_response_id: stored.id });
    assert.deepEqual(
      requests.at(-1)?.messages[1]?.parts.map((said) => said.type === 'reasoning' && said.signature),
      ['signed by the provider', false],
    );
    const shown = await client.responses.retrieve(stored.id, { include: ['reasoning.encrypted_content'] });
    assert.ok(shown.output[0]?.type === 'reasoning' && shown.output[0].encrypted_content);

    const summary = await client.responses.create({ ...body, stream: true, reasoning: { summary: 'auto' } });
    const events = await readAll(summary);
    checkEvents(events);
    assert.ok(events.some(({ type }) => type === 'response.reasoning_summary_text.delta'));
  });

  test('what only a provider itself can do is refused by name', async () => {
    const search = client.responses.create({ model: 'm', input: 'x', tools: [{ type: 'web_search' }] });
    await assert.rejects(search, { status: 400, param: 'tools[0].type' });
    const prompt = client.responses.create({ model: 'm', prompt: { id: 'pmpt_1' } });
    await assert.rejects(prompt, { status: 400, param: 'prompt' });
    const item = { type: 'web_search_call', id: 'ws_1', status: 'completed' } as never;
    await assert.rejects(client.responses.create({ model: 'm', input: [item] }), {
      status: 400,
      param: 'input[0].type',
    });
  });
});

describe('conversations', () => {
  test('items go in by hand and by responses, and out again', async () => {
    const items = [{ type: 'message' as const, role: 'user' as const, content: 'I am Ann.' }];
    const conversation = await client.conversations.create({ metadata: { topic: 'names' }, items });
    assert.deepEqual(conversation.metadata, { topic: 'names' });
    const response = await client.responses.create({ model: 'm', conversation: conversation.id, input: 'Who am I?' });
    assert.equal(response.conversation?.id, conversation.id);
    assert.deepEqual(said(requests[0]), ['user: I am Ann.', 'user: Who am I?']);
    await client.responses.create({ model: 'm', conversation: { id: conversation.id }, input: 'Again?' });
    assert.equal(requests[1]?.messages.length, 4);

    const page = await client.conversations.items.list(conversation.id, { limit: 3, order: 'asc' });
    assert.equal(page.data.length, 3);
    const all = await readAll(client.conversations.items.list(conversation.id, { limit: 2 }));
    assert.equal(all.length, 5);
    const [newest] = all;
    assert.deepEqual(
      await client.conversations.items.retrieve(newest?.id ?? '', { conversation_id: conversation.id }),
      newest,
    );
    const left = await client.conversations.items.delete(newest?.id ?? '', { conversation_id: conversation.id });
    assert.equal(left.id, conversation.id);
    await client.conversations.items.create(conversation.id, { items });
    const updated = await client.conversations.update(conversation.id, { metadata: { topic: 'other' } });
    assert.deepEqual(updated.metadata, { topic: 'other' });

    await assert.rejects(stranger.conversations.retrieve(conversation.id), NotFoundError);
    await assert.rejects(stranger.conversations.items.list(conversation.id), NotFoundError);
    await assert.rejects(stranger.conversations.items.create(conversation.id, { items }), NotFoundError);
    await assert.rejects(
      stranger.responses.create({ model: 'm', conversation: conversation.id, input: 'x' }),
      NotFoundError,
    );
    const deleted = await client.conversations.delete(conversation.id);
    assert.deepEqual(deleted, { id: conversation.id, object: 'conversation.deleted', deleted: true });
    await assert.rejects(client.conversations.retrieve(conversation.id), NotFoundError);
  });
});

describe('background', () => {
  const over = async (id: string) => {
    for (let waited = 0; waited < 200; waited++) {
      const found = await client.responses.retrieve(id);
      if (found.status !== 'queued' && found.status !== 'in_progress') return found;
      await sleep(20);
    }
    return assert.fail('it never ended');
  };

  test('runs on alone, and every event can be read again', async () => {
    answer = slow(5);
    const queued = await client.responses.create({ model: 'm', input: 'x', background: true });
    checkResponse(queued);
    assert.equal(queued.status, 'queued');
    const done = await over(queued.id);
    assert.equal(done.status, 'completed');
    assert.equal(done.output_text, '0 1 2 3 4 ');
    const events = await readAll(await client.responses.retrieve(queued.id, { stream: true }));
    checkEvents(events);
    assert.deepEqual(
      events.slice(0, 3).map(({ type }) => type),
      ['response.created', 'response.queued', 'response.in_progress'],
    );
    assert.equal(app.ledger.filter(({ status }) => status === 'ok').length > 0, true);
  });

  test('a stream that broke off is read on where it ended, while it runs', async () => {
    answer = slow(30);
    const stream = await client.responses.create({ model: 'm', input: 'x', background: true, stream: true });
    const seen: ResponseStreamEvent[] = [];
    for await (const event of stream) {
      seen.push(event);
      if (seen.length === 8) break;
    }
    const first = seen[0];
    assert.ok(first?.type === 'response.created');
    const starting_after = seen.at(-1)?.sequence_number ?? 0;
    const rest = await readAll(await client.responses.retrieve(first.response.id, { stream: true, starting_after }));
    checkEvents([...seen, ...rest]);
    assert.equal(rest.at(-1)?.type, 'response.completed');
  });

  test('is not continued before it is over', async () => {
    answer = slow(30);
    const { id } = await client.responses.create({ model: 'm', input: 'x', background: true });
    const refusal = {
      status: 400,
      code: 'invalid_request',
      param: 'previous_response_id',
      message: /still in progress/,
    };
    for (const background of [true, false])
      await assert.rejects(
        client.responses.create({ model: 'm', input: 'y', previous_response_id: id, background }),
        refusal,
      );
    await assert.rejects(client.responses.compact({ model: 'm', previous_response_id: id }), refusal);
    await client.responses.cancel(id);
    answer = () => say('yes');
    const next = await client.responses.create({ model: 'm', input: 'y', previous_response_id: id });
    assert.equal(next.status, 'completed');
  });

  test('is cancelled, once and again; what ran in the foreground is not', async () => {
    answer = slow(1000);
    const { id } = await client.responses.create({ model: 'm', input: 'x', background: true });
    await sleep(100);
    const following = readAll(await client.responses.retrieve(id, { stream: true }));
    const cancelled = await client.responses.cancel(id);
    assert.equal(cancelled.status, 'cancelled');
    assert.match((await client.responses.retrieve(id)).output_text, /^0 1 /);
    assert.equal((await client.responses.cancel(id)).status, 'cancelled');
    assert.ok((await following).length > 0);
    answer = defaultAnswer;
    const foreground = await client.responses.create({ model: 'm', input: 'x' });
    await assert.rejects(client.responses.cancel(foreground.id), BadRequestError);
  });

  test('deleting stops it', async () => {
    let stopped = false;
    answer = async function* (request, signal) {
      signal.addEventListener('abort', () => {
        stopped = true;
      });
      yield* slow(1000)(request, signal);
    };
    const { id } = await client.responses.create({ model: 'm', input: 'x', background: true });
    await sleep(60);
    await client.responses.delete(id);
    assert.ok(stopped);
    await assert.rejects(client.responses.retrieve(id), NotFoundError);
  });

  test('a failure is kept with its reason', async () => {
    answer = async function* () {
      yield [{ type: 'start', id: 'x', model: 'm' }];
      throw new ViaductError('queue_full', 'Too many requests wait.');
    };
    const { id } = await client.responses.create({ model: 'm', input: 'x', background: true });
    const failed = await over(id);
    assert.equal(failed.status, 'failed');
    assert.equal(failed.error?.message, 'Too many requests wait.');
    checkResponse(failed);
  });

  test('what nobody could answer is refused at once', async () => {
    const ask = { model: 'm', input: 'x', background: true };
    await assert.rejects(client.responses.create({ ...ask, model: 'missing' }), NotFoundError);
    const search = client.responses.create({ ...ask, tools: [{ type: 'web_search' }] });
    await assert.rejects(search, { status: 400, param: 'tools[0].type' });
  });

  test('needs to be stored', async () => {
    const refused = client.responses.create({ model: 'm', input: 'x', background: true, store: false });
    await assert.rejects(refused, { status: 400, param: 'store' });
  });
});

test('everything is there after a restart; what ran is failed, and its events can still be read', async () => {
  const first = await client.responses.create({ model: 'm', input: 'Remember blue.' });
  answer = slow(1000);
  const running = await client.responses.create({ model: 'm', input: 'x', background: true });
  await sleep(150);
  await app.close();
  answer = defaultAnswer;
  await start();
  requests = [];
  await client.responses.create({ model: 'm', input: 'Which colour?', previous_response_id: first.id });
  assert.deepEqual(said(requests[0]), ['user: Remember blue.', 'assistant: Hello there', 'user: Which colour?']);
  const failed = await client.responses.retrieve(running.id);
  assert.equal(failed.status, 'failed');
  assert.match(failed.error?.message ?? '', /shut down/);
  assert.match(failed.output_text, /^0 1 /);
  const events = await fetchEvents(`${app.url}/v1/responses/${running.id}?stream=true&starting_after=3`);
  checkEvents(events, 4);
});

async function fetchEvents(url: string): Promise<{ [field: string]: unknown }[]> {
  const reply = await fetch(url, { headers: { authorization: 'Bearer ann' } });
  return (await reply.text())
    .split('\n')
    .flatMap((line) => (line.startsWith('data: {') ? [JSON.parse(line.slice(6))] : []));
}
