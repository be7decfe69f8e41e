/**
 * An upstream that fails in every way, behind the real server: each case ends in a right answer from a fallback or one
 * clear error, nothing hangs, nothing is billed twice, and no word or address of the upstream comes out.
 */
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '../../src/api/app.ts';
import type { Services } from '../../src/api/define.ts';
import { type ModelSettings, modelSettings } from '../../src/config/models.ts';
import { createGateway, type LedgerEntry } from '../../src/gateway/gateway.ts';
import { openaiCompatible } from '../../src/providers/openai-compatible.ts';
import { type FaultyUpstream, faultNames, startFaultyUpstream } from './upstream.ts';

let upstream: FaultyUpstream;
let url: string;
let close: () => Promise<void>;
let ledger: LedgerEntry[] = [];

const quick = { idle: '400ms', total: '3s' };
const model = (targets: string[], more: object = {}): ModelSettings =>
  modelSettings.parse({ targets, timeout: quick, retries: 1, ...more });
/** Only a stream has a first token: with this limit a whole answer is streamed from the upstream too. */
const firstToken = { timeout: { ...quick, first_token: '400ms' } };

before(async () => {
  upstream = await startFaultyUpstream();
  const make = (name: string, base_url: string) =>
    [
      name,
      openaiCompatible.create(name, openaiCompatible.config.parse({ base_url, api_key: 'sk-upstream-key' })),
    ] as const;
  const providers = new Map([
    make('bad', upstream.url),
    make('good', upstream.url),
    make('gone', 'http://127.0.0.1:9/v1'),
  ]);
  const models: Record<string, ModelSettings> = {
    'alone-refused': model(['gone/ok']),
    'backed-refused': model(['gone/ok', 'good/ok']),
    'filter-fallback': model(['bad/filtered', 'good/ok'], { content_filter_fallback: true }),
    'no-retries': model(['bad/500'], { retries: 0 }),
  };
  for (const name of faultNames) {
    const more = /^stall|^endless/.test(name) ? firstToken : {};
    models[`alone-${name}`] = model([`bad/${name}`], more);
    models[`backed-${name}`] = model([`bad/${name}`, 'good/ok'], more);
  }
  const account = (entry: LedgerEntry) => {
    ledger.push(entry);
    return undefined;
  };
  const gateway = createGateway({ providers, models, account });
  const app = createApp({ gateway, now: Date.now } as Services);
  await app.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  close = async () => {
    app.server.closeAllConnections();
    await app.close();
    await upstream.close();
  };
});
after(() => close());
beforeEach(() => {
  ledger = [];
  upstream.seen.length = 0;
});

type Reply = {
  status: number;
  headers: Headers;
  text: string;
  answer: string;
  finish?: string;
  error?: { code: string; message: string };
};

async function ask(name: string, stream: boolean, more: object = {}): Promise<Reply> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: name, stream, messages: [{ role: 'user', content: 'hi' }], ...more }),
  });
  const text = await response.text();
  const reply: Reply = { status: response.status, headers: response.headers, text, answer: '' };
  const payloads = text.includes('data:')
    ? text
        .split(/\r?\n/)
        .filter((line) => line.startsWith('data: {'))
        .map((line) => JSON.parse(line.slice(6)))
    : [JSON.parse(text)];
  for (const { error, choices } of payloads) {
    if (error) reply.error = error;
    for (const { delta, message, finish_reason } of choices ?? []) {
      const said = delta ?? message;
      reply.answer += said?.content ?? '';
      for (const call of said?.tool_calls ?? []) reply.answer += (call.function.name ?? '') + call.function.arguments;
      if (finish_reason) reply.finish = finish_reason;
    }
  }
  assert.doesNotMatch(text + [...response.headers].join(), /secret-upstream-text|sk-upstream|127\.0\.0\.1/);
  return reply;
}

/** Ledger rows that someone pays for. */
const billed = () => ledger.filter(({ usage }) => usage.output > 0);

const modes = [
  ['unary', false],
  ['stream', true],
] as const;

/** Faults that another target hides entirely. */
const hidden = [
  'refused',
  'reset',
  'reset-before-content',
  'stall-before',
  'stall-headers',
  '429-long',
  '500',
  '503',
  '529',
  '408',
  '409',
  '401',
  '403',
  'too-long',
  'html',
  'html-as-promised',
  'half-json',
  'error-in-200',
  'empty-body',
  'empty-answer',
  'only-done',
  'redirect',
];
/** Faults that are none to whoever reads with care. */
const tolerated = [
  'ok',
  'drip',
  'crlf',
  'comments',
  'no-done',
  'duplicate-start',
  'usage-on-last-chunk',
  'usage-never',
  'other-form',
];

for (const [mode, stream] of modes)
  describe(mode, () => {
    for (const name of hidden)
      test(`${name}: the next target answers`, async () => {
        const reply = await ask(`backed-${name}`, stream);
        assert.equal(reply.status, 200, reply.text);
        assert.equal(reply.answer, 'Hello world');
        assert.equal(reply.headers.get('x-viaduct-provider'), 'good');
        assert.equal(billed().length, 1);
        assert.equal(billed()[0]?.provider, 'good');
      });

    for (const name of tolerated)
      test(`${name}: answers`, async () => {
        const reply = await ask(`alone-${name}`, stream);
        assert.equal(reply.answer, 'Hello world', reply.text);
        assert.equal(reply.finish, 'stop');
        assert.equal(reply.headers.get('x-viaduct-attempts'), '1');
        assert.equal(billed().length, 1);
        if (name !== 'usage-never') assert.deepEqual(billed()[0]?.usage, { input: 9, output: 3 });
        assert.equal(billed()[0]?.estimated, name === 'usage-never');
      });

    const alone: Record<string, [status: number, code: string]> = {
      refused: [502, 'provider_unavailable'],
      reset: [502, 'provider_unavailable'],
      'reset-before-content': [502, 'provider_unavailable'],
      'stall-before': [504, 'provider_timeout'],
      'stall-headers': [504, 'provider_timeout'],
      '429-long': [429, 'provider_rate_limited'],
      '500': [502, 'provider_unavailable'],
      '401': [502, 'provider_account'],
      '400': [400, 'provider_rejected'],
      'too-long': [400, 'context_length_exceeded'],
      filtered: [400, 'content_policy_violation'],
      html: [502, 'provider_invalid_response'],
      'half-json': [502, 'provider_invalid_response'],
      'empty-body': [502, 'provider_invalid_response'],
      'only-done': [502, 'provider_invalid_response'],
    };
    for (const [name, [status, code]] of Object.entries(alone))
      test(`${name}: alone it is one clear error`, async () => {
        const reply = await ask(`alone-${name}`, stream);
        assert.equal(reply.status, status, reply.text);
        assert.equal(reply.error?.code, code);
        assert.ok(reply.error?.message);
        assert.equal(billed().length, 0);
        assert.ok(Number(reply.headers.get('x-viaduct-attempts')) >= 1);
        if (name === '429-long') assert.equal(reply.headers.get('retry-after'), '120');
      });

    test('500 then 200: the second try answers', async () => {
      const reply = await ask('alone-500-then-200', stream);
      assert.equal(reply.answer, 'Hello world');
      assert.equal(reply.headers.get('x-viaduct-attempts'), '2');
      assert.match(reply.headers.get('x-viaduct-failures') ?? '', /^bad\/500-then-200 provider_unavailable \d+ms$/);
      assert.deepEqual(
        ledger.map(({ attempt, status, cause }) => [attempt, status, cause]),
        [
          [1, 'error', 'provider_unavailable'],
          [2, 'ok', undefined],
        ],
      );
    });

    test('429 with Retry-After is waited for', async () => {
      const reply = await ask('alone-429-retry-after', stream);
      assert.equal(reply.answer, 'Hello world');
      const [first, second] = upstream.seen;
      assert.ok((second?.at ?? 0) - (first?.at ?? 0) >= 1000);
    });

    test('429 without Retry-After is tried again', async () => {
      assert.equal((await ask('alone-429', stream)).answer, 'Hello world');
    });

    test('what the client did wrong is not tried again', async () => {
      const reply = await ask('backed-400', stream);
      assert.equal(reply.status, 400);
      assert.equal(upstream.seen.length, 1);
    });

    test('a content filter falls back when the route says so', async () => {
      assert.equal((await ask('backed-filtered', stream)).error?.code, 'content_policy_violation');
      assert.equal((await ask('filter-fallback', stream)).answer, 'Hello world');
    });

    test('an empty answer of the only target is passed on', async () => {
      const reply = await ask('alone-empty-answer', stream);
      assert.equal(reply.status, 200);
      assert.equal(reply.finish, 'stop');
    });

    test('retries: 0 tries once', async () => {
      assert.equal((await ask('no-retries', stream)).headers.get('x-viaduct-attempts'), '1');
    });

    test('tool calls without ids are still calls', async () => {
      const reply = await ask('alone-tools-without-ids', stream);
      assert.equal(reply.answer, 'look{"at":"sky"}');
    });
  });

test('invalid UTF-8 never hangs and never leaks', async () => {
  assert.equal((await ask('backed-invalid-utf8', false)).answer, 'Hello world');
  const reply = await ask('backed-invalid-utf8', true);
  assert.match(reply.answer, /^Hello .(orld|world)$/u);
});

for (const name of ['reset-mid-body', 'stall-after', 'error-after-content', 'no-finish'])
  test(`${name}: after content the stream ends with an error and nobody else is asked`, async () => {
    const reply = await ask(`backed-${name}`, true);
    assert.equal(reply.status, 200);
    assert.match(reply.answer, /^Hello/);
    assert.ok(reply.error, reply.text);
    assert.equal(reply.finish, 'error');
    assert.ok(upstream.seen.every(({ model }) => model === name));
    assert.equal(ledger.length, 1);
    assert.equal(ledger[0]?.status, 'error');
  });

for (const name of ['reset-mid-body', 'stall-after'])
  test(`${name}: half of a whole answer is hidden by the next target`, async () => {
    const reply = await ask(`backed-${name}`, false);
    assert.equal(reply.answer, 'Hello world', reply.text);
    assert.deepEqual(
      billed().map(({ provider }) => provider),
      ['good'],
    );
  });

test('an answer without an end is ended by the total timeout', async () => {
  assert.equal((await ask('backed-endless', false)).error?.code, 'provider_timeout');
});

test('a client that leaves aborts the upstream at once', async () => {
  const leaving = new AbortController();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'alone-endless', stream: true, messages: [{ role: 'user', content: 'hi' }] }),
    signal: leaving.signal,
  });
  await response.body?.getReader().read();
  leaving.abort();
  for (let waited = 0; !upstream.seen[0]?.hungUp && waited < 2000; waited += 10) await sleep(10);
  assert.equal(upstream.seen[0]?.hungUp, true);
  for (let waited = 0; ledger.length === 0 && waited < 2000; waited += 10) await sleep(10);
  assert.deepEqual(
    ledger.map(({ status, estimated }) => [status, estimated]),
    [['aborted', true]],
  );
  assert.ok((ledger[0]?.usage.output ?? 0) > 0);
});

test('a breaker sends requests elsewhere once a target keeps failing', async () => {
  for (let n = 0; n < 3; n++) await ask('backed-503', true);
  upstream.seen.length = 0;
  const reply = await ask('backed-503', true);
  assert.equal(reply.headers.get('x-viaduct-attempts'), '1');
  assert.deepEqual(
    upstream.seen.map(({ model }) => model),
    ['ok'],
  );
});

test('a client that did not ask for usage does not get the chunk that carries it', async () => {
  assert.doesNotMatch((await ask('alone-ok', true)).text, /"choices":\[\]/);
  assert.deepEqual(upstream.seen[0]?.body['stream_options'], { include_usage: true });
  assert.match((await ask('alone-ok', true, { stream_options: { include_usage: true } })).text, /"choices":\[\]/);
});

test('fields that nobody knows go through untouched', async () => {
  await ask('alone-ok', true, { some_new_field: { deep: [1] } });
  assert.deepEqual(upstream.seen[0]?.body['some_new_field'], { deep: [1] });
});
