/**
 * Every kind of provider against recorded exchanges: what it sends for the recorded request, and what it makes of the
 * recorded reply. Both stand in the recording's file as `golden`; UPDATE_GOLDEN=1 writes them anew, to be read through
 * before they are committed.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import type { ChatRequest, ChatResult, Protocol } from '../core/chat.ts';
import { collect } from '../core/collect.ts';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { CallContext, Provider } from '../core/provider.ts';
import * as anthropic from '../protocols/anthropic-messages.ts';
import * as bedrock from '../protocols/bedrock-converse.ts';
import * as gemini from '../protocols/gemini.ts';
import * as ollama from '../protocols/ollama.ts';
import * as openaiChat from '../protocols/openai-chat.ts';
import * as embeddings from '../protocols/openai-embeddings.ts';
import { list, object, text as textOf } from '../protocols/read.ts';
import { providerKinds } from './index.ts';

type Recording = {
  request: { method: string; url: string; body: JsonObject };
  response: { status: number; headers: Record<string, string | string[]>; body: string };
  golden?: unknown;
};
type Seen = { path: string; headers: IncomingHttpHeaders; body: JsonObject };

const folder = join(import.meta.dirname, '__fixtures__');

/** Settings beside the address and the key, where a kind needs them. */
const settings: Record<string, object> = {
  azure: { api_version: '2025-01-01-preview' },
  vertex: { project: 'p', location: 'global' },
  bedrock: { api_key: undefined, access_key_id: 'AKIDEXAMPLE', secret_access_key: 'secret', region: 'us-east-1' },
};
/** Path of the base URL. */
const basePaths: Record<string, string> = {
  anthropic: '/v1',
  gemini: '/v1beta',
  openrouter: '/api/v1',
  groq: '/openai/v1',
  azure: '',
  vertex: '',
  bedrock: '',
  ollama: '',
  deepseek: '',
};
/** The header that carries the key. */
const authorization: Record<string, [header: string, value: RegExp]> = {
  azure: ['api-key', /^the-key$/],
  anthropic: ['x-api-key', /^the-key$/],
  gemini: ['x-goog-api-key', /^the-key$/],
  bedrock: ['authorization', /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/us-east-1\/bedrock\/aws4_request/],
};

let origin: string;
let current: Recording['response'];
let seen: Seen | undefined;
const server = createServer(async (request, response) => {
  const { url: path = '', headers } = request;
  seen = { path, headers, body: JSON.parse(await text(request)) };
  const { status, body } = current;
  const bytes = body.startsWith('base64:') ? Buffer.from(body.slice('base64:'.length), 'base64') : body;
  const kept = ['content-type', 'retry-after', 'x-amzn-errortype', 'x-amzn-bedrock-input-token-count'].flatMap(
    (name) => (current.headers?.[name] ? [[name, String(current.headers[name])] as const] : []),
  );
  response.writeHead(status, Object.fromEntries(kept)).end(bytes);
});
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

function provide(kind: string): Provider {
  const found = providerKinds.find((candidate) => candidate.kind === kind);
  assert.ok(found, kind);
  const base_url = origin + (basePaths[kind] ?? '/v1');
  return found.create('p', found.config.parse({ base_url, api_key: 'the-key', ...settings[kind] }));
}

const context = (): CallContext => ({ signal: new AbortController().signal, requestId: 'req-1', report: {} });

/** What the recorded request means, asked of our provider. */
async function ask(provider: Provider, { request }: Recording): Promise<unknown> {
  const { pathname } = new URL(request.url);
  const model = decodeURIComponent(
    /\/models?\/([^/:]+|[^/]+(?=\/))/.exec(pathname)?.[1] ?? textOf(request.body['model']),
  );
  const body = { ...request.body, model };
  if (/embed|\/invoke$/i.test(pathname)) {
    const input = inputsOf(request.body);
    const { dimensions } = embeddings.decodeRequest({ model, input, ...sizeOf(request.body) }).request;
    const result = await provider.embed?.({ model, input, ...(dimensions && { dimensions }) }, context());
    return result && { ...result, vectors: result.vectors.map((vector) => [vector.length, vector[0], vector.at(-1)]) };
  }
  const neutral = neutralRequest(pathname, body, model);
  if (/count/i.test(pathname)) return provider.countTokens?.(neutral, context());
  assert.ok(provider.chat);
  return collect(provider.chat(neutral, context()));
}

function inputsOf({ input, inputText, texts, requests, singleEmbeddingParams }: JsonObject): string[] {
  const value = input ?? inputText ?? texts ?? object(object(singleEmbeddingParams)['text'])['value'];
  if (requests)
    return list(requests).map((entry) => textOf(object(list(object(object(entry)['content'])['parts'])[0])['text']));
  return [value].flat().map(String);
}

function sizeOf({ dimensions, requests }: JsonObject): JsonObject {
  const size = dimensions ?? object(list(requests)[0])['outputDimensionality'];
  return size ? { dimensions: size } : {};
}

function neutralRequest(pathname: string, body: JsonObject, model: string): ChatRequest {
  if (/generateContent|countTokens/i.test(pathname)) {
    const { model: _model, generateContentRequest, ...rest } = body;
    const content = { ...rest, ...object(generateContentRequest) };
    return gemini.decodeRequest(content, { model, stream: pathname.includes('stream') });
  }
  if (/converse|count-tokens/.test(pathname)) {
    const { model: _model, input, ...rest } = body;
    const converse = { ...rest, ...object(object(input)['converse']) };
    return bedrock.decodeRequest(converse, { model, stream: pathname.includes('stream') });
  }
  if (pathname.includes('/messages')) return anthropic.decodeRequest(body);
  if (pathname === '/api/chat') return ollama.decodeRequest(body);
  return openaiChat.decodeRequest(inOpenAiWords(body));
}

/** Mistral's client leaves the type of tools out and says `any`; what OpenRouter runs itself is no tool of ours. */
function inOpenAiWords(body: JsonObject): JsonObject {
  const { tools, tool_choice } = body;
  if (!Array.isArray(tools)) return body;
  const own = tools.map((tool) => ({ type: 'function', ...object(tool) })).filter(({ type }) => type === 'function');
  const choice = tool_choice === 'any' ? 'required' : tool_choice;
  const { tools: _tools, tool_choice: _choice, ...rest } = body;
  return own.length === 0 ? rest : { ...rest, tools: own, ...(choice !== undefined && { tool_choice: choice }) };
}

const protocols: [path: RegExp, protocol: Protocol][] = [
  [/\/chat\/completions$/, 'openai-chat'],
  [/\/v1\/messages$/, 'anthropic-messages'],
  [/^\/api\/chat$/, 'ollama'],
];

/** Where the provider speaks the client's protocol, its reply goes through untouched and is counted all the same. */
async function relayed(provider: Provider, { request, response }: Recording, answer: unknown): Promise<void> {
  const protocol = protocols.find(([path]) => path.test(new URL(request.url).pathname))?.[1];
  const model = textOf(request.body['model']);
  if (!protocol || !provider.relay || !provider.relays(protocol, model) || response.status !== 200) return;
  const stream = request.body['stream'] === true;
  const reply = await provider.relay({ protocol, body: request.body, stream }, context());
  assert.ok('body' in reply);
  const { scanner, filter } = reply;
  assert.ok(scanner);
  const passed: Buffer[] = [];
  for await (const chunk of reply.body) {
    scanner.push(chunk);
    passed.push(filter ? filter.push(chunk) : chunk);
  }
  scanner.end?.();
  if (filter) passed.push(filter.end());
  assert.equal(Buffer.concat(passed).toString(), response.body);
  if (scanner.error) return;
  assert.deepEqual(scanner.usage ?? { input: 0, output: 0 }, (answer as ChatResult).finish.usage);
}

/** As JSON has it: no undefined, no other number types. */
const plain = (value: unknown): unknown => (value === undefined ? null : JSON.parse(JSON.stringify(value)));

for (const kind of readdirSync(folder).filter((name) => !name.includes('.')))
  describe(kind, () => {
    for (const file of readdirSync(join(folder, kind)).filter((name) => name.endsWith('.json'))) {
      const path = join(folder, kind, file);
      const recording: Recording = JSON.parse(readFileSync(path, 'utf8'));
      if (recording.request.method === 'GET') continue;
      test(file, async () => {
        const provider = provide(kind);
        current = recording.response;
        seen = undefined;
        let outcome: object;
        try {
          const answer = await ask(provider, recording);
          outcome = { answer };
          const sent = seen;
          await relayed(provider, recording, answer);
          seen = sent;
        } catch (error) {
          if (!(error instanceof ViaductError)) throw error;
          const { code, message, param, retryAfter } = error;
          outcome = { error: { code, message, param, retryAfter } };
        }
        await provider.close?.();
        const request = seen as Seen | undefined;
        if (request) {
          const [header, value] = authorization[kind] ?? ['authorization', /^Bearer the-key$/];
          assert.match(String(request.headers[header]), value);
        }
        const golden = plain({ sent: request && { path: request.path, body: request.body }, ...outcome });
        if (process.env['UPDATE_GOLDEN']) writeFileSync(path, `${JSON.stringify({ ...recording, golden }, null, 1)}\n`);
        else assert.deepEqual(golden, recording.golden);
      });
    }
  });
