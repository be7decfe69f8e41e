/**
 * Legacy completions to a provider that has them: its bytes and not ours, several prompts in one request, usage counted
 * all the same.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import OpenAI from 'openai';
import { type RecordedUpstream, startRecordedUpstream } from '../support/recorded-upstream.ts';
import { makeHome, startTestServer, type TestServer } from '../support/server.ts';

const fixtures = join(import.meta.dirname, '__fixtures__');
const whole = join(fixtures, 'test_completion_with_events_with_content.1.98590d.json');
const streamed = join(fixtures, 'sse-completion-streaming-usage.0.a1bcef.json');
const bodyOf = (file: string) =>
  (JSON.parse(readFileSync(file, 'utf8')) as { response: { body: string } }).response.body;

let upstream: RecordedUpstream;
let home: string;
let server: TestServer;

before(async () => {
  upstream = await startRecordedUpstream([whole, streamed, join(fixtures, 'chat-basic.0.44054c.json')]);
  home = await makeHome();
  const base = `base_url: "${upstream.origin}/v1", api_key: x`;
  server = await startTestServer({
    home,
    config: `
providers:
  box: { kind: openai-compatible, ${base} }
  chats-only: { kind: openai-compatible, completions: false, ${base} }
  openai: { ${base} }
models:
  fast: { targets: [box/m], timeout: { first_token: 20s } }
prices: { box/m: { input: 1000000, output: 1000000 } }
`,
  });
});
after(async () => {
  await server?.close();
  await upstream?.close();
  rmSync(home, { recursive: true, force: true });
});

const ask = (body: object) =>
  fetch(`${server.url}/v1/completions`, { method: 'POST', body: JSON.stringify({ model: 'fast', ...body }) });

test('whole: the bytes are the provider’s, the request too but for the model', async () => {
  const asked = { prompt: ['one', 'two'], n: 2, echo: true, logprobs: 3, unknown_field: { kept: true } };
  const reply = await ask(asked);
  assert.equal(await reply.text(), bodyOf(whole));
  const { usage } = JSON.parse(bodyOf(whole)) as { usage: { total_tokens: number } };
  assert.equal(Number(reply.headers.get('x-viaduct-cost')), usage.total_tokens);
  const seen = upstream.seen.at(-1);
  assert.equal(seen?.path, '/v1/completions');
  assert.deepEqual(seen?.body, { model: 'm', ...asked });
});

test('streamed: the usage is asked for and counted, and seen only by who asked too', async () => {
  const asked = await ask({ prompt: 'def fib(n):', stream: true, stream_options: { include_usage: true } });
  assert.equal(await asked.text(), bodyOf(streamed));
  const silent = await ask({ prompt: 'def fib(n):', stream: true });
  const text = await silent.text();
  assert.doesNotMatch(text, /"choices":\[\]/);
  assert.match(text, /\[DONE\]/);
  assert.deepEqual(upstream.seen.at(-1)?.body['stream_options'], { include_usage: true });
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none' });
  let said = '';
  for await (const chunk of await client.completions.create({ model: 'fast', prompt: 'def fib(n):', stream: true }))
    said += chunk.choices[0]?.text ?? '';
  assert.ok(said.length > 0);
});

test('where the provider has only chats, or the model is one, it is asked as a chat', async () => {
  for (const model of ['chats-only/gpt-5-nano', 'openai/gpt-5-nano']) {
    const reply = await ask({ model, prompt: 'Hi', max_tokens: 8 });
    const { object, choices } = (await reply.json()) as { object: string; choices: { text: string }[] };
    assert.equal(object, 'text_completion');
    assert.ok(choices[0]?.text);
    assert.equal(upstream.seen.at(-1)?.path, '/v1/chat/completions');
  }
  await ask({ model: 'openai/gpt-3.5-turbo-instruct', prompt: 'Hi' });
  assert.equal(upstream.seen.at(-1)?.path, '/v1/completions');
});
