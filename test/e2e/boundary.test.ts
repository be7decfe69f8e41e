/** The boundary from outside: the real server and commands, the OpenAI client, and a stand-in for a hosted provider. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import OpenAI, { APIError } from 'openai';
import { openLedger } from '../../src/gateway/account.ts';
import { ledgerStore } from '../../src/store/ledger.ts';
import { openStore } from '../../src/store/open.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const main = join(import.meta.dirname, '../../src/main.ts');
const usage = { prompt_tokens: 1000, completion_tokens: 1000, total_tokens: 2000 };
const secretInPrompt = 'sk-proj-AbCdEfGhIjKlMnOpQrStUvWx';

/** What a provider of OpenAI's protocol answers, unary or streamed, after 20 ms. */
const upstream = createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) text += chunk;
  const { stream, model } = JSON.parse(text) as { stream?: boolean; model: string };
  await sleep(20);
  const head = { id: 'chatcmpl-1', created: 1, model };
  if (!stream) {
    const message = { role: 'assistant', content: 'Hello.', refusal: null };
    response.setHeader('content-type', 'application/json');
    response.end(
      JSON.stringify({
        ...head,
        object: 'chat.completion',
        choices: [{ index: 0, message, finish_reason: 'stop' }],
        usage,
      }),
    );
    return;
  }
  response.setHeader('content-type', 'text/event-stream');
  const send = (more: object) => {
    response.write(`data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', ...more })}\n\n`);
  };
  send({ choices: [{ index: 0, delta: { role: 'assistant', content: 'Hel' }, finish_reason: null }] });
  await sleep(5);
  send({ choices: [{ index: 0, delta: { content: 'lo.' }, finish_reason: 'stop' }] });
  send({ choices: [], usage });
  response.end('data: [DONE]\n\n');
});

const home = mkdtempSync(join(tmpdir(), 'viaduct-e2e-boundary-'));
let config = '';
let server: TestServer;
const start = () => startTestServer({ home, config });

before(async () => {
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  config = `
providers:
  hosted: { kind: openai-compatible, base_url: "http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1", api_key: sk-upstream-0123456789abcdef }
models:
  fast: { targets: [hosted/model-a] }
prices:
  hosted/*: { input: 500, output: 500 }
`;
  server = await start();
});
after(async () => {
  await server.close();
  upstream.closeAllConnections();
  upstream.close();
  rmSync(home, { recursive: true, force: true });
});

/** A command in its own process; its output as JSON. Throws with what it wrote to standard error. */
async function viaduct<Reply>(...args: string[]): Promise<Reply> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', main, ...args, '--json'],
    { cwd: home, env: { PATH: process.env['PATH'], VIADUCT_HOME: home, VIADUCT_HOST: new URL(server.url).host } },
  );
  return JSON.parse(stdout) as Reply;
}

type Key = { id: string; secret: string; prefix: string };
const clientWith = (apiKey: string) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
const ask = (apiKey: string) =>
  clientWith(apiKey).chat.completions.create({
    model: 'fast',
    messages: [{ role: 'user', content: `Hi ${secretInPrompt}` }],
  });
const refusal = async (work: Promise<unknown>): Promise<APIError> => {
  const error = await work.then(
    () => assert.fail('it was let through'),
    (thrown) => thrown,
  );
  assert.ok(error instanceof APIError, String(error));
  return error;
};
const admin = async (path: string, init: RequestInit = {}) => {
  const { readFileSync } = await import('node:fs');
  const token = readFileSync(join(home, 'admin.token'), 'utf8');
  return fetch(`${server.url}/admin/${path}`, { ...init, headers: { authorization: `Bearer ${token}` } });
};

test('open with any placeholder until the first key; the wrong key raises the SDK’s own error', async () => {
  assert.equal((await ask('ollama')).choices[0]?.message.content, 'Hello.');
  const key = await viaduct<Key>('keys', 'create', 'first');
  assert.equal((await ask(key.secret)).choices[0]?.message.content, 'Hello.');
  const error = await refusal(ask('ollama'));
  assert.ok(error instanceof OpenAI.AuthenticationError);
  assert.equal(error.code, 'invalid_api_key');
  await viaduct('keys', 'revoke', key.id);
  assert.ok((await refusal(ask(key.secret))) instanceof OpenAI.AuthenticationError);
});

test('rate limits as the OpenAI client sees them', async () => {
  const key = await viaduct<Key>('keys', 'create', 'limited', '--rpm', '2');
  const { response } = await ask2(key.secret);
  assert.equal(response.headers.get('x-ratelimit-limit-requests'), '2');
  assert.equal(response.headers.get('x-ratelimit-remaining-requests'), '1');
  assert.match(response.headers.get('x-ratelimit-reset-requests') ?? '', /^(30s|29\.\d+s)$/);
  await ask(key.secret);
  const error = await refusal(ask(key.secret));
  assert.ok(error instanceof OpenAI.RateLimitError);
  assert.equal(error.code, 'rate_limit_exceeded');
  assert.match(error.headers?.get('retry-after') ?? '', /^(29|30)$/);
});

const ask2 = (secret: string) =>
  clientWith(secret)
    .chat.completions.create({ model: 'fast', messages: [{ role: 'user', content: 'Hi' }] })
    .withResponse();

test('200 at once on a budget for 10: 10 are served, then 402 names the scope and the reset', async () => {
  const key = await viaduct<Key>('keys', 'create', 'spender', '--budget', '10');
  const outcomes = await Promise.allSettled(Array.from({ length: 200 }, () => ask(key.secret)));
  const served = outcomes.filter(({ status }) => status === 'fulfilled').length;
  assert.ok(served >= 10 && served <= 11, `${served} were served`);
  const error = await refusal(ask(key.secret));
  assert.equal(error.status, 402);
  assert.equal(error.code, 'insufficient_quota');
  assert.match(error.message, /monthly budget of key "spender" \(10 USD\).*begins anew at \d{4}-\d\d-01T/);
  await sleep(600);
  const lines = await viaduct<{ group: string; requests: number; cost: number }[]>(
    'usage',
    '--by',
    'key',
    '--key',
    key.id,
  );
  assert.deepEqual(
    lines.map(({ group, cost }) => [group, cost]),
    [[key.id, served]],
  );
});

test('models, privacy and addresses of a key hold', async () => {
  const key = await viaduct<Key>('keys', 'create', 'narrow', '--models', 'other');
  assert.ok([403, 404].includes((await refusal(ask(key.secret))).status ?? 0));
  const local = await viaduct<Key>('keys', 'create', 'private', '--local');
  assert.equal((await refusal(ask(local.secret))).code, 'privacy_restricted');
  const far = await viaduct<Key>('keys', 'create', 'far', '--ip', '10.0.0.0/8');
  assert.equal((await refusal(ask(far.secret))).code, 'permission_denied');
});

test('prompts are kept only where a key asks for it, without the secrets in them', async () => {
  const plain = await viaduct<Key>('keys', 'create', 'plain');
  const created = await admin('keys', { method: 'POST', body: JSON.stringify({ name: 'kept', content_days: 1 }) });
  const kept = (await created.json()) as Key;
  const contentOf = async (secret: string) => {
    const id = `req-${Math.random()}`;
    const stream = await clientWith(secret).chat.completions.create(
      { model: 'fast', messages: [{ role: 'user', content: `Hi ${secretInPrompt}` }], stream: true },
      { headers: { 'x-request-id': id } },
    );
    for await (const _chunk of stream);
    await sleep(600);
    const { contents, attempts } = (await (await admin(`requests/${id}`)).json()) as {
      contents: { request: string; answer: string }[];
      attempts: object[];
    };
    assert.equal(attempts.length, 1);
    return contents;
  };
  assert.deepEqual(await contentOf(plain.secret), []);
  const [content] = await contentOf(kept.secret);
  assert.match(content?.request ?? '', /Hi sk-\[redacted\]/);
  assert.match(content?.answer ?? '', /Hel.*lo\./s);
});

test('no secret is in the log, in the configuration as shown, or in metrics', async () => {
  const key = await viaduct<Key>('keys', 'create', 'secretive');
  await ask(key.secret);
  await sleep(200);
  const shown = await (await admin('config')).text();
  const metrics = await (
    await fetch(`${server.url}/metrics`, { headers: { authorization: `Bearer ${key.secret}` } })
  ).text();
  for (const text of [server.log(), shown, metrics])
    for (const secret of [key.secret, 'sk-upstream-0123456789abcdef', secretInPrompt])
      assert.ok(!text.includes(secret));
});

test('kill -9 of the real server while streams run: every finished one is in the ledger once', async (t: TestContext) => {
  const key = await viaduct<Key>('keys', 'create', 'killed');
  const finished: string[] = [];
  for (let round = 0; round < 4; round++) {
    let alive = true;
    const client = async (number: number) => {
      for (let n = 0; alive; n++) {
        const id = `kill-${round}-${number}-${n}`;
        const stream = await clientWith(key.secret).chat.completions.create(
          { model: 'fast', messages: [{ role: 'user', content: 'Hi' }], stream: true },
          { headers: { 'x-request-id': id } },
        );
        for await (const _chunk of stream);
        finished.push(id);
      }
    };
    const clients = Array.from({ length: 8 }, (_, number) => client(number).catch(() => {}));
    await sleep(200 + Math.random() * 400);
    server.process.kill('SIGKILL');
    await once(server.process, 'exit');
    alive = false;
    await Promise.all(clients);
    server = await start();
  }
  await server.close();
  const db = await openStore({ database: 'sqlite', home });
  await openLedger(db, join(home, 'ledger'), (error) => assert.fail(String(error))).then((ledger) => ledger.close());
  const rows = await db.selectFrom('ledger').select(['request_id', 'id']).where('key_id', '=', key.id).execute();
  const [sums] = await ledgerStore(db).usage({ by: 'key', keyId: key.id });
  await db.destroy();
  server = await start();
  const seen = new Map<string, number>();
  for (const { request_id } of rows) seen.set(request_id, (seen.get(request_id) ?? 0) + 1);
  assert.deepEqual(
    finished.filter((id) => seen.get(id) !== 1),
    [],
  );
  assert.equal(sums?.attempts, rows.length);
  assert.ok(finished.length > 20, `only ${finished.length} finished`);
  t.diagnostic(`${finished.length} finished`);
});

test('a bind beyond loopback without a key does not start, and says the two commands', async () => {
  const empty = mkdtempSync(join(tmpdir(), 'viaduct-e2e-open-'));
  const outcome = await startTestServer({ home: empty, env: { VIADUCT_HOST: '0.0.0.0:0' } }).then(
    async (open) => {
      await open.close();
      return 'it started';
    },
    (error: Error) => error.message,
  );
  rmSync(empty, { recursive: true, force: true });
  assert.match(outcome, /ended with 1/);
  assert.match(outcome, /viaduct keys create/);
  assert.match(outcome, /VIADUCT_HOST=127\.0\.0\.1 viaduct serve/);
});
