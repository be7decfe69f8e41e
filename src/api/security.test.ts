import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { Agent, request } from 'undici';
import { WebSocket, WebSocketServer } from 'ws';
import { makeCertificate } from '../../test/support/certificate.ts';
import { ViaductError } from '../core/errors.ts';
import { createApp } from './app.ts';
import type { FrontDoor, Services } from './define.ts';
import { hostRules, originRules } from './origins.ts';
import { localOnly, refuseOpenBind, type SecurityOptions } from './security.ts';

const door: FrontDoor = {
  endpoints: [
    { method: 'GET', path: '/open', access: 'public', handle: async ({ reply }) => reply.send({ ok: true }) },
    {
      method: 'POST',
      path: '/open',
      access: 'public',
      handle: async ({ request, reply }) => reply.send({ got: request.body, ip: request.ip }),
    },
    { method: 'POST', path: '/closed', handle: async ({ reply }) => reply.send({ ok: true }) },
  ],
  encodeError: ({ message, code }) => ({ error: { message, code } }),
};
// Only `enter` is asked of it here.
const services = {
  gateway: {
    async enter() {
      throw new ViaductError('invalid_api_key', 'No key.');
    },
  },
} as unknown as Services;

async function start(t: TestContext, options: Partial<SecurityOptions> = {}) {
  const app = createApp(services, [door], { ...localOnly, ...options });
  await app.listen({ host: '127.0.0.1', port: 0 });
  t.after(() => app.close());
  const { port } = app.server.address() as AddressInfo;
  const ask = async (headers: Record<string, string>, method: 'GET' | 'POST' | 'OPTIONS' = 'GET', path = '/open') => {
    const reply = await request(`http://127.0.0.1:${port}${path}`, { method, headers });
    return { status: reply.statusCode, headers: reply.headers, text: await reply.body.text() };
  };
  return { app, port, ask };
}

test('a name that was made to point here (DNS rebinding) is refused, also for paths that are not there', async (t) => {
  const { ask, port } = await start(t, { hosts: ['ai.example.org'] });
  for (const host of [
    'localhost',
    `localhost:${port}`,
    '127.0.0.1',
    '[::1]:11434',
    '192.168.1.5:11434',
    'AI.example.org',
    'app.localhost',
    'host.docker.internal',
  ])
    assert.equal((await ask({ host })).status, 200, host);
  for (const host of [
    'evil.example',
    'localhost.evil.example',
    'ai.example.org.evil.example',
    '127.0.0.1.evil.example',
    '127-0-0-1.nip.io',
  ]) {
    const refused = await ask({ host });
    assert.equal(refused.status, 403, host);
    assert.match(refused.text, /server\.hosts/);
    assert.equal((await ask({ host }, 'GET', '/nothing')).status, 403);
  }
});

test('pages of this machine may call, others may not, and no answer has a star', async (t) => {
  const { ask, port } = await start(t, { origins: ['https://app.example.org', 'https://*.corp.example'] });
  for (const origin of [
    'http://localhost',
    'http://localhost:3000',
    'https://127.0.0.1:8443',
    'http://[::1]:5173',
    'app://obsidian.md',
    'tauri://localhost',
    'vscode-webview://abc',
    'https://app.example.org',
    'https://a.corp.example',
    `http://127.0.0.1:${port}`,
  ]) {
    const { status, headers } = await ask({ origin });
    assert.equal(status, 200, origin);
    assert.equal(headers['access-control-allow-origin'], origin);
    assert.equal(headers['vary'], 'Origin');
  }
  for (const origin of [
    'https://evil.example',
    'null',
    'http://localhost.evil.example',
    'https://app.example.org.evil.example',
    'http://app.example.org',
    'https://evil.example/.corp.example',
  ]) {
    // As a form or a script without permission would send it: no preflight comes before it.
    const refused = await ask({ origin, 'content-type': 'text/plain' }, 'POST');
    assert.equal(refused.status, 403, origin);
    assert.equal(refused.headers['access-control-allow-origin'], undefined);
  }
});

test('a preflight of a good page is answered for any path, of a bad one refused', async (t) => {
  const { ask } = await start(t);
  const preflight = {
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization, content-type, x-stainless-os',
  };
  const good = await ask({ origin: 'http://localhost:3000', ...preflight }, 'OPTIONS', '/closed');
  assert.equal(good.status, 204);
  assert.equal(good.headers['access-control-allow-headers'], preflight['access-control-request-headers']);
  assert.match(String(good.headers['access-control-allow-methods']), /DELETE/);
  assert.equal(good.headers['access-control-allow-credentials'], undefined);
  assert.equal((await ask({ origin: 'https://evil.example', ...preflight }, 'OPTIONS', '/closed')).status, 403);
});

test('a zero byte in the address is refused', async (t) => {
  const { ask } = await start(t);
  for (const path of ['/open/%00', '/open?name=a%00b']) assert.equal((await ask({}, 'GET', path)).status, 400);
});

test('WebSocket upgrades pass the same checks', async (t) => {
  const { app, port } = await start(t);
  const sockets = new WebSocketServer({ noServer: true });
  app.server.on('upgrade', (upgrade, socket, head) => {
    if (upgrade.url === '/socket') sockets.handleUpgrade(upgrade, socket, head, (open) => open.send('hello'));
  });
  const open = (headers: Record<string, string>) =>
    new Promise<string>((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/socket`, { headers });
      socket.on('message', (data) => {
        resolve(String(data));
        socket.terminate();
      });
      socket.on('error', (error) => resolve(error.message));
    });
  assert.equal(await open({}), 'hello');
  assert.equal(await open({ origin: 'http://localhost:3000' }), 'hello');
  assert.match(await open({ origin: 'https://evil.example' }), /403/);
  assert.match(await open({ host: 'evil.example' }), /403/);
  sockets.close();
});

test('who has no key is refused before the body is read', async (t) => {
  const { port } = await start(t);
  const socket = connect(port, '127.0.0.1');
  socket.write('POST /closed HTTP/1.1\r\nhost: localhost\r\ncontent-length: 30000000\r\n\r\n{');
  const [reply] = (await once(socket, 'data')) as [Buffer];
  assert.match(String(reply), /^HTTP\/1\.1 401/);
  socket.destroy();
});

test('headers and bodies that trickle in are cut off; a slow but steady upload is not', {
  timeout: 60_000,
}, async (t) => {
  const { port } = await start(t);
  const trickle = async (head: string, bytes: string, everyMs: number, ms: number) => {
    const socket = connect(port, '127.0.0.1');
    let closed = false;
    socket.on('close', () => {
      closed = true;
    });
    socket.on('error', () => {});
    socket.resume();
    socket.write(head);
    for (const end = Date.now() + ms; Date.now() < end && !closed; ) {
      await sleep(everyMs);
      socket.write(bytes);
    }
    socket.destroy();
    return closed;
  };
  const body = 'POST /open HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n';
  const [headers, slow, steady] = await Promise.all([
    trickle('GET /open HTTP/1.1\r\nhost: localhost\r\n', 'x-a: b\r\n', 500, 30_000),
    trickle(body, ' ', 500, 30_000),
    trickle(body, ' '.repeat(1000), 200, 14_000),
  ]);
  assert.deepEqual({ headers, slow, steady }, { headers: true, slow: true, steady: false });
});

test('headers beyond the limit are 431, bodies beyond theirs 413', async (t) => {
  const { ask, port } = await start(t);
  assert.equal((await ask({ 'x-long': 'a'.repeat(40_000) })).status, 431);
  const large = await request(`http://127.0.0.1:${port}/open`, {
    method: 'POST',
    body: Buffer.alloc(33 * 2 ** 20, ' '),
  });
  assert.equal(large.statusCode, 413);
  await large.body.dump();
});

test('more connections than allowed are not served', async (t) => {
  const { port } = await start(t, { maxConnections: 3 });
  const sockets = Array.from({ length: 6 }, () => connect(port, '127.0.0.1').on('error', () => {}));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  await sleep(200);
  assert.equal(sockets.filter(({ readyState, closed }) => readyState === 'open' && !closed).length, 3);
});

test('TLS from files; a file that is missing is named', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'viaduct-tls-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const tls = makeCertificate(folder, 'localhost');
  const { port } = await start(t, { tls });
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
  const reply = await request(`https://127.0.0.1:${port}/open`, { dispatcher });
  assert.deepEqual(await reply.body.json(), { ok: true });
  await dispatcher.close();
  assert.throws(
    () => createApp(services, [door], { ...localOnly, tls: { ...tls, key: '/nowhere/key.pem' } }),
    /server\.tls\.key: \/nowhere/,
  );
});

test('X-Forwarded-For is believed from a configured proxy only', async (t) => {
  const ip = async (options: Partial<SecurityOptions>) => {
    const { ask } = await start(t, options);
    return JSON.parse((await ask({ 'x-forwarded-for': '203.0.113.9' }, 'POST')).text).ip as string;
  };
  assert.equal(await ip({}), '127.0.0.1');
  assert.equal(await ip({ trustedProxies: ['127.0.0.1'] }), '203.0.113.9');
  assert.equal(await ip({ trustedProxies: ['10.0.0.0/8'] }), '127.0.0.1');
});

test('a bind beyond loopback without a key is refused with the two commands that fix it', () => {
  const bind = { loopback: false, host: '0.0.0.0', authMode: 'auto', hasKey: false } as const;
  assert.throws(
    () => refuseOpenBind(bind),
    (error: Error) => {
      assert.match(error.message, /viaduct keys create/);
      assert.match(error.message, /VIADUCT_HOST=127\.0\.0\.1 viaduct serve/);
      return true;
    },
  );
  refuseOpenBind({ ...bind, hasKey: true });
  refuseOpenBind({ ...bind, loopback: true });
  refuseOpenBind({ ...bind, authMode: 'off' });
});

test('no made-up origin or host gets past the rules', () => {
  const goodOrigin = originRules(['https://*.corp.example']);
  const goodHost = hostRules({ loopback: true, hosts: [] });
  const evil = fc.stringMatching(/^[a-z0-9.-]{0,20}$/).map((text) => `${text}.evil.example`);
  fc.assert(
    fc.property(evil, fc.constantFrom('http', 'https'), fc.nat(65535), (host, scheme, port) => {
      assert.equal(goodHost(`${host}:${port}`), false);
      assert.equal(goodOrigin(`${scheme}://${host}:${port}`), false);
      assert.equal(goodOrigin(`${scheme}://${host}/.corp.example`), false);
      assert.equal(goodOrigin(`${scheme}://localhost@${host}`), false);
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => void [goodOrigin(text), goodHost(text)]));
});

const once = (emitter: NodeJS.EventEmitter, event: string) =>
  new Promise<unknown[]>((resolve) => emitter.once(event, (...values) => resolve(values)));
