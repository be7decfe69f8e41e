/**
 * A running server whose configuration, certificate and surroundings change: no stream is dropped, /readyz says what is
 * missing.
 */
import assert from 'node:assert/strict';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { makeCertificate } from '../support/certificate.ts';
import { startRecordedUpstream } from '../support/recorded-upstream.ts';
import { makeHome, startTestServer, type TestServer } from '../support/server.ts';
import { startWebhook } from '../support/webhook.ts';

const fixtures = join(import.meta.dirname, '__fixtures__');

async function start(t: TestContext, config: (origin: string) => string, env: Record<string, string> = {}) {
  const upstream = await startRecordedUpstream(
    ['chat-basic.0.44054c.json', 'sse-chat-streaming.0.8b530e.json'].map((file) => join(fixtures, file)),
  );
  const home = await makeHome();
  const server = await startTestServer({ home, config: config(upstream.origin), env });
  t.after(async () => {
    await server.close();
    await upstream.close();
    rmSync(home, { recursive: true, force: true });
  });
  return { server, upstream, home };
}

const models = (origin: string) => `
providers: { openai: { base_url: "${origin}/v1", api_key: x } }
models: { fast: { targets: [openai/gpt-5-nano], retries: 0 } }
`;

const ask = ({ url }: TestServer, more: { stream?: boolean; headers?: Record<string, string> } = {}) =>
  fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...more.headers },
    body: JSON.stringify({ model: 'fast', messages: [{ role: 'user', content: 'Hi' }], stream: more.stream ?? false }),
  });

async function until(condition: () => boolean | Promise<boolean>, what: string) {
  for (let tries = 0; tries < 200; tries++) {
    if (await condition()) return;
    await sleep(50);
  }
  assert.fail(what);
}

const countOf = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;

async function rewrite(server: TestServer, home: string, config: string) {
  const before = countOf(server.log(), /read again/g);
  writeFileSync(join(home, 'viaduct.yaml'), config);
  await until(() => countOf(server.log(), /read again/g) > before, `not read again:\n${server.log()}`);
}

describe('a changed viaduct.yaml', () => {
  test('limits, prices, origins, keys needed and the log’s level at once; a stream goes on; the rest is named', async (t) => {
    const { server, upstream, home } = await start(t, models, { VIADUCT_ADMIN_KEY: 'the-administrator' });
    const page = { origin: 'https://app.example' };
    assert.equal((await ask(server, { headers: page })).status, 403);
    const cheap = await ask(server);
    assert.equal(cheap.status, 200);
    assert.equal(cheap.headers.get('x-ratelimit-limit-requests'), null);

    upstream.pace = 100;
    const running = await ask(server, { stream: true });
    await rewrite(
      server,
      home,
      `${models(upstream.origin)}
server: { origins: ["https://app.example"], trusted_proxies: [10.0.0.1] }
database: postgres://localhost/elsewhere
engine: { keep_alive: 1h }
limits: { models: { fast: { rpm: 2 } } }
prices: { openai/gpt-5-nano: { input: 1000000, output: 0 } }
`,
    );
    const stream = await running.text();
    assert.match(stream, /\[DONE\]/);
    assert.doesNotMatch(stream, /"error"/);
    upstream.pace = 0;
    const dear = await ask(server, { headers: page });
    assert.equal(dear.status, 200);
    assert.equal(dear.headers.get('access-control-allow-origin'), page.origin);
    assert.equal(dear.headers.get('x-ratelimit-limit-requests'), '2');
    assert.ok(Number(dear.headers.get('x-viaduct-cost')) >= 1, String(dear.headers.get('x-viaduct-cost')));
    await ask(server);
    assert.equal((await ask(server)).status, 429);
    assert.match(server.log(), /"settings":\["server\.trusted_proxies","database"\]/);

    await rewrite(server, home, `${models(upstream.origin)}auth: { mode: required }\nlog: { level: warn }\n`);
    assert.equal((await ask(server)).status, 401);
    const admin = { authorization: 'Bearer the-administrator' };
    const free = await ask(server, { headers: admin });
    assert.equal(free.status, 200);
    assert.equal(free.headers.get('x-ratelimit-limit-requests'), null);
    assert.equal((await ask(server, { headers: page })).status, 403);

    // A bad file changes nothing and says why.
    writeFileSync(join(home, 'viaduct.yaml'), `${models(upstream.origin)}auth: { mode: maybe }\n`);
    await until(() => /viaduct\.yaml:\d+: auth\.mode/.test(server.log()), server.log());
    assert.equal((await ask(server)).status, 401);
  });

  test('the webhook of the configuration hears of every budget, nearly and wholly spent', async (t) => {
    const hook = await startWebhook<{ event: string; scope: string }>(t);
    const prices = 'prices: { openai/gpt-5-nano: { input: 1000000, output: 0 } }\n';
    const { server, upstream, home } = await start(t, (origin) => models(origin) + prices, {
      VIADUCT_ADMIN_KEY: 'root',
    });
    const headers = { authorization: 'Bearer root' };
    const one = Number((await ask(server)).headers.get('x-viaduct-cost'));
    const budget = { scope: 'total', amount: one * 2.1, period: 'day', soft: true };
    const made = await fetch(`${server.url}/admin/budgets`, { method: 'POST', headers, body: JSON.stringify(budget) });
    assert.equal(made.status, 201);
    await rewrite(server, home, `${models(upstream.origin)}${prices}alerts: { webhook: "${hook.url}" }\n`);
    await ask(server);
    await until(() => hook.events.length === 1, 'nobody was told that the budget is nearly spent');
    await ask(server);
    await until(() => hook.events.length === 2, 'nobody was told that the budget is spent');
    assert.deepEqual(
      hook.events.map(({ event, scope }) => [event, scope]),
      [
        ['budget.nearly_spent', 'total'],
        ['budget.exhausted', 'total'],
      ],
    );
  });
});

test('a viaduct.yaml that comes after the start is read; the engine keeps to it', async (t) => {
  const home = await makeHome(['smollm2:135m']);
  const server = await startTestServer({ home });
  t.after(async () => {
    await server.close();
    rmSync(home, { recursive: true, force: true });
  });
  const generate = async () => {
    const body = JSON.stringify({ model: 'smollm2:135m', prompt: 'Hi', stream: false, options: { num_predict: 1 } });
    assert.equal((await fetch(`${server.url}/api/generate`, { method: 'POST', body })).status, 200);
    const loaded = (await (await fetch(`${server.url}/api/ps`)).json()) as {
      models: { expires_at: string; context_length: number }[];
    };
    const [model] = loaded.models;
    assert.ok(model);
    return { minutes: Math.round((Date.parse(model.expires_at) - Date.now()) / 60_000), context: model.context_length };
  };
  assert.equal((await generate()).minutes, 5);
  await rewrite(server, home, 'engine: { keep_alive: 1h, context: 512 }\n');
  assert.deepEqual(await generate(), { minutes: 60, context: 512 });
  assert.doesNotMatch(server.log(), /at the next start/);
});

test('a renewed certificate is served from the next connection on; one that is broken is not', async (t) => {
  const home = await makeHome();
  t.after(() => rmSync(home, { recursive: true, force: true }));
  makeCertificate(home, 'first.example');
  const server = await startTestServer({ home, config: 'server: { tls: { cert: cert.pem, key: key.pem } }\n' });
  t.after(() => server.close());
  const nameOf = () =>
    new Promise<string>((resolve, reject) => {
      const agent = new Agent({ keepAlive: false });
      httpsRequest(`${server.url}/healthz`, { rejectUnauthorized: false, agent }, (reply) => {
        const { CN } = (reply.socket as TLSSocket).getPeerCertificate().subject;
        reply.resume().on('end', () => resolve(String(CN)));
      })
        .on('error', reject)
        .end();
    });
  assert.equal(await nameOf(), 'first.example');
  makeCertificate(home, 'second.example');
  await until(async () => (await nameOf()) === 'second.example', `still the first certificate:\n${server.log()}`);
  writeFileSync(join(home, 'cert.pem'), 'broken');
  await until(() => /The new certificate cannot be used/.test(server.log()), server.log());
  assert.equal(await nameOf(), 'second.example');
});

describe('readiness', () => {
  test('a ledger that cannot be written is 503 and named; it comes back by itself', async (t) => {
    const { server, home } = await start(t, models);
    const ready = async () => {
      const response = await fetch(`${server.url}/readyz`);
      return { status: response.status, body: (await response.json()) as { status: string; missing?: string[] } };
    };
    assert.deepEqual(await ready(), { status: 200, body: { status: 'ready' } });
    renameSync(join(home, 'ledger'), join(home, 'away'));
    await until(async () => (await ready()).status === 503, 'it says that it is ready');
    assert.deepEqual((await ready()).body, { status: 'unready', missing: ['ledger file not writable'] });
    renameSync(join(home, 'away'), join(home, 'ledger'));
    await until(async () => (await ready()).status === 200, 'it never recovered');
  });

  test('while it drains, a connection that is open hears so', async (t) => {
    const { server, upstream } = await start(t, models);
    upstream.pace = 8;
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    t.after(() => socket.destroy());
    let said = '';
    socket.on('data', (chunk) => {
      said += chunk;
    });
    const body = JSON.stringify({ model: 'fast', stream: true, messages: [{ role: 'user', content: 'Hi' }] });
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => said.includes('data: '), 'no stream');
    server.process.kill('SIGTERM');
    await until(() => /finishing what is running/.test(server.log()), 'it does not drain');
    socket.write('GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await until(() => said.includes('"missing"'), `no answer: ${said.slice(-2000)}`);
    assert.match(said, /\[DONE\][\s\S]*HTTP\/1\.1 503 [\s\S]*"missing":\["draining"\]/);
  });
});
