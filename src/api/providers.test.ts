/** The pass-through, against a real server of a provider's shape on loopback. */
import assert from 'node:assert/strict';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { ViaductError } from '../core/errors.ts';
import { createGateway, type LedgerEntry } from '../gateway/gateway.ts';
import { openai } from '../providers/openai.ts';
import { createApp } from './app.ts';
import type { Services } from './define.ts';
import { attachNativeWebSocket } from './providers/websocket.ts';

type Seen = { method: string; url: string; headers: IncomingMessage['headers']; body: string };
const seen: Seen[] = [];
let ledger: LedgerEntry[] = [];
/** Calls that are still let in, and those that were billed. */
let turnsLeft = 0;
let settled = 0;
let url: string;
let close: () => Promise<void>;

before(async () => {
  const upstream = createServer(async (request, response) => {
    const { method = '', url: path = '', headers } = request;
    if (path === '/v1/slow') {
      response.write('data: 1\n\n');
      return;
    }
    seen.push({ method, url: path, headers, body: await text(request) });
    response.writeHead(path.includes('missing') ? 404 : 200, {
      'content-type': 'application/json',
      'x-provider': 'yes',
      'set-cookie': 'a=b',
    });
    response.write('{"id":"file-1",');
    await sleep(5);
    response.end('"usage":{"prompt_tokens":4,"completion_tokens":2}}');
  });
  const sockets = new WebSocketServer({ server: upstream, path: '/v1/realtime' });
  sockets.on('connection', (socket, request) => {
    socket.send(JSON.stringify({ auth: request.headers.authorization }));
    socket.on('message', (data) => {
      const usage = { input_tokens: 10, output_tokens: 5 };
      if (String(data) === 'speak') socket.send(JSON.stringify({ type: 'response.done', response: { usage } }));
      else socket.send(`echo ${data}`);
    });
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const base_url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`;
  const provider = openai.create('openai', openai.config.parse({ base_url, api_key: 'sk-provider' }));
  const gateway = createGateway({
    providers: new Map([['openai', provider]]),
    authenticate: ({ secret }) => ({
      owner: 'me',
      admin: false,
      keyId: secret ?? 'none',
      ...(secret === 'vd-private' && { privacy: 'local' as const }),
    }),
    admit: () => {
      if (turnsLeft-- <= 0) throw new ViaductError('insufficient_quota', 'The budget “month” is spent.');
      return { headers: {}, settle: () => settled++, release() {} };
    },
    account(entry) {
      ledger.push(entry);
      return undefined;
    },
  });
  const services = { gateway, now: Date.now } as Services;
  const app = createApp(services);
  attachNativeWebSocket(app.server, services);
  await app.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  close = async () => {
    app.server.closeAllConnections();
    await app.close();
    sockets.close();
    upstream.closeAllConnections();
    upstream.close();
  };
});
after(() => close());
beforeEach(() => {
  seen.length = 0;
  ledger = [];
  turnsLeft = 1000;
  settled = 0;
});

const authorization = 'Bearer vd-client';

for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])
  test(`${method}: our key goes, the provider’s comes, the rest is untouched`, async () => {
    const response = await fetch(`${url}/providers/openai/v1/files?a=1&key=vd-x&b=2`, {
      method,
      headers: { authorization, 'openai-beta': 'x', 'x-viaduct-tags': 't' },
      ...(method !== 'GET' && { body: 'raw \u0000 bytes' }),
    });
    assert.equal(await response.text(), '{"id":"file-1","usage":{"prompt_tokens":4,"completion_tokens":2}}');
    assert.equal(response.headers.get('x-provider'), 'yes');
    assert.equal(response.headers.get('set-cookie'), null);
    assert.equal(response.headers.get('x-viaduct-provider'), 'openai');
    const [request] = seen;
    assert.equal(request?.method, method);
    assert.equal(request?.url, '/v1/files?a=1&b=2');
    assert.equal(request?.headers.authorization, 'Bearer sk-provider');
    assert.equal(request?.headers['openai-beta'], 'x');
    assert.equal(request?.headers['x-viaduct-tags'], undefined);
    assert.equal(request?.body, method === 'GET' ? '' : 'raw \u0000 bytes');
  });

test('the ledger has who, what and how much', async () => {
  await (await fetch(`${url}/providers/openai/files`, { headers: { authorization } })).text();
  assert.equal(seen[0]?.url, '/v1/files');
  // What is only looked up costs nothing.
  assert.deepEqual(ledger.pop()?.usage, { input: 0, output: 0 });
  await (
    await fetch(`${url}/providers/openai/files`, { method: 'POST', headers: { authorization }, body: '{}' })
  ).text();
  const [entry] = ledger;
  assert.deepEqual(
    [entry?.keyId, entry?.provider, entry?.status, entry?.usage],
    ['vd-client', 'openai', 'ok', { input: 4, output: 2 }],
  );
});

test('a large upload streams through', async () => {
  const body = Buffer.alloc(40 * 2 ** 20, 'x');
  const response = await fetch(`${url}/providers/openai/v1/files`, {
    method: 'POST',
    body,
    headers: { authorization },
  });
  assert.equal(response.status, 200);
  assert.equal(seen[0]?.body.length, body.length);
});

test('whatever status comes back is the answer', async () => {
  assert.equal((await fetch(`${url}/providers/openai/v1/missing`)).status, 404);
});

test('an unknown provider, and a key that must stay on this machine', async () => {
  assert.equal((await fetch(`${url}/providers/nobody/v1/x`)).status, 404);
  const response = await fetch(`${url}/providers/openai/v1/files`, { headers: { authorization: 'Bearer vd-private' } });
  assert.equal(response.status, 403);
  assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'privacy_restricted');
  assert.equal(seen.length, 0);
});

test('a WebSocket goes through both ways, with the provider’s key', async () => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/providers/openai/v1/realtime?model=x`, {
    headers: { authorization },
  });
  const messages: string[] = [];
  socket.on('message', (data) => {
    messages.push(String(data));
    if (messages.length === 1) socket.send('hello');
    else socket.close();
  });
  await new Promise((resolve, reject) => {
    socket.on('close', resolve);
    socket.on('error', reject);
  });
  assert.deepEqual(messages, ['{"auth":"Bearer sk-provider"}', 'echo hello']);
  for (let waited = 0; ledger.length === 0 && waited < 2000; waited += 10) await sleep(10);
  assert.equal(ledger[0]?.status, 'ok');
});

test('answers of a WebSocket are billed one by one, and a spent budget ends it with why', async () => {
  turnsLeft = 2;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/providers/openai/v1/realtime?model=gpt-realtime`, {
    headers: { authorization },
  });
  const messages: string[] = [];
  socket.on('message', (data) => {
    messages.push(String(data));
    socket.send('speak');
  });
  const [code, reason] = await new Promise<[number, Buffer]>((resolve, reject) => {
    socket.on('close', (...how) => resolve(how));
    socket.on('error', reject);
  });
  assert.deepEqual([code, String(reason)], [1008, 'insufficient_quota: The budget “month” is spent.']);
  // The greeting and two answers, each of them whole.
  assert.equal(messages.length, 3);
  assert.deepEqual(
    ledger.map(({ targetModel, usage, status }) => [targetModel, usage, status]),
    [
      ['gpt-realtime', { input: 10, output: 5 }, 'ok'],
      ['gpt-realtime', { input: 10, output: 5 }, 'ok'],
    ],
  );
  assert.equal(settled, 2);
});

test('no path leads out of the provider’s API, however it is written', async () => {
  const { port } = new URL(url);
  const status = (path: string) =>
    new Promise<string>((resolve) => {
      const socket = connect(Number(port), '127.0.0.1', () =>
        socket.write(
          `GET ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: ${authorization}\r\nconnection: close\r\n\r\n`,
        ),
      );
      let said = '';
      socket.on('data', (chunk) => {
        said += chunk;
      });
      socket.on('close', () => resolve(said.slice(9, 12)));
    });
  for (const path of [
    '/../../secret',
    '/%2e%2e/secret',
    '/v1/..%2fsecret',
    '/x/..\\secret',
    '/%252E%252e/secret',
    '/./files',
  ])
    assert.equal(await status(`/providers/openai${path}`), '400', path);
  assert.equal(seen.length, 0);
  for (const path of ['/a..b/files', '/files?x=/../y', '/Qwen%2FQwen3'])
    assert.equal(await status(`/providers/openai${path}`), '200', path);
  await status('/providers/openai/secret/v1/files');
  assert.equal(seen.at(-1)?.url, '/v1/secret/v1/files');
  await status('/providers/openai/upload/v1/files');
  assert.equal(seen.at(-1)?.url, '/upload/v1/files');
});
