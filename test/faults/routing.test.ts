/** Routes end to end: privacy watched at the sockets, local and hosted as one, shadow, reload in mid-stream. */
import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '../../src/api/app.ts';
import type { Services } from '../../src/api/define.ts';
import { modelSettings } from '../../src/config/models.ts';
import { ViaductError } from '../../src/core/errors.ts';
import type { Provider } from '../../src/core/provider.ts';
import { createGateway, type Gateway, type LedgerEntry } from '../../src/gateway/gateway.ts';
import { openaiCompatible } from '../../src/providers/openai-compatible.ts';
import { say } from '../support/scripted-app.ts';
import { type FaultyUpstream, startFaultyUpstream } from './upstream.ts';

let upstream: FaultyUpstream;
/** Every connection that was opened to the hosted provider. */
let connections = 0;
let gateway: Gateway;
let url: string;
let close: () => Promise<void>;
let ledger: LedgerEntry[] = [];
let localFails = false;
let queued = 0;

const models = Object.fromEntries(
  Object.entries({
    mixed: { targets: ['hosted/ok', 'local/m'] },
    secret: { targets: ['hosted/ok', 'local/m'], privacy: 'local' },
    hosted: { targets: ['hosted/ok'] },
    overflowing: { targets: ['local/m', 'hosted/ok'], overflow: { queue: 1 } },
    backup: { targets: ['hosted/500', 'local/m'], retries: 0 },
    shadowed: { targets: ['local/m'], shadow: { to: 'hosted/ok', percent: 100 } },
    slow: { targets: ['hosted/endless'] },
  }).map(([name, settings]) => [name, modelSettings.parse(settings)]),
);

before(async () => {
  upstream = await startFaultyUpstream();
  // In front of the upstream, so that connections are seen and not only requests.
  const target = new URL(upstream.url);
  const front = createServer((socket) => {
    connections++;
    const onward = connect(Number(target.port), target.hostname);
    socket.pipe(onward).pipe(socket);
    socket.on('error', () => onward.destroy());
    onward.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  const base_url = `http://127.0.0.1:${(front.address() as AddressInfo).port}/v1`;
  const makeHosted = () => openaiCompatible.create('hosted', openaiCompatible.config.parse({ base_url, api_key: 'x' }));
  const local: Provider = {
    name: 'local',
    kind: 'local',
    relays: () => false,
    describe: (id) => (id === 'm' ? { id } : undefined),
    load: () => ({ queued, expectedWaitMs: queued * 1000 }),
    async *chat() {
      if (localFails) throw new ViaductError('runner_crashed', 'The runner crashed.');
      yield* say('local', ' answer');
    },
  };
  const providers = () =>
    new Map([
      ['hosted', makeHosted()],
      ['local', local],
    ]);
  gateway = createGateway({
    providers: providers(),
    models,
    account(entry) {
      ledger.push(entry);
      return undefined;
    },
    authenticate: ({ secret }) => ({
      owner: 'me',
      admin: true,
      ...(secret === 'private' && { privacy: 'local' as const }),
    }),
  });
  reload = () => gateway.configure({ providers: providers(), models });
  const app = createApp({ gateway, now: Date.now } as Services);
  await app.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  close = async () => {
    app.server.closeAllConnections();
    await app.close();
    await upstream.close();
    front.close();
  };
});
let reload: () => void;
after(() => close());
beforeEach(() => {
  connections = 0;
  ledger = [];
  localFails = false;
  queued = 0;
  upstream.seen.length = 0;
});

async function ask(model: string, headers: Record<string, string> = {}, more: object = {}) {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }], ...more }),
  });
  const body = (await response.json()) as { choices?: { message: { content: string } }[]; error?: { code: string } };
  return { response, said: body.choices?.[0]?.message.content, code: body.error?.code };
}

test('privacy by route, key and header: the hosted provider sees no connection', async () => {
  reload(); // no connection is kept from before
  for (const [model, headers] of [
    ['secret', {}],
    ['mixed', { 'x-viaduct-privacy': 'local' }],
    ['mixed', { authorization: 'Bearer private' }],
  ] as const)
    assert.equal((await ask(model, headers)).said, 'local answer');
  for (const headers of [{ 'x-viaduct-privacy': 'local' }, { authorization: 'Bearer private' }]) {
    const { response, code } = await ask('hosted', headers as Record<string, string>);
    assert.equal(response.status, 403);
    assert.equal(code, 'privacy_restricted');
  }
  // Even when the machine's own model fails.
  localFails = true;
  assert.equal((await ask('secret')).code, 'runner_crashed');
  assert.equal((await ask('shadowed', { 'x-viaduct-privacy': 'local' })).code, 'runner_crashed');
  localFails = false;
  await ask('shadowed', { 'x-viaduct-privacy': 'local' });
  await sleep(50);
  assert.equal(connections, 0);
  assert.equal(upstream.seen.length, 0);
  assert.equal((await ask('mixed')).said, 'Hello world');
  assert.equal(connections, 1);
});

test('a full local queue overflows to the hosted target', async () => {
  assert.equal((await ask('overflowing')).said, 'local answer');
  queued = 3;
  assert.equal((await ask('overflowing')).said, 'Hello world');
});

test('the local model answers when the hosted one fails', async () => {
  const { said, response } = await ask('backup');
  assert.equal(said, 'local answer');
  assert.equal(response.headers.get('x-viaduct-attempts'), '2');
});

test('a shadow is asked, thrown away, and compared in the ledger only', async () => {
  assert.equal((await ask('shadowed')).said, 'local answer');
  for (let waited = 0; ledger.length < 2 && waited < 3000; waited += 10) await sleep(10);
  const shadow = ledger.find((entry) => entry.shadow);
  assert.deepEqual([shadow?.provider, shadow?.attempt, shadow?.status], ['hosted', 0, 'ok']);
  assert.equal(shadow?.requestId, ledger.find((entry) => !entry.shadow)?.requestId);
});

test('models: the next name answers when the first one fails', async () => {
  const { said } = await ask('hosted/500', {}, { models: ['secret'] });
  assert.equal(said, 'local answer');
  assert.equal(upstream.seen[0]?.body['models'], undefined);
});

test('a reload drops no stream', async () => {
  const leaving = new AbortController();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'slow', stream: true, messages: [{ role: 'user', content: 'hi' }] }),
    signal: leaving.signal,
  });
  const reader = response.body?.getReader();
  await reader?.read();
  reload();
  await sleep(50);
  for (let n = 0; n < 5; n++) assert.equal((await reader?.read())?.done, false);
  leaving.abort();
});
