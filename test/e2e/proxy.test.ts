/**
 * Hosted providers through the proxy that the environment names: a real one, with CONNECT for https and whole addresses
 * for http.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { createServer, type Server as HttpServer, request as httpRequest } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { makeCertificate } from '../support/certificate.ts';
import { type RecordedUpstream, startRecordedUpstream } from '../support/recorded-upstream.ts';
import { makeHome, startTestServer, type TestServer } from '../support/server.ts';

const fixtures = join(import.meta.dirname, '__fixtures__');
const recordings = ['chat-basic.0.44054c.json', 'sse-chat-streaming.0.8b530e.json'].map((file) => join(fixtures, file));

let home: string;
let upstream: RecordedUpstream;
let secure: HttpServer;
let proxy: HttpServer;
let server: TestServer;
/** What the proxy was asked for: `CONNECT host:port`, `POST http://host/path`. */
let asked: string[] = [];
let authorizations: (string | undefined)[] = [];

const portOf = (listening: HttpServer) => (listening.address() as AddressInfo).port;
const listen = (listening: HttpServer) => new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));

before(async () => {
  home = await makeHome();
  const { key, cert } = makeCertificate(home, 'secure.example', 'outside.example');
  upstream = await startRecordedUpstream(recordings);
  const onward = (url = '') => `${upstream.origin}${url}`;
  secure = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    const { method, headers } = request;
    const forwarded = httpRequest(onward(request.url), { method, headers }, (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
    });
    request.pipe(forwarded);
  });
  new WebSocketServer({ server: secure }).on('connection', (socket) =>
    socket.on('message', (data) => socket.send(data)),
  );
  await listen(secure);
  proxy = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    authorizations.push(request.headers['proxy-authorization']);
    const { pathname } = new URL(request.url ?? '');
    const forwarded = httpRequest(onward(pathname), { method: request.method, headers: request.headers }, (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(response);
    });
    request.pipe(forwarded);
  });
  proxy.on('connect', (request, socket, head) => {
    asked.push(`CONNECT ${request.url}`);
    authorizations.push(request.headers['proxy-authorization']);
    const tunnel = connect(portOf(secure), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) tunnel.write(head);
      tunnel.pipe(socket).pipe(tunnel);
    });
    tunnel.on('error', () => socket.destroy());
    socket.on('error', () => tunnel.destroy());
  });
  await listen(proxy);
  const address = `http://user:pass@127.0.0.1:${portOf(proxy)}`;
  server = await startTestServer({
    home,
    config: `
providers:
  secure: { kind: openai, base_url: "https://secure.example/v1", api_key: x }
  plain: { kind: openai, base_url: "http://plain.example/v1", api_key: x }
  near: { kind: openai, base_url: "${upstream.origin}/v1", api_key: x }
  excepted: { kind: openai, base_url: "http://inside.excepted.example/v1", api_key: x, connect_timeout: 2 }
`,
    env: { HTTPS_PROXY: address, HTTP_PROXY: address, NO_PROXY: '.excepted.example', NODE_EXTRA_CA_CERTS: cert },
  });
});
after(async () => {
  await server?.close();
  for (const listening of [secure, proxy]) {
    listening?.close();
    listening?.closeAllConnections();
  }
  await upstream?.close();
  rmSync(home, { recursive: true, force: true });
});
beforeEach(() => {
  asked = [];
  authorizations = [];
});

const ask = (provider: string, stream = false) =>
  fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: `${provider}/gpt-5-nano`, stream, messages: [{ role: 'user', content: 'Hi' }] }),
  });

test('https goes through a tunnel, whole and streamed, with the proxy’s own password', async () => {
  assert.equal((await ask('secure')).status, 200);
  const stream = await (await ask('secure', true)).text();
  assert.match(stream, /\[DONE\]/);
  assert.ok(asked.length >= 1 && asked.every((line) => line === 'CONNECT secure.example:443'), asked.join());
  assert.equal(authorizations[0], `Basic ${Buffer.from('user:pass').toString('base64')}`);
  // The upstream hears nothing of it.
  for (const { headers } of upstream.seen) assert.equal(headers['proxy-authorization'], undefined);
});

test('http is asked of the proxy by its whole address', async () => {
  const reply = await ask('plain');
  assert.equal(reply.status, 200, await reply.text());
  assert.deepEqual(asked, ['POST http://plain.example/v1/chat/completions']);
});

test('a WebSocket of the provider’s own API goes through the tunnel', async () => {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/providers/secure/v1/realtime`);
  const said = await new Promise<string>((resolve, reject) => {
    socket.on('open', () => socket.send('hello'));
    socket.on('message', (data) => resolve(String(data)));
    socket.on('error', reject);
  });
  socket.close();
  assert.equal(said, 'hello');
});

test('this machine and what NO_PROXY names are asked directly', async () => {
  assert.equal((await ask('near')).status, 200);
  // There is no such host, which is all that can be seen of asking it directly.
  assert.equal((await ask('excepted')).status, 502);
  assert.deepEqual(asked, []);
});
