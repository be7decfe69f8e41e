/**
 * What Open Responses' own compliance suite (17 tests, read 2026-09) sends to a server and asks of its answers, in our
 * words. Replies and events are checked against both published contracts beside that. Source:
 * https://github.com/openresponses/openresponses
 */
import assert from 'node:assert/strict';
import { contract, eventsOf } from './contract.ts';
import { checkEvents, checkResponse } from './responses-contract.ts';
import { lastOf, openSocket } from './responses-socket.ts';

type Wire = { [field: string]: unknown };
type Target = {
  /** `http://…/v1` is below it. */
  url: string;
  model: string;
  /** A picture as a data: URL; a red heart in the suite. */
  picture: string;
};

const says = (role: string, content: unknown, more: Wire = {}) => ({ type: 'message', role, content, ...more });
const user = (content: unknown) => says('user', content);

const weather = {
  type: 'function',
  name: 'get_weather',
  description: 'Get the current weather for a location',
  parameters: {
    type: 'object',
    properties: { location: { type: 'string', description: 'The city and state, e.g. San Francisco, CA' } },
    required: ['location'],
  },
};

async function post({ url }: Target, path: string, body: object) {
  const reply = await fetch(`${url}/v1${path}`, {
    method: 'POST',
    headers: { authorization: 'Bearer local', 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const text = await reply.text();
  return { status: reply.status, text };
}

/** A whole answer: complete, and not empty. */
async function answered(target: Target, body: object): Promise<Wire[]> {
  const { status, text } = await post(target, '/responses', { model: target.model, ...body });
  assert.equal(status, 200, text);
  const response = JSON.parse(text) as Wire & { output: Wire[] };
  checkResponse(response);
  assert.equal(response['status'], 'completed');
  assert.ok(response.output.length > 0);
  return response.output;
}

/** A turn over WebSocket that must come to its end. */
function completed(events: Wire[]): string {
  checkEvents(events);
  const { type, response } = events.at(-1) as { type: string; response: Wire };
  assert.equal(type, 'response.completed', JSON.stringify(events.at(-1)));
  checkResponse(response);
  return String(response['id']);
}

function failedWith(code: string, events: Wire[]) {
  assert.equal(events.length, 1);
  assert.equal(events[0]?.['type'], 'error');
  assert.equal(lastOf(events, 'error')['code'], code);
}

export const suite: { name: string; run(target: Target): Promise<void> }[] = [
  {
    name: 'basic-response',
    run: async (target) => void (await answered(target, { input: [user('Say hello in exactly 3 words.')] })),
  },
  {
    name: 'assistant-phase',
    run: async (target) =>
      void (await answered(target, {
        input: [
          says('assistant', 'I should answer with the saved number.', { phase: 'commentary' }),
          says('assistant', 'The number is four.', { phase: 'final_answer' }),
          user('Repeat only the number.'),
        ],
      })),
  },
  {
    name: 'streaming-response',
    async run(target) {
      const { model } = target;
      const ask = { model, stream: true, input: [user('Count from 1 to 5.')] };
      completed(eventsOf((await post(target, '/responses', ask)).text) as Wire[]);
    },
  },
  {
    name: 'system-prompt',
    async run(target) {
      const pirate = says('system', 'You are a pirate. Always respond in pirate speak.');
      await answered(target, { input: [pirate, user('Say hello.')] });
    },
  },
  {
    name: 'tool-calling',
    async run(target) {
      const input = [user("What's the weather like in San Francisco?")];
      const output = await answered(target, { input, tools: [weather] });
      assert.ok(
        output.some(({ type }) => type === 'function_call'),
        JSON.stringify(output),
      );
    },
  },
  {
    name: 'image-input',
    async run(target) {
      const content = [
        { type: 'input_text', text: 'What do you see in this image? Answer in one sentence.' },
        { type: 'input_image', image_url: target.picture },
      ];
      await answered(target, { input: [user(content)] });
    },
  },
  {
    name: 'multi-turn',
    async run(target) {
      const greeting = says('assistant', 'Hello Alice! Nice to meet you. How can I help you today?');
      await answered(target, { input: [user('My name is Alice.'), greeting, user('What is my name?')] });
    },
  },
  {
    name: 'compact-response',
    async run(target) {
      const { model } = target;
      const { status, text } = await post(target, '/responses/compact', {
        model,
        prompt_cache_key: 'openresponses-compact-test',
        input: [
          user('We agreed to launch on Tuesday and notify support first.'),
          says('assistant', 'Understood. The launch is Tuesday, with support notified beforehand.'),
        ],
      });
      assert.equal(status, 200, text);
      const body = JSON.parse(text) as { object: string; output: Wire[] };
      contract('open-responses').check('CompactResource', body);
      assert.equal(body.object, 'response.compaction');
      assert.ok(body.output.some(({ type }) => type === 'compaction'));
    },
  },
  {
    name: 'compact-missing-model',
    async run(target) {
      const { status } = await post(target, '/responses/compact', { input: [user('Compact this conversation.')] });
      assert.ok(status === 400 || status === 422, String(status));
    },
  },
  {
    name: 'websocket-response',
    async run({ url, model }) {
      await using socket = await openSocket(url);
      completed(await socket.turn({ model, input: [user('Count from 1 to 3.')] }));
    },
  },
  {
    name: 'websocket-sequential-responses',
    async run({ url, model }) {
      await using socket = await openSocket(url);
      for (const word of ['first', 'second'])
        completed(await socket.turn({ model, store: false, input: `Reply with exactly: ${word}` }));
    },
  },
  {
    name: 'websocket-continuation',
    async run({ url, model }) {
      await using socket = await openSocket(url);
      const ask = { model, store: false };
      const first = await socket.turn({ ...ask, input: 'Remember the code word: cobalt. Reply with OK.' });
      const input = 'What is the code word? Reply with only the code word.';
      completed(await socket.turn({ ...ask, previous_response_id: completed(first), input }));
    },
  },
  {
    name: 'websocket-reconnect-store-false-recovery',
    async run({ url, model }) {
      const ask = { model, store: false };
      const closed = await openSocket(url);
      const first = await closed.turn({ ...ask, input: 'Remember the code word: copper. Reply with OK.' });
      await closed[Symbol.asyncDispose]();
      await using socket = await openSocket(url);
      const input = 'Try to continue after reconnect. Reply with exactly: reconnected';
      const lost = await socket.turn({ ...ask, previous_response_id: completed(first), input });
      failedWith('previous_response_not_found', lost);
      completed(await socket.turn({ ...ask, input: [user('Start a new response and reply with exactly: recovered')] }));
    },
  },
  {
    name: 'websocket-previous-response-not-found',
    async run({ url, model }) {
      await using socket = await openSocket(url);
      const previous_response_id = `resp_openresponses_missing_${Date.now()}`;
      const input = 'This should fail because the previous response is missing.';
      failedWith(
        'previous_response_not_found',
        await socket.turn({ model, store: false, previous_response_id, input }),
      );
    },
  },
  {
    name: 'websocket-failed-continuation-evicts-cache',
    async run({ url, model }) {
      await using socket = await openSocket(url);
      const first = await socket.turn({
        model,
        store: false,
        input: 'Remember the code word: ember. Reply with OK.',
      });
      const ask = { model, store: false, previous_response_id: completed(first) };
      const orphan = {
        type: 'function_call_output',
        call_id: 'call_openresponses_missing',
        output: 'No matching tool call exists in the previous response.',
      };
      const failed = await socket.turn({ ...ask, input: [orphan] });
      assert.equal(failed.at(-1)?.['type'], 'error');
      failedWith('previous_response_not_found', await socket.turn({ ...ask, input: 'Reply with exactly: stale' }));
    },
  },
  {
    name: 'websocket-compact-new-chain',
    async run(target) {
      const { url, model } = target;
      const input = [
        user([{ type: 'input_text', text: 'Remember the compaction code word: slate.' }]),
        says('assistant', [{ type: 'output_text', text: 'OK.' }]),
        user([{ type: 'input_text', text: 'Compress this conversation for later continuation.' }]),
      ];
      const { text } = await post(target, '/responses/compact', { model, input });
      const { output } = JSON.parse(text) as { output: Wire[] };
      await using socket = await openSocket(url);
      const next = user('Continue from here. Reply with exactly: compacted');
      completed(await socket.turn({ model, store: false, input: [...output, next], tools: [] }));
    },
  },
];
