/**
 * Open Responses' compliance suite, as it is sent: against a real local model that sees, and against kinds of providers
 * that do not speak Responses themselves, of every protocol, played from recordings. (For those that do:
 * responses-native.test.ts.) Its 17th test checks its own schema and asks no server.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { suite } from '../support/open-responses-suite.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { drawShape } from '../support/shapes.ts';

const picture = `data:image/png;base64,${drawShape('red', 'circle').toString('base64')}`;

describe('a local model', () => {
  const model = 'qwen-vision:greedy';
  let server: TestServer;
  before(async () => {
    server = await startTestServer({ models: [model] });
  });
  after(() => server.close());
  for (const { name, run } of suite) test(name, () => run({ url: server.url, model, picture }));
});

type Played = {
  kind: string;
  /** Where its API begins. */
  path: string;
  model: string;
  /** Recordings: whole without and with tools, and streamed. */
  plain: string;
  tool: string;
  stream: string;
  /** Settings beside the address. */
  settings?: string;
};

/** A kind that speaks OpenAI's chat, with its own recordings as far as there are any. */
const openaiShaped = (kind: string, model: string, own: Partial<Played> = {}): Played => ({
  kind,
  path: '/v1',
  model,
  plain: `${kind}/chat-plain`,
  tool: `${kind}/chat-plain-tool`,
  stream: `${kind}/chat-stream`,
  ...own,
});
const openai = { plain: 'openai/chat-plain-2', tool: 'openai/chat-plain-tool-2', stream: 'openai/chat-stream' };

const providers: Played[] = [
  openaiShaped('openai-compatible', 'gpt-4o', openai),
  openaiShaped('tokenmix', 'gpt-4o', openai),
  openaiShaped('groq', 'openai/gpt-oss-120b', { stream: openai.stream }),
  openaiShaped('kimi', 'kimi-k2', { stream: 'kimi/chat-stream-think' }),
  openaiShaped('mistral', 'mistral-large-latest', { stream: openai.stream }),
  openaiShaped('openrouter', 'anthropic/claude-sonnet-4'),
  openaiShaped('qwen', 'qwen-plus'),
  openaiShaped('tgi', 'tgi'),
  openaiShaped('vllm', 'qwen', { plain: 'vllm/plain', tool: 'vllm/tool-required', stream: 'vllm/stream' }),
  {
    kind: 'anthropic',
    path: '/v1',
    model: 'claude-sonnet-4-5',
    plain: 'anthropic/chat-plain-2',
    tool: 'anthropic/chat-plain-tool-2',
    stream: 'anthropic/chat-stream',
  },
  {
    kind: 'gemini',
    path: '/v1beta',
    model: 'gemini-2.5-flash',
    plain: 'gemini/chat-plain',
    tool: 'gemini/chat-plain-tool',
    stream: 'gemini/chat-stream',
  },
  {
    kind: 'bedrock',
    path: '',
    model: 'us.amazon.nova-micro-v1:0',
    plain: 'bedrock/chat-plain',
    tool: 'bedrock/chat-plain-tool-think',
    stream: 'bedrock/chat-stream',
    settings: 'access_key_id: a, secret_access_key: b',
  },
];
const fixtures = join(import.meta.dirname, '../../src/providers/__fixtures__');
type Recording = { response: { status: number; headers: Record<string, string>; body: string } };

describe('translated', () => {
  const home = mkdtempSync(join(tmpdir(), 'viaduct-compliance-'));
  let server: TestServer;
  const upstream = createServer(async (request, response) => {
    const { url = '' } = request;
    const body = JSON.parse(await text(request));
    const provider = providers.find(({ kind }) => url.startsWith(`/${kind}/`));
    assert.ok(provider);
    const streams = body.stream === true || /stream/i.test(url);
    const name = streams ? provider.stream : body.tools || body.toolConfig ? provider.tool : provider.plain;
    const recording = JSON.parse(readFileSync(join(fixtures, `${name}.json`), 'utf8')) as Recording;
    const { status, headers, body: answer } = recording.response;
    const bytes = answer.startsWith('base64:') ? Buffer.from(answer.slice(7), 'base64') : answer;
    response.writeHead(status, { 'content-type': String(headers['content-type']) }).end(bytes);
  });
  before(async () => {
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    const { port } = upstream.address() as AddressInfo;
    const lines = providers.map(
      ({ kind, path, settings = 'api_key: k' }) =>
        `  ${kind}: { kind: ${kind}, base_url: "http://127.0.0.1:${port}/${kind}${path}", ${settings} }\n`,
    );
    writeFileSync(join(home, 'viaduct.yaml'), `providers:\n${lines.join('')}`);
    server = await startTestServer({ home });
  });
  after(async () => {
    await server.close();
    upstream.closeAllConnections();
    upstream.close();
    rmSync(home, { recursive: true, force: true });
  });
  for (const { kind, model } of providers)
    describe(kind, () => {
      for (const { name, run } of suite) test(name, () => run({ url: server.url, model: `${kind}/${model}`, picture }));
    });
});
