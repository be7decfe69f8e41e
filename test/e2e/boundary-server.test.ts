/**
 * Keys, teams, limits, budgets and the guards of the socket, on the real server with the real commands and the clients'
 * own SDKs.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { APIError } from 'openai';
import { viaduct, viaductJson } from '../support/command.ts';
import { type RecordedUpstream, startRecordedUpstream } from '../support/recorded-upstream.ts';
import { makeHome, startTestServer, type TestServer } from '../support/server.ts';

const adminKey = 'an-administrator-of-this-test';
/** Secrets without any telling shape, in every place of the configuration that takes one. */
const secrets = {
  provider: 'plain-provider-secret',
  second: 'plain-second-secret',
  header: 'plain-header-secret',
  oidc: 'plain-oidc-secret',
  webhook: 'plain-webhook-secret',
  server: 'plain-server-secret-that-is-long-enough',
};
const local = 'smollm2:135m';
const fixtures = join(import.meta.dirname, '__fixtures__');
const anthropicFixtures = join(import.meta.dirname, '../../src/protocols/anthropic-messages/__fixtures__');

type Key = { id: string; secret: string; prefix: string; name: string };

let upstream: RecordedUpstream;
let home: string;
let config: string;
let server: TestServer;
/** Made before the server ran, by commands that serve themselves. */
let first: Key;
const red: { id: string; key: Key; other: Key } = { id: '', key: {} as Key, other: {} as Key };
const blue: { id: string; key: Key } = { id: '', key: {} as Key };

const owner = () => ({ home, url: server.url });
const makeKey = (name: string, ...options: string[]) => viaductJson<Key>(['keys', 'create', name, ...options], owner());
const client = (apiKey: string) => new OpenAI({ baseURL: `${server.url}/v1`, apiKey, maxRetries: 0 });
const messages = [{ role: 'user' as const, content: 'Hello!' }];
const ask = (secret: string, model = 'fast', options: OpenAI.RequestOptions = {}) =>
  client(secret).chat.completions.create({ model, messages, max_completion_tokens: 8 }, options);
const admin = (path: string, secret: string | null = adminKey, init: RequestInit = {}) =>
  fetch(`${server.url}${path}`, {
    ...init,
    headers: secret === undefined ? {} : { authorization: `Bearer ${secret}` },
  });

async function refusal(work: Promise<unknown>, status: number, code?: string): Promise<APIError> {
  const error = await work.then(
    () => assert.fail('it was let through'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof APIError, String(error));
  assert.equal(error.status, status, error.message);
  if (code !== undefined) assert.equal(error.code, code, error.message);
  return error;
}

before(async () => {
  upstream = await startRecordedUpstream([
    ...['chat-basic.0.44054c.json', 'sse-chat-streaming.0.8b530e.json', 'embeddings-dimensions.0.e4131c.json'].map(
      (file) => join(fixtures, file),
    ),
    join(anthropicFixtures, 'test_tool_choice_matrix_none-anthropic_.0.9701ff.json'),
  ]);
  home = await makeHome([local]);
  config = `
auth: { secret: ${secrets.server} }
oidc: { issuer: "http://127.0.0.1:9", client_id: viaduct, client_secret: ${secrets.oidc} }
alerts: { webhook: "http://127.0.0.1:9/${secrets.webhook}" }
providers:
  openai: { base_url: "${upstream.origin}/v1", api_key: [${secrets.provider}, ${secrets.second}], headers: { x-tenant-token: ${secrets.header} } }
  anthropic: { base_url: "${upstream.origin}", api_key: ${secrets.provider} }
models:
  fast: { targets: [openai/gpt-5-nano], retries: 0 }
  claude: { targets: [anthropic/claude-sonnet-4-5] }
  vectors: { targets: [openai/text-embedding-3-small] }
prices:
  openai/gpt-5-nano: { input: 1000, output: 1000 }
`;
  const alone = { home, env: { VIADUCT_CONFIG: join(home, 'viaduct.yaml') } };
  // The secret that keys are hashed with is in the file.
  const { writeFileSync } = await import('node:fs');
  writeFileSync(join(home, 'viaduct.yaml'), config);
  first = await viaductJson<Key>(['keys', 'create', 'first'], alone);
  for (const team of [red, blue]) {
    const name = team === red ? 'red' : 'blue';
    team.id = (await viaductJson<{ id: string }>(['teams', 'create', name], alone)).id;
    team.key = await viaductJson<Key>(['keys', 'create', `${name}-app`, '--team', name], alone);
  }
  red.other = await viaductJson<Key>(['keys', 'create', 'red-worker', '--team', 'red'], alone);
  server = await startTestServer({ home, config, env: { VIADUCT_ADMIN_KEY: adminKey } });
});
after(async () => {
  await server?.close();
  await upstream?.close();
  rmSync(home, { recursive: true, force: true });
});

describe('keys', () => {
  test('a key made before the server ran lets in, by every SDK’s header; none and a wrong one do not', async () => {
    assert.ok((await ask(first.secret)).choices[0]?.message.content);
    const anthropic = (apiKey: string) => new Anthropic({ baseURL: server.url, apiKey, maxRetries: 0 });
    const said = { model: 'claude', max_tokens: 8, messages };
    assert.equal((await anthropic(first.secret).messages.create(said)).type, 'message');
    await assert.rejects(anthropic('ollama').messages.create(said), Anthropic.AuthenticationError);

    const error = await refusal(ask('ollama'), 401, 'invalid_api_key');
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.match(error.message, /viaduct keys create/);
    for (const path of ['/v1/models', '/api/tags', '/api/ps', '/v1/conversations/x', '/providers/openai/v1/models'])
      assert.equal((await admin(path, null)).status, 401, path);
    for (const path of ['/healthz', '/readyz', '/openapi.json', '/api/version'])
      assert.equal((await admin(path, null)).status, 200, path);
    // The upstream saw its own key and never ours.
    for (const { headers } of upstream.seen) {
      assert.doesNotMatch(JSON.stringify(headers), /vd-/);
      assert.match(String(headers.authorization ?? headers['x-api-key']), /plain-(provider|second)-secret/);
    }
  });

  test('models, providers, endpoints and addresses of a key are 403 beyond', async () => {
    const key = await makeKey('narrow', '--models', 'fast', '--endpoints', '/v1/chat/*');
    await ask(key.secret);
    assert.ok(
      (await refusal(ask(key.secret, 'claude'), 403, 'permission_denied')) instanceof OpenAI.PermissionDeniedError,
    );
    await refusal(ask(key.secret, local), 403);
    await refusal(client(key.secret).embeddings.create({ model: 'vectors', input: 'Hi' }), 403);
    const anthropicOnly = await makeKey('anthropic-only', '--providers', 'anthropic');
    await ask(anthropicOnly.secret, 'claude');
    await refusal(ask(anthropicOnly.secret), 403);
    await refusal(ask(anthropicOnly.secret, local), 403);
    const elsewhere = await makeKey('elsewhere', '--ip', '10.0.0.0/8,fd00::/8');
    assert.match((await refusal(ask(elsewhere.secret), 403)).message, /127\.0\.0\.1/);
    const here = await makeKey('here', '--ip', '127.0.0.0/8');
    await ask(here.secret);
    const listing = await makeKey('listing', '--models', 'fast,vectors');
    const listed = (await client(listing.secret).models.list()).data.map(({ id }) => id);
    assert.deepEqual(listed.sort(), ['fast', 'vectors']);
  });

  test('rotation: both secrets work for a while, or not at all; a revoked one is out at once', async () => {
    const key = await makeKey('turning');
    const turned = await viaductJson<Key>(['keys', 'rotate', 'turning'], owner());
    assert.notEqual(turned.secret, key.secret);
    await ask(key.secret);
    await ask(turned.secret);
    const again = await viaductJson<Key>(['keys', 'rotate', key.id, '--overlap', '0'], owner());
    await refusal(ask(turned.secret), 401);
    await refusal(ask(key.secret), 401);
    await ask(again.secret);
    await viaduct(['keys', 'revoke', key.id], owner());
    assert.match((await refusal(ask(again.secret), 401)).message, /revoked/);
  });

  test('an expired key is out; a new one says when it ends', async () => {
    const key = await makeKey('short', '--expires', '1h');
    await ask(key.secret);
    const update = await fetch(`${server.url}/admin/keys/${key.id}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${adminKey}` },
      body: JSON.stringify({ expires_at: new Date(Date.now() - 1000).toISOString() }),
    });
    assert.equal(update.status, 200);
    assert.match((await refusal(ask(key.secret), 401)).message, /expired/);
  });
});

describe('limits and budgets', () => {
  test('requests per minute: OpenAI’s headers before and at the limit, for both SDKs', async () => {
    const key = await makeKey('two-a-minute', '--rpm', '2', '--tpm', '100000');
    const { response } = await client(key.secret).chat.completions.create({ model: 'fast', messages }).withResponse();
    assert.equal(response.headers.get('x-ratelimit-limit-requests'), '2');
    assert.equal(response.headers.get('x-ratelimit-remaining-requests'), '1');
    assert.match(response.headers.get('x-ratelimit-reset-requests') ?? '', /^(\d+m)?\d+(\.\d+)?m?s$/);
    assert.equal(response.headers.get('x-ratelimit-limit-tokens'), '100000');
    await ask(key.secret);
    const error = await refusal(ask(key.secret), 429, 'rate_limit_exceeded');
    assert.ok(error instanceof OpenAI.RateLimitError);
    const wait = Number(error.headers?.get('retry-after'));
    assert.ok(wait >= 1 && wait <= 30, String(wait));
    assert.equal(error.headers?.get('x-ratelimit-remaining-requests'), '0');
    const anthropic = new Anthropic({ baseURL: server.url, apiKey: key.secret, maxRetries: 0 });
    await assert.rejects(
      anthropic.messages.create({ model: 'claude', max_tokens: 8, messages }),
      Anthropic.RateLimitError,
    );
  });

  test('at the same time: the second waits outside until the first has ended', async () => {
    const key = await makeKey('one-at-once', '--concurrent', '1');
    upstream.pace = 40;
    const stream = await client(key.secret).chat.completions.create({ model: 'fast', messages, stream: true });
    await refusal(ask(key.secret), 429, 'rate_limit_exceeded');
    for await (const _chunk of stream);
    upstream.pace = 0;
    await ask(key.secret);
  });

  test('a hard budget is 402 and says whose it is and when it begins anew; a team’s holds for all its keys', async () => {
    const key = await makeKey('poor', '--budget', '0.01', '--period', 'day');
    await ask(key.secret);
    const error = await refusal(ask(key.secret), 402, 'insufficient_quota');
    assert.equal(error.type, 'insufficient_quota');
    assert.match(error.message, /daily budget of key "poor" \(0\.01 USD\).*begins anew at \d{4}-/);
    // What is local costs too, but is no way around the budget.
    await refusal(ask(key.secret, local), 402);
    const team = await viaductJson<{ id: string }>(['teams', 'create', 'thrifty'], owner());
    const created = await fetch(`${server.url}/admin/budgets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${adminKey}` },
      body: JSON.stringify({ scope: 'team', scope_id: team.id, amount: 0.01, period: 'month' }),
    });
    assert.equal(created.status, 201, await created.text());
    const [one, two] = [
      await makeKey('thrifty-1', '--team', 'thrifty'),
      await makeKey('thrifty-2', '--team', 'thrifty'),
    ];
    await ask(one.secret);
    assert.match((await refusal(ask(two.secret), 402)).message, /team "thrifty"/);
  });
});

describe('tenants', () => {
  const paths = async (secret: string, calls: [string, string, object?][]) =>
    Promise.all(
      calls.map(async ([method, path, body]) => {
        const response = await fetch(`${server.url}/v1${path}`, {
          method,
          headers: { authorization: `Bearer ${secret}` },
          ...(body && { body: JSON.stringify(body) }),
        });
        return [`${method} ${path}`, response.status, (await response.json()) as { error?: { code: string } }] as const;
      }),
    );

  test('another team’s responses, conversations and completions are not there; a team’s own keys share them', async () => {
    const mine = client(red.key.secret);
    const response = await mine.responses.create({
      model: local,
      input: 'My secret is blue-green.',
      max_output_tokens: 8,
    });
    const background = await mine.responses.create({
      model: local,
      input: 'Hi',
      background: true,
      max_output_tokens: 8,
    });
    const conversation = await mine.conversations.create({
      items: [{ type: 'message', role: 'user', content: 'My secret is blue-green.' }],
    });
    const { data } = await mine.conversations.items.list(conversation.id);
    const chat = await mine.chat.completions.create({
      model: local,
      messages,
      max_completion_tokens: 4,
      store: true,
      metadata: { of: 'red' },
    });

    const calls: [string, string, object?][] = [
      ['GET', `/responses/${response.id}`],
      ['GET', `/responses/${response.id}/input_items`],
      ['DELETE', `/responses/${response.id}`],
      ['GET', `/responses/${background.id}`],
      ['GET', `/responses/${background.id}?stream=true`],
      ['POST', `/responses/${background.id}/cancel`],
      ['GET', `/conversations/${conversation.id}`],
      ['POST', `/conversations/${conversation.id}`, { metadata: { of: 'blue' } }],
      ['GET', `/conversations/${conversation.id}/items`],
      [
        'POST',
        `/conversations/${conversation.id}/items`,
        { items: [{ type: 'message', role: 'user', content: 'Hi' }] },
      ],
      ['GET', `/conversations/${conversation.id}/items/${data[0]?.id}`],
      ['DELETE', `/conversations/${conversation.id}/items/${data[0]?.id}`],
      ['DELETE', `/conversations/${conversation.id}`],
      ['GET', `/chat/completions/${chat.id}`],
      ['GET', `/chat/completions/${chat.id}/messages`],
      ['POST', `/chat/completions/${chat.id}`, { metadata: { of: 'blue' } }],
      ['DELETE', `/chat/completions/${chat.id}`],
    ];
    for (const stranger of [blue.key.secret, first.secret])
      for (const [call, status, body] of await paths(stranger, calls)) {
        assert.equal(status, 404, `${call}: ${JSON.stringify(body)}`);
        assert.equal(body.error?.code, 'not_found', call);
      }
    // Nor by reference, where OpenAI says 400 for a response.
    const theirs = client(blue.key.secret);
    const next = { model: local, input: 'What is my secret?', max_output_tokens: 8 };
    await refusal(
      theirs.responses.create({ ...next, previous_response_id: response.id }),
      400,
      'previous_response_not_found',
    );
    await refusal(theirs.responses.create({ ...next, conversation: conversation.id }), 404);
    await refusal(
      theirs.responses.create({ ...next, input: [{ type: 'item_reference', id: data[0]?.id ?? '' }] }),
      404,
    );
    assert.deepEqual((await theirs.chat.completions.list()).data, []);

    // Nothing of what the strangers tried had an effect, and a key of the same team sees it.
    const ours = client(red.other.secret);
    assert.equal((await ours.responses.retrieve(response.id)).id, response.id);
    assert.deepEqual((await ours.conversations.retrieve(conversation.id)).metadata, {});
    assert.equal((await ours.conversations.items.list(conversation.id)).data.length, 1);
    assert.deepEqual((await ours.chat.completions.retrieve(chat.id)).metadata, { of: 'red' });
    let state = await ours.responses.retrieve(background.id);
    while (state.status === 'queued' || state.status === 'in_progress') {
      await sleep(100);
      state = await ours.responses.retrieve(background.id);
    }
    assert.match(String(state.status), /^(completed|incomplete)$/);
  });

  test('a manager sees keys, usage and the log of the own team only', async () => {
    const manager = await makeKey('red-manager', '--team', 'red', '--role', 'manager');
    await ask(blue.key.secret, 'fast', { headers: { 'x-request-id': 'of-blue' } });
    await ask(red.key.secret, 'fast', { headers: { 'x-request-id': 'of-red' } });
    const get = async (path: string) => {
      const response = await admin(path, manager.secret);
      return { status: response.status, text: await response.text() };
    };
    for (const path of [
      '/admin/keys?limit=1000',
      '/admin/usage?by=key',
      '/admin/usage?by=team',
      '/admin/requests?limit=1000',
      '/admin/teams',
    ]) {
      const { status, text } = await get(path);
      assert.equal(status, 200, `${path}: ${text}`);
      assert.match(text, new RegExp(`${red.id}|red`), path);
      assert.doesNotMatch(text, new RegExp(`blue|${blue.id}|${blue.key.id}|${first.id}`), path);
    }
    for (const path of [
      `/admin/keys/${blue.key.id}`,
      '/admin/requests/of-blue',
      `/admin/teams/${blue.id}`,
      '/admin/usage?team=blue',
      `/admin/keys/${first.id}`,
    ])
      assert.equal((await get(path)).status, 404, path);
    assert.equal((await get('/admin/requests/of-red')).status, 200);
    assert.equal((await get('/admin/config')).status, 403);
    assert.equal((await admin(`/admin/keys/${blue.key.id}`, manager.secret, { method: 'DELETE' })).status, 404);
    await ask(blue.key.secret);
  });
});

describe('administration', () => {
  test('what administers asks for an admin key: a member’s is 403, none 401', async () => {
    const description = (await (await admin('/openapi.json', null)).json()) as {
      paths: Record<string, Record<string, unknown>>;
    };
    const routes = Object.entries(description.paths)
      .filter(([path]) => path.startsWith('/admin/') && !path.startsWith('/admin/session'))
      .flatMap(([path, methods]) => Object.keys(methods).map((method) => [method.toUpperCase(), path] as const));
    assert.ok(routes.length > 15);
    const others = [
      ['GET', '/metrics'],
      ['POST', '/api/pull'],
      ['POST', '/api/push'],
      ['POST', '/api/create'],
      ['POST', '/api/copy'],
      ['DELETE', '/api/delete'],
      ['POST', '/api/blobs/sha256-00'],
    ] as const;
    for (const [method, path] of [...routes, ...others]) {
      const url = path.replace(/\{\w+\}/g, 'x');
      const send = (secret: string | null) => admin(url, secret, { method, ...(method !== 'GET' && { body: '{}' }) });
      assert.equal((await send(null)).status, 401, `${method} ${path}`);
      assert.equal((await send(red.key.secret)).status, 403, `${method} ${path}`);
    }
    assert.equal((await admin('/metrics')).status, 200);
    assert.equal((await admin('/admin/keys', 'wrong')).status, 401);
  });

  test('the bill by key, team, model, provider and day, as a table, JSON and CSV', async () => {
    type Line = { group: string; name: string | null; requests: number; cost: number; input_tokens: number };
    const lines = (by: string) => viaductJson<Line[]>(['usage', '--by', by], owner());
    // Whoever has the answer finds it on the bill.
    const before = (await lines('model')).find(({ group }) => group === 'fast')?.requests ?? 0;
    await ask(blue.key.secret, 'fast');
    assert.equal((await lines('model')).find(({ group }) => group === 'fast')?.requests, before + 1);
    const totals = new Set<string>();
    for (const by of ['key', 'team', 'model', 'provider', 'day']) {
      const found = await lines(by);
      const sum = (field: 'requests' | 'input_tokens') => found.reduce((total, line) => total + line[field], 0);
      totals.add(`${sum('requests')} ${sum('input_tokens')}`);
      const { stdout } = await viaduct(['usage', '--by', by, '--csv'], owner());
      const [header, ...rows] = stdout.trim().split(/\r?\n/);
      assert.match(header ?? '', /^group,name,requests,/);
      assert.equal(rows.length, found.length, stdout);
    }
    assert.equal(totals.size, 1, [...totals].join('; '));
    const table = await viaduct(['usage'], owner());
    assert.match(table.stdout, /^DAY +REQUESTS/);
    assert.match(table.stdout, /^total /m);
    const byKey = await lines('key');
    assert.ok(byKey.some(({ name }) => name === 'blue-app'));
    const byTeam = await lines('team');
    assert.deepEqual(byTeam.filter(({ name }) => name === 'red' || name === 'blue').length, 2);
    const byProvider = await lines('provider');
    assert.deepEqual(new Set(byProvider.map(({ group }) => group)), new Set(['openai', 'anthropic', 'local']));
    for (const { group, cost } of byProvider) assert.ok(cost > 0, `${group} cost nothing`);
    const [today] = await lines('day');
    assert.equal(today?.group, new Date().toISOString().slice(0, 10));
    const wrong = await viaduct(['usage', '--by', 'colour'], owner());
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /^Error: by: /);
  });

  test('no secret of the configuration, of a key or of a prompt is in the log, an error, a page or the figures', async () => {
    const prompt = 'sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz';
    upstream.failure = {
      status: 401,
      body: JSON.stringify({
        error: { message: `Incorrect API key provided: ${secrets.provider}`, code: 'invalid_api_key' },
      }),
    };
    const error = await refusal(
      client(first.secret).chat.completions.create({ model: 'fast', messages: [{ role: 'user', content: prompt }] }),
      502,
    );
    upstream.failure = undefined;
    await refusal(ask(`${first.secret}x`), 401);
    await refusal(ask(first.secret, prompt), 404);
    const pages = await Promise.all(
      [
        '/admin/config',
        '/metrics',
        '/admin/keys?limit=1000',
        '/admin/requests?limit=1000',
        '/admin/audit',
        '/readyz',
      ].map(async (path) => (await admin(path)).text()),
    );
    // The log is written in the background.
    await sleep(300);
    const places = { log: server.log(), error: error.message + JSON.stringify(error.error), pages: pages.join('\n') };
    for (const [place, text] of Object.entries(places))
      for (const secret of [...Object.values(secrets), adminKey, first.secret, red.key.secret, prompt])
        assert.ok(!text.includes(secret), `${secret} is in the ${place}`);
    assert.ok(!places.error.includes(upstream.origin.slice('http://'.length)), places.error);
    assert.match(pages[0] ?? '', /\[redacted\]/);
  });
});

describe('the socket', () => {
  type Answer = { status: number; headers: IncomingMessage['headers']; body: string };
  async function raw(headers: Record<string, string>, path = '/v1/models', method = 'GET'): Promise<Answer> {
    const request = httpRequest(server.url + path, { method, headers, agent: false }).end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    let body = '';
    for await (const chunk of response) body += chunk;
    return { status: response.statusCode ?? 0, headers: response.headers, body };
  }

  test('a name that was made to point here and pages of others are refused, also for the health check', async () => {
    const authorization = `Bearer ${first.secret}`;
    for (const host of ['evil.example', 'evil.example:11434', 'localhost.evil.example', '127.0.0.1.nip.io'])
      for (const path of ['/v1/models', '/api/tags', '/healthz', '/admin/keys', '/nowhere'])
        assert.equal((await raw({ host, authorization }, path)).status, 403, `${host} ${path}`);
    for (const host of ['localhost', '127.0.0.1:1', '[::1]', 'my.localhost', 'viaduct.internal'])
      assert.equal((await raw({ host, authorization })).status, 200, host);

    const foreign = await raw({ origin: 'https://evil.example', authorization });
    assert.equal(foreign.status, 403);
    assert.equal(foreign.headers['access-control-allow-origin'], undefined);
    for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'app://x'])
      assert.equal((await raw({ origin, authorization })).headers['access-control-allow-origin'], origin);
    const preflight = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };
    assert.equal(
      (await raw({ ...preflight, origin: 'http://localhost:3000' }, '/v1/responses', 'OPTIONS')).status,
      204,
    );
    assert.equal((await raw({ ...preflight, origin: 'null' }, '/v1/responses', 'OPTIONS')).status, 403);
  });

  test('a WebSocket of a foreign page or without a key is not opened', async () => {
    const upgrade = (headers: Record<string, string>) =>
      new Promise<number>((resolve, reject) => {
        const request = httpRequest(`${server.url}/v1/responses`, {
          agent: false,
          headers: {
            connection: 'Upgrade',
            upgrade: 'websocket',
            'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
            'sec-websocket-version': '13',
            ...headers,
          },
        });
        request.on('response', (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        request.on('upgrade', (_response, socket) => {
          socket.destroy();
          resolve(101);
        });
        request.on('error', reject);
        request.end();
      });
    const authorization = `Bearer ${first.secret}`;
    assert.equal(await upgrade({ authorization, origin: 'https://evil.example' }), 403);
    assert.equal(await upgrade({ authorization, host: 'evil.example' }), 403);
    assert.equal(await upgrade({}), 401);
    assert.equal(await upgrade({ authorization }), 101);
  });

  test('200 connections that trickle are cut off, and others are served meanwhile', async () => {
    const port = Number(new URL(server.url).port);
    const slow: Socket[] = [];
    let closed = 0;
    for (let number = 0; number < 200; number++) {
      const socket = connect(port, '127.0.0.1');
      slow.push(socket);
      socket.on('error', () => {});
      socket.on('close', () => closed++);
      // Half send headers without end, half a body.
      socket.write(
        number % 2 === 0
          ? 'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n'
          : `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${first.secret}\r\nContent-Length: 100000\r\n\r\n{`,
      );
    }
    const trickle = setInterval(() => {
      for (const [number, socket] of slow.entries())
        if (!socket.destroyed) socket.write(number % 2 === 0 ? 'X-A: b\r\n' : ' ');
    }, 500);
    for (let tries = 0; closed < slow.length && tries < 200; tries++) {
      assert.equal((await raw({ authorization: `Bearer ${first.secret}` })).status, 200);
      await sleep(250);
    }
    clearInterval(trickle);
    assert.equal(closed, slow.length);
  });
});

describe('beyond loopback', () => {
  test('without a key it does not start and says the two commands; with one it serves, to who has it', async () => {
    const empty = await makeHome();
    const env = { VIADUCT_HOST: '0.0.0.0:0' };
    await assert.rejects(
      startTestServer({ home: empty, env }),
      /ended with 1[\s\S]*viaduct keys create[\s\S]*VIADUCT_HOST=127\.0\.0\.1 viaduct serve/,
    );
    const key = await viaductJson<Key>(['keys', 'create', 'lan'], { home: empty });
    const open = await startTestServer({ home: empty, env });
    const at = `http://127.0.0.1:${new URL(open.url).port}`;
    const get = (path: string, secret?: string) =>
      fetch(at + path, secret === undefined ? {} : { headers: { authorization: `Bearer ${secret}` } });
    assert.equal((await get('/v1/models')).status, 401);
    assert.equal((await get('/v1/models', 'ollama')).status, 401);
    assert.equal((await get('/v1/models', key.secret)).status, 200);
    await open.close();
    rmSync(empty, { recursive: true, force: true });
  });
});
