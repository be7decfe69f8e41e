/** What users of OpenRouter, LiteLLM and the providers’ own SDKs are used to, on a real server. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';

import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { viaduct, viaductJson } from '../support/command.ts';
import { makeHome, startTestServer, type TestServer } from '../support/server.ts';

const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
const answer = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: 'gpt-5',
  choices: [
    {
      index: 0,
      message: { role: 'assistant', content: 'Hello', refusal: null },
      logprobs: null,
      finish_reason: 'stop',
    },
  ],
  usage,
};

let upstream: Server;
const seen: { method?: string | undefined; url?: string | undefined; headers: IncomingHttpHeaders; body?: object }[] =
  [];
let home: string;
let server: TestServer;
type Key = { id: string; secret: string };
let key: Key;

before(async () => {
  upstream = createServer(async (request, response) => {
    const { method, url, headers } = request;
    const body = await text(request);
    seen.push({ method, url, headers, ...(body.startsWith('{') && { body: JSON.parse(body) as object }) });
    if (body.includes('"silent"')) return;
    if (body.includes('"broken"')) return void response.writeHead(500).end('{}');
    response.setHeader('openai-organization', 'org-of-the-account');
    response.setHeader('content-type', 'application/json').end(JSON.stringify(answer));
  });
  new WebSocketServer({ server: upstream, handleProtocols: () => 'realtime' }).on('connection', (socket, request) => {
    seen.push({ url: request.url, headers: request.headers });
    socket.on('message', (data) => socket.send(String(data)));
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  home = await makeHome();
  server = await startTestServer({
    home,
    config: `
providers: { up: { kind: openai-compatible, base_url: "http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1", api_key: provider-key } }
prices: { up/gpt-5: { input: 100000, output: 0 } }
models: { bad: { targets: [up/broken], retries: 0 }, good: [up/fine] }
`,
    env: { VIADUCT_ADMIN_KEY: 'root' },
  });
  key = await makeKey('habits');
});
after(async () => {
  await server?.close();
  upstream?.close();
  upstream?.closeAllConnections();
  rmSync(home, { recursive: true, force: true });
});

const owner = () => ({ home, url: server.url });
const makeKey = (name: string, ...options: string[]) => viaductJson<Key>(['keys', 'create', name, ...options], owner());
const post = (path: string, body: object, headers: Record<string, string> = {}) =>
  fetch(server.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${key.secret}`, ...headers },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], ...body }),
    signal: AbortSignal.timeout(20_000),
  });

test('OpenRouter: a list of models and no model; the next one answers', async () => {
  const reply = await post('/v1/chat/completions', { models: ['bad', 'good'] });
  assert.equal(reply.status, 200);
  assert.equal(reply.headers.get('x-viaduct-model'), 'fine');
  const own = { usage: { include: true }, route: 'fallback', provider: { sort: 'price' }, models: ['good'] };
  await post('/v1/chat/completions', { model: 'good', ...own });
  assert.deepEqual(Object.keys(seen.at(-1)?.body ?? {}).sort(), ['messages', 'model']);
});

test('x-viaduct-timeout takes seconds and durations', async () => {
  for (const timeout of ['0.3', '300ms'])
    assert.equal(
      (await post('/v1/chat/completions', { model: 'up/silent' }, { 'x-viaduct-timeout': timeout })).status,
      504,
    );
});

test('a key comes in every header there is, with or without its scheme', async () => {
  const { secret } = key;
  const ways: Record<string, string>[] = [
    { authorization: `bearer ${secret}` },
    { authorization: secret },
    { authorization: '', 'x-api-key': secret },
    { authorization: '', 'api-key': secret },
    { authorization: '', 'x-goog-api-key': secret },
  ];
  for (const way of ways) assert.equal((await post('/v1/chat/completions', { model: 'good' }, way)).status, 200);
  assert.equal((await post('/v1/chat/completions', { model: 'good' }, { authorization: 'Basic abc' })).status, 401);
});

test('in the address at a provider’s own API only, and it goes no further', async () => {
  const native = await fetch(`${server.url}/providers/up/v1/models?key=${key.secret}&a=1`);
  assert.equal(native.status, 200);
  assert.equal(seen.at(-1)?.url, '/v1/models?a=1');
  assert.equal(native.headers.get('openai-organization'), null);
  assert.equal((await fetch(`${server.url}/v1/models?key=${key.secret}`)).status, 401);
});

test('among a WebSocket’s protocols, as pages bring it', async () => {
  const address = `${server.url.replace('http', 'ws')}/providers/up/v1/realtime`;
  const socket = new WebSocket(address, [
    'realtime',
    `openai-insecure-api-key.${key.secret}`,
    'openai-beta.realtime-v1',
  ]);
  const said = await new Promise<string>((resolve, reject) => {
    socket.on('open', () => socket.send('hello'));
    socket.on('message', (data) => resolve(String(data)));
    socket.on('error', reject);
  });
  assert.equal(said, 'hello');
  socket.close();
  const { headers } = seen.at(-1) ?? { headers: {} };
  assert.equal(headers.authorization, 'Bearer provider-key');
  assert.doesNotMatch(JSON.stringify(headers), /insecure-api-key|vd-/);
  assert.match(String(headers['sec-websocket-protocol']), /realtime, ?openai-beta/);
});

test('a provider’s own API is on the bill and under the budget', async () => {
  const poor = await makeKey('poor', '--budget', '1', '--period', 'day');
  const ask = () =>
    post('/providers/up/v1/chat/completions', { model: 'gpt-5' }, { authorization: `Bearer ${poor.secret}` });
  assert.equal((await ask()).status, 200);
  const refused = await ask();
  assert.equal(refused.status, 402);
  assert.match(await refused.text(), /daily budget of key \\"poor\\" \(1 USD\)/);
  type Line = { name: string; cost: number };
  let line: Line | undefined;
  for (let tries = 0; tries < 50 && !line; tries++) {
    await sleep(100);
    line = (await viaductJson<Line[]>(['usage', '--by', 'key'], owner())).find(({ name }) => name === 'poor');
  }
  assert.equal(line?.cost, 1);
});

test('what a WebSocket of a provider’s own API uses is on the bill, answer by answer', async () => {
  const { secret } = await makeKey('realtime');
  const address = `${server.url.replace('http', 'ws')}/providers/up/v1/realtime?model=gpt-5`;
  const socket = new WebSocket(address, { headers: { authorization: `Bearer ${secret}` } });
  await new Promise<void>((resolve, reject) => {
    let answers = 0;
    socket.on('open', () => {
      const event = {
        type: 'response.done',
        response: { usage: { total_tokens: 15, input_tokens: 10, output_tokens: 5 } },
      };
      for (let n = 0; n < 2; n++) socket.send(JSON.stringify(event));
    });
    socket.on('message', () => ++answers === 2 && resolve());
    socket.on('error', reject);
  });
  socket.close();
  type Line = { name: string; cost: number; input_tokens: number };
  let line: Line | undefined;
  for (let tries = 0; tries < 50 && !line; tries++) {
    await sleep(100);
    line = (await viaductJson<Line[]>(['usage', '--by', 'key'], owner())).find(({ name }) => name === 'realtime');
  }
  assert.deepEqual([line?.input_tokens, line?.cost], [20, 2]);
});

test('durations of keys in seconds too; none that is over already', async () => {
  const short = await makeKey('short', '--expires', '1s');
  const turned = await makeKey('turned');
  await viaductJson(['keys', 'rotate', turned.id, '--overlap', '1s'], owner());
  await sleep(1100);
  for (const { secret } of [short, turned])
    assert.equal(
      (await post('/v1/chat/completions', { model: 'good' }, { authorization: `Bearer ${secret}` })).status,
      401,
    );
  const over = await viaduct(['keys', 'create', 'over', '--expires', '2020-01-01'], owner());
  assert.notEqual(over.code, 0);
  assert.match(over.stderr, /expires_at: 2020-01-01 is over already/);
});

test('IPv4 ranges may be written as IPv6', async () => {
  for (const [range, status] of [
    ['::ffff:127.0.0.0/104', 200],
    ['::ffff:10.0.0.1', 403],
  ] as const) {
    const { secret } = await makeKey(range, '--ip', range);
    const reply = await post('/v1/chat/completions', { model: 'good' }, { authorization: `Bearer ${secret}` });
    assert.equal(reply.status, status, range);
  }
});

test('commands find the server of the same home wherever it listens, unless they are told another', async () => {
  const env = { VIADUCT_HOST: '', OLLAMA_HOST: '' };
  const found = await viaductJson<Key[]>(['keys', 'list'], { home, env });
  const answered = await viaduct(['ps'], { home, env });
  assert.equal(answered.code, 0, answered.stderr);
  assert.ok(found.some(({ id }) => id === key.id));
  assert.equal(readFileSync(join(home, 'server.url'), 'utf8'), server.url);
});

test('a wrong word in the privacy header keeps the prompt here all the same', async () => {
  for (const word of ['local', 'LOCAL', 'yes'])
    assert.equal((await post('/v1/chat/completions', { model: 'good' }, { 'x-viaduct-privacy': word })).status, 403);
});

test('a path below another base says which was meant', async () => {
  for (const path of ['/chat/completions', '/api/v1/chat/completions', '/openai/deployments/good/chat/completions']) {
    const reply = await post(path, { model: 'good' });
    assert.equal(reply.status, 404);
    assert.match(await reply.text(), /Did you mean \/v1\/chat\/completions\?/);
  }
  assert.doesNotMatch(await (await post('/nothing/here', {})).text(), /Did you mean/);
});
