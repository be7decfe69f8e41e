/** Keys, limits, budgets and the ledger of turns over one WebSocket, and of everything that is stored, on the real server. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI, { NotFoundError } from 'openai';
import { type RecordedUpstream, startRecordedUpstream } from '../support/recorded-upstream.ts';
import { checkEvents } from '../support/responses-contract.ts';
import { lastOf, openSocket } from '../support/responses-socket.ts';
import { makeHome, startTestServer, type TestServer } from '../support/server.ts';

const adminKey = 'an-administrator-of-this-test';
const fixtures = join(import.meta.dirname, '__fixtures__');
const model = 'hosted/gpt-4o';
let hosted: RecordedUpstream;
let home: string;
let server: TestServer;

before(async () => {
  hosted = await startRecordedUpstream(
    ['chat-basic.0.44054c.json', 'sse-chat-streaming.0.8b530e.json'].map((file) => join(fixtures, file)),
  );
  home = await makeHome();
  const config = `providers:\n  hosted: { kind: openai-compatible, base_url: "${hosted.origin}/v1" }\nprices:\n  hosted/gpt-4o: { input: 1, output: 1 }\n`;
  server = await startTestServer({ home, config, env: { VIADUCT_ADMIN_KEY: adminKey } });
});
after(async () => {
  await server?.close();
  await hosted?.close();
  rmSync(home, { recursive: true, force: true });
});

async function admin<Body>(path: string, method = 'GET', body?: object): Promise<Body> {
  const reply = await fetch(`${server.url}/admin${path}`, {
    method,
    headers: { authorization: `Bearer ${adminKey}` },
    ...(body && { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  assert.ok(reply.ok, text);
  return (text ? JSON.parse(text) : undefined) as Body;
}
const makeKey = (name: string, more: object = {}) =>
  admin<{ id: string; secret: string }>('/keys', 'POST', { name, ...more });
const connect = ({ secret }: { secret: string }) => openSocket(server.url, { authorization: `Bearer ${secret}` });
const ask = { model, store: false, input: 'Hello?' };

test('a limit on requests counts turns; the connection is kept', async () => {
  const key = await makeKey('paced', { limits: { rpm: 2 } });
  await using socket = await connect(key);
  for (let turn = 0; turn < 2; turn++) checkEvents(await socket.turn(ask));
  for (let turn = 0; turn < 2; turn++) {
    const [event] = await socket.turn(ask);
    assert.equal(event?.['status'], 429);
    const { code, headers } = lastOf(event ? [event] : [], 'error');
    assert.equal(code, 'rate_limit_exceeded');
    assert.match(String((headers as Record<string, string>)['retry-after']), /^\d+$/);
  }
});

test('a key that is revoked or restricted on the way stops the next turn', async () => {
  const key = await makeKey('leaving');
  await using socket = await connect(key);
  checkEvents(await socket.turn(ask));
  await admin(`/keys/${key.id}`, 'POST', { models: ['other'] });
  const [restricted] = await socket.turn(ask);
  assert.equal(restricted?.['status'], 403);
  await admin(`/keys/${key.id}`, 'DELETE');
  const [revoked] = await socket.turn(ask);
  assert.equal(revoked?.['status'], 401);
  await assert.rejects(connect(key), /401/);
});

test('a budget ends in the middle of a connection', async () => {
  const key = await makeKey('poor');
  await using socket = await connect(key);
  checkEvents(await socket.turn(ask));
  await admin('/budgets', 'POST', { scope: 'key', scope_id: key.id, amount: 0.0000001, period: 'day' });
  const [event] = await socket.turn(ask);
  assert.equal(event?.['status'], 402, JSON.stringify(event));
});

test('each turn has its row in the ledger', async () => {
  const key = await makeKey('counted');
  await using socket = await connect(key);
  for (let turn = 0; turn < 3; turn++) checkEvents(await socket.turn(ask));
  type Rows = { data: { request_id: string; endpoint: string; status: string; output_tokens: number }[] };
  const rows = async () => (await admin<Rows>(`/requests?key=${key.id}`)).data;
  let found = await rows();
  for (let tries = 0; found.length < 3 && tries < 100; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    found = await rows();
  }
  assert.equal(new Set(found.map(({ request_id }) => request_id)).size, 3);
  for (const row of found) {
    assert.equal(row.endpoint, '/v1/responses');
    assert.equal(row.status, 'ok');
    assert.ok(row.output_tokens > 0);
  }
});

test("another key's stored things are not there", async () => {
  const [mine, theirs] = await Promise.all(
    ['mine', 'theirs'].map(async (name) => {
      const { secret } = await makeKey(name);
      return new OpenAI({ baseURL: `${server.url}/v1`, apiKey: secret, maxRetries: 0 });
    }),
  );
  assert.ok(mine && theirs);
  const response = await mine.responses.create({ model, input: 'x' });
  const conversation = await mine.conversations.create({ items: [{ role: 'user', content: 'x' }] });
  const [item] = (await mine.conversations.items.list(conversation.id)).data;
  const chat = await mine.chat.completions.create({ model, store: true, messages: [{ role: 'user', content: 'x' }] });
  const conversation_id = conversation.id;
  const itemId = item?.id ?? '';
  for (const attempt of [
    () => theirs.responses.retrieve(response.id),
    () => theirs.responses.retrieve(response.id, { stream: true }),
    () => theirs.responses.cancel(response.id),
    () => theirs.responses.delete(response.id),
    () => theirs.responses.inputItems.list(response.id),
    () => theirs.responses.create({ model, input: [{ type: 'item_reference', id: response.output[0]?.id ?? '' }] }),
    () => theirs.responses.create({ model, input: 'x', conversation: conversation_id }),
    () => theirs.conversations.retrieve(conversation_id),
    () => theirs.conversations.update(conversation_id, { metadata: { a: 'b' } }),
    () => theirs.conversations.delete(conversation_id),
    () => theirs.conversations.items.list(conversation_id),
    () => theirs.conversations.items.retrieve(itemId, { conversation_id }),
    () => theirs.conversations.items.delete(itemId, { conversation_id }),
    () => theirs.conversations.items.create(conversation_id, { items: [{ role: 'user', content: 'y' }] }),
    () => theirs.chat.completions.retrieve(chat.id),
    () => theirs.chat.completions.update(chat.id, { metadata: { a: 'b' } }),
    () => theirs.chat.completions.delete(chat.id),
    () => theirs.chat.completions.messages.list(chat.id),
  ])
    await assert.rejects(attempt, NotFoundError, String(attempt));
  await assert.rejects(theirs.responses.create({ model, input: 'x', previous_response_id: response.id }), {
    code: 'previous_response_not_found',
  });
  assert.deepEqual((await theirs.chat.completions.list()).data, []);

  // Nothing of it was changed.
  assert.equal((await mine.responses.retrieve(response.id)).id, response.id);
  assert.equal((await mine.conversations.items.list(conversation_id)).data.length, 1);
  assert.equal((await mine.chat.completions.retrieve(chat.id)).id, chat.id);
});
