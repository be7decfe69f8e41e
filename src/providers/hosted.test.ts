/** What recordings do not show: what is sent in words that only one provider has, credentials, pictures by URL, abilities. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, test } from 'node:test';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import type { ChatRequest } from '../core/chat.ts';
import { collect } from '../core/collect.ts';
import type { JsonObject } from '../core/json.ts';
import { describer } from './abilities.ts';
import { providerKinds } from './index.ts';

type Seen = { path: string; headers: IncomingHttpHeaders; text: string; body: JsonObject };

let seen: Seen[] = [];
let reply: (path: string) => { type?: string; body: object | string } = () => ({ body: {} });
let origin: string;
const server = createServer(async (request, response) => {
  const sent = await text(request);
  const path = request.url ?? '';
  const isJson = sent.startsWith('{');
  seen.push({ path, headers: request.headers, text: sent, body: isJson ? JSON.parse(sent) : {} });
  const { type = 'application/json', body } = reply(path);
  response.writeHead(200, { 'content-type': type }).end(typeof body === 'string' ? body : JSON.stringify(body));
});
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  seen = [];
  reply = () => ({ body: completion });
});

const completion = {
  id: 'x',
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'ok' }, finish_reason: 'stop' }],
};
const context = () => ({ signal: new AbortController().signal, requestId: 'req-1', report: {} });

function provide(kind: string, settings: object = {}, path = '/v1') {
  const found = providerKinds.find((candidate) => candidate.kind === kind);
  assert.ok(found);
  return found.create('p', found.config.parse({ base_url: origin + path, api_key: 'k', ...settings }));
}

const question: ChatRequest['messages'] = [{ role: 'user', parts: [{ type: 'text', text: 'Hi' }] }];

/** The body that goes out for a request. */
async function sent(kind: string, request: Partial<ChatRequest> & { model: string }): Promise<JsonObject> {
  const provider = provide(kind);
  assert.ok(provider.chat);
  await collect(provider.chat({ messages: question, stream: false, ...request }, context()));
  await provider.close?.();
  return seen.at(-1)?.body ?? {};
}

const toolTurn: ChatRequest['messages'] = [
  ...question,
  {
    role: 'assistant',
    parts: [
      { type: 'reasoning', text: 'hm' },
      { type: 'tool-call', id: 'call_1', name: 'f', arguments: '{}' },
    ],
  },
  { role: 'tool', toolCallId: 'call_1', parts: [{ type: 'text', text: 'ok' }] },
];
const assistantOf = (body: JsonObject) => (body['messages'] as JsonObject[]).find(({ role }) => role === 'assistant');

test('DeepSeek: thinking is a switch, a turn with calls keeps its thoughts, a schema goes into the prompt', async () => {
  const body = await sent('deepseek', {
    model: 'deepseek-v4-pro',
    messages: toolTurn,
    reasoning: { effort: 'medium' },
    responseFormat: { type: 'json-schema', name: 'x', schema: { type: 'object' } },
  });
  assert.deepEqual([body['thinking'], body['reasoning_effort']], [{ type: 'enabled' }, 'high']);
  assert.equal(assistantOf(body)?.['reasoning_content'], 'hm');
  assert.deepEqual(body['response_format'], { type: 'json_object' });
  assert.match(JSON.stringify(body['messages']), /JSON Schema/);
  const off = await sent('deepseek', { model: 'deepseek-v4-pro', reasoning: { effort: 'none' } });
  assert.deepEqual([off['thinking'], off['reasoning_effort']], [{ type: 'disabled' }, undefined]);
});

test('Kimi: fixed sampling stays away, a forced call turns thinking off', async () => {
  const tools = [{ name: 'f', strict: true }];
  const body = await sent('kimi', { model: 'kimi-k2.6', temperature: 0.2, tools, toolChoice: 'required' });
  assert.equal(body['temperature'], undefined);
  assert.deepEqual(body['thinking'], { type: 'disabled' });
  assert.equal(JSON.stringify(body['tools']).includes('strict'), false);
  assert.equal((await sent('kimi', { model: 'kimi-k3', reasoning: { effort: 'xhigh' } }))['reasoning_effort'], 'max');
  assert.equal((await sent('kimi', { model: 'moonshot-v1-8k', temperature: 0.2 }))['temperature'], 0.2);
});

test('Mistral: thoughts are parts of the content, ids have nine letters, the seed has another name', async () => {
  const body = await sent('mistral', {
    model: 'mistral-small-latest',
    messages: toolTurn,
    seed: 7,
    cacheKey: 'c',
    reasoning: { effort: 'low' },
  });
  assert.deepEqual([body['random_seed'], body['prompt_cache_key'], body['reasoning_effort']], [7, 'c', 'high']);
  const [, assistant, result] = body['messages'] as JsonObject[];
  assert.deepEqual(assistant?.['content'], [{ type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] }]);
  assert.match(String(result?.['tool_call_id']), /^[a-zA-Z0-9]{9}$/);
  assert.equal(
    (await sent('mistral', { model: 'mistral-large-latest', reasoning: {} }))['reasoning_effort'],
    undefined,
  );
});

test('Groq and Grok: only what the model takes', async () => {
  const groq = await sent('groq', {
    model: 'openai/gpt-oss-120b',
    reasoning: { effort: 'xhigh' },
    serviceTier: 'default',
  });
  assert.deepEqual(
    [groq['reasoning_effort'], groq['reasoning_format'], groq['service_tier']],
    ['high', 'parsed', 'on_demand'],
  );
  assert.equal(
    (await sent('groq', { model: 'llama-3.3-70b-versatile', reasoning: {} }))['reasoning_effort'],
    undefined,
  );
  const grok = await sent('grok', { model: 'grok-4', stop: ['x'], presencePenalty: 1, reasoning: { effort: 'high' } });
  assert.deepEqual(
    [grok['stop'], grok['presence_penalty'], grok['reasoning_effort']],
    [undefined, undefined, undefined],
  );
  assert.equal((await sent('grok', { model: 'grok-4.3', reasoning: { effort: 'none' } }))['reasoning_effort'], 'none');
  const fast = await sent('grok', { model: 'grok-4-fast-non-reasoning', stop: ['x'], frequencyPenalty: 1 });
  assert.deepEqual([fast['stop'], fast['frequency_penalty']], [['x'], undefined]);
  assert.equal((await sent('grok', { model: 'grok-3', frequencyPenalty: 1 }))['frequency_penalty'], 1);
});

test('Qwen: thinking is a switch with a budget; what answers only in streams is streamed', async () => {
  const body = await sent('qwen', { model: 'qwen-plus', reasoning: { effort: 'low' } });
  assert.deepEqual([body['enable_thinking'], body['thinking_budget']], [true, 2048]);
  const chunk = { id: 'x', model: 'm', choices: [{ index: 0, delta: { content: 'ok' }, finish_reason: 'stop' }] };
  reply = () => ({ type: 'text/event-stream', body: `data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n` });
  assert.equal((await sent('qwen', { model: 'qwen3-8b' }))['stream'], true);
  const relay = await provide('qwen').relay?.(
    { protocol: 'openai-chat', body: { model: 'qwq-plus', messages: [] }, stream: false },
    context(),
  );
  assert.ok(relay && 'events' in relay);
  assert.deepEqual((await collect(relay.events)).parts, [{ type: 'text', text: 'ok' }]);
});

test('TGI: JSON without a schema is a grammar too', async () => {
  const body = await sent('tgi', { model: 'tgi', responseFormat: { type: 'json' }, maxTokens: 5 });
  assert.deepEqual(
    [body['response_format'], body['max_tokens']],
    [{ type: 'json_object', value: { type: 'object' } }, 5],
  );
});

test('Bedrock: the signature is AWS’s own over path and body', async () => {
  reply = () => ({ body: { output: { message: { content: [{ text: 'ok' }] } }, stopReason: 'end_turn', usage: {} } });
  const credentials = { access_key_id: 'AKIDEXAMPLE', secret_access_key: 'secret', session_token: 'token' };
  const provider = provide('bedrock', { api_key: undefined, region: 'eu-west-1', ...credentials }, '');
  assert.ok(provider.chat);
  const model = 'eu.anthropic.claude-sonnet-4-5-20250929-v1:0';
  const { id, model: name } = await collect(provider.chat({ model, messages: question, stream: false }, context()));
  assert.deepEqual([id, name], ['req-1', model]);
  const [request] = seen;
  assert.ok(request);
  const stamp = String(request.headers['x-amz-date']);
  const signer = new SignatureV4({
    service: 'bedrock',
    region: 'eu-west-1',
    sha256: Sha256,
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret', sessionToken: 'token' },
  });
  const { hostname, port, host } = new URL(origin);
  const [, names = ''] = /SignedHeaders=([^,]+)/.exec(String(request.headers.authorization)) ?? [];
  const headers = Object.fromEntries(
    names.split(';').map((header) => [header, String(request.headers[header] ?? host)]),
  );
  const expected = await signer.sign(
    {
      method: 'POST',
      protocol: 'http:',
      hostname,
      port: Number(port),
      path: request.path,
      headers,
      body: request.text,
    },
    { signingDate: new Date(stamp.replace(/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/, '$1-$2-$3T$4:$5:$6Z')) },
  );
  assert.equal(request.headers.authorization, expected.headers['authorization']);
  assert.equal(request.path, `/model/${encodeURIComponent(model)}/converse`);
  await provider.close?.();
});

test('Bedrock: credentials as AWS’s tools find them', async () => {
  reply = () => ({ body: { output: { message: { content: [{ text: 'ok' }] } }, stopReason: 'end_turn', usage: {} } });
  const environment = { AWS_ACCESS_KEY_ID: 'AKIDENVIRONMENT', AWS_SECRET_ACCESS_KEY: 's', AWS_REGION: 'us-west-2' };
  Object.assign(process.env, environment);
  try {
    const provider = provide('bedrock', { api_key: undefined }, '');
    assert.ok(provider.chat);
    await collect(provider.chat({ model: 'm', messages: question, stream: false }, context()));
    assert.match(String(seen[0]?.headers.authorization), /Credential=AKIDENVIRONMENT\/\d+\/us-west-2\/bedrock/);
    await provider.close?.();
  } finally {
    for (const name of Object.keys(environment)) delete process.env[name];
  }
});

test('Vertex: Google’s library fetches the token, once; Gemini and Claude have their own paths', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'viaduct-vertex-'));
  writeFileSync(join(folder, 'subject'), 'a token of the cluster');
  const credentials = join(folder, 'credentials.json');
  writeFileSync(
    credentials,
    JSON.stringify({
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `${origin}/token`,
      credential_source: { file: join(folder, 'subject') },
    }),
  );
  reply = (path) => {
    if (path === '/token')
      return { body: { access_token: 'google-token', token_type: 'Bearer', expires_in: 3600, issued_token_type: 'x' } };
    if (path.includes('anthropic'))
      return {
        body: {
          type: 'message',
          role: 'assistant',
          id: 'a',
          model: 'c',
          content: [],
          stop_reason: 'end_turn',
          usage: {},
        },
      };
    return { body: { candidates: [{ content: { parts: [{ text: 'ok' }] }, finishReason: 'STOP' }] } };
  };
  const provider = provide('vertex', { api_key: undefined, project: 'p', location: 'eu', credentials }, '');
  assert.ok(provider.chat);
  for (const model of ['gemini-2.5-flash', 'claude-sonnet-4-5@20250929'])
    await collect(provider.chat({ model, messages: question, stream: false }, context()));
  assert.deepEqual(
    seen.map(({ path }) => path),
    [
      '/token',
      '/v1beta1/projects/p/locations/eu/publishers/google/models/gemini-2.5-flash:generateContent',
      '/v1/projects/p/locations/eu/publishers/anthropic/models/claude-sonnet-4-5%4020250929:rawPredict',
    ],
  );
  assert.ok(seen.slice(1).every(({ headers }) => headers.authorization === 'Bearer google-token'));
  assert.equal(seen[2]?.body['model'], undefined);
  assert.equal(seen[2]?.body['anthropic_version'], 'vertex-2023-10-16');
  await provider.close?.();
  rmSync(folder, { recursive: true });
});

test('credentials that cannot be used are told as the server’s fault, without their address', async () => {
  const provider = provide(
    'vertex',
    { api_key: undefined, project: 'p', credentials: '/nowhere/credentials.json' },
    '',
  );
  assert.ok(provider.chat);
  const answer = collect(provider.chat({ model: 'gemini-2.5-flash', messages: question, stream: false }, context()));
  await assert.rejects(answer, (error: Error & { code: string }) => {
    assert.equal(error.code, 'provider_account');
    assert.doesNotMatch(error.message, /nowhere/);
    return true;
  });
});

test('a picture by URL is fetched for those who do not fetch; never from a private address', async () => {
  for (const kind of ['gemini', 'bedrock', 'kimi', 'ollama']) {
    const provider = provide(kind);
    assert.ok(provider.chat);
    const source = { url: `${origin}/picture.png` };
    const messages: ChatRequest['messages'] = [{ role: 'user', parts: [{ type: 'image', source }] }];
    await assert.rejects(collect(provider.chat({ model: 'm', messages, stream: false }, context())), {
      code: 'image_download_failed',
      param: 'messages[0].content',
    });
    assert.equal(seen.length, 0);
    await provider.close?.();
  }
});

test('pictures are made by Imagen, Gemini and Nova in OpenAI’s words', async () => {
  reply = (path) => {
    if (path.includes('predict')) return { body: { predictions: [{ bytesBase64Encoded: 'cGlj' }] } };
    if (path.includes('invoke')) return { body: { images: ['cGlj'] } };
    return { body: { candidates: [{ content: { parts: [{ text: 'Here' }, { inlineData: { data: 'cGlj' } }] } }] } };
  };
  for (const [kind, model] of [
    ['gemini', 'imagen-4.0-generate-001'],
    ['gemini', 'gemini-2.5-flash-image'],
    ['bedrock', 'amazon.nova-canvas-v1:0'],
  ] as const) {
    const provider = provide(kind);
    const made = await provider.image?.({ model, body: { model, prompt: 'a bridge', size: '1536x1024' } }, context());
    assert.deepEqual(made?.['data'], [{ b64_json: 'cGlj' }]);
    await provider.close?.();
  }
  assert.deepEqual(seen[0]?.body['parameters'], { sampleCount: 1, aspectRatio: '4:3' });
});

test('lists of models keep what the provider says of them', async () => {
  reply = () => ({
    body: {
      data: [
        {
          id: 'a/b',
          context_length: 1000,
          architecture: { input_modalities: ['text', 'image'] },
          supported_parameters: ['tools', 'reasoning'],
          top_provider: { max_completion_tokens: 100 },
        },
      ],
    },
  });
  assert.deepEqual(await provide('openrouter').models?.(new AbortController().signal), [
    { id: 'a/b', contextLength: 1000, maxOutput: 100, capabilities: ['completion', 'tools', 'vision', 'thinking'] },
  ]);
});

test('abilities by name; strangers are unknown', () => {
  const can = (kind: string, model: string) => describer(kind)(model)?.capabilities;
  assert.equal(can('deepseek', 'deepseek-chat')?.includes('vision'), false);
  assert.equal(can('openai', 'gpt-4o')?.includes('vision'), true);
  assert.equal(can('openai', 'o3-mini')?.includes('vision'), false);
  assert.equal(can('qwen', 'qwen-vl-max')?.includes('vision'), true);
  assert.equal(can('qwen', 'qwen-plus')?.includes('vision'), false);
  assert.equal(can('qwen', 'qwen3:8b'), undefined);
  assert.equal(can('openai', 'text-embedding-3-small'), undefined);
  assert.equal(can('vllm', 'gpt-4o'), undefined);
});

test('Qwen and vLLM: a call whose arguments are broken goes back without any', async () => {
  for (const kind of ['qwen', 'vllm']) {
    const messages = structuredClone(toolTurn);
    const parts = messages[1]?.role === 'assistant' ? messages[1].parts : [];
    parts.push({ type: 'tool-call', id: 'call_2', name: 'g', arguments: '{"city": "Par' });
    parts.push({ type: 'tool-call', id: 'call_3', name: 'h', arguments: '{"a": 1}' });
    messages.push({ role: 'tool', toolCallId: 'call_2', parts: [] }, { role: 'tool', toolCallId: 'call_3', parts: [] });
    const body = await sent(kind, { model: 'm', messages });
    const calls = assistantOf(body)?.['tool_calls'] as { function: { arguments: string } }[];
    assert.deepEqual(
      calls.map((call) => call.function.arguments),
      ['{}', '{}', '{"a": 1}'],
    );
  }
});

test('Groq: beside tools, a format of the answer is told', async () => {
  const format = { type: 'json-schema' as const, name: 'x', schema: { type: 'object', title: 'Weather' } };
  const model = 'llama-3.3-70b-versatile';
  const body = await sent('groq', { model, tools: [{ name: 'f' }], responseFormat: format });
  assert.equal(body['response_format'], undefined);
  assert.match(JSON.stringify(body['messages']), /Weather/);
  assert.ok((await sent('groq', { model, responseFormat: format }))['response_format']);
});

test('Mistral’s models: a user who speaks right after a tool is answered first', async () => {
  const messages: ChatRequest['messages'] = [...toolTurn, ...question];
  for (const [kind, model, roles] of [
    ['mistral', 'devstral-latest', ['user', 'assistant', 'tool', 'assistant', 'user']],
    ['vllm', 'mistralai/Devstral-Small-2', ['user', 'assistant', 'tool', 'assistant', 'user']],
    ['vllm', 'Qwen/Qwen3-8B', ['user', 'assistant', 'tool', 'user']],
  ] as const) {
    const body = await sent(kind, { model, messages });
    assert.deepEqual(
      (body['messages'] as JsonObject[]).map(({ role }) => role),
      roles,
    );
  }
});

test('OpenAI: a request of another protocol is made to fit the model', async () => {
  const wish = { temperature: 0.7, topP: 0.9, presencePenalty: 1, verbosity: 'low' as const };
  const of = async (model: string, effort?: 'none' | 'minimal' | 'high' | 'xhigh') => {
    const body = await sent('openai', { model, ...wish, ...(effort && { reasoning: { effort } }) });
    return [body['temperature'], body['presence_penalty'], body['reasoning_effort'], body['verbosity']];
  };
  assert.deepEqual(await of('gpt-4o', 'high'), [0.7, 1, undefined, undefined]);
  assert.deepEqual(await of('gpt-5', 'xhigh'), [undefined, undefined, 'high', 'low']);
  assert.deepEqual(await of('gpt-5-mini', 'none'), [undefined, undefined, 'minimal', 'low']);
  assert.deepEqual(await of('o4-mini', 'minimal'), [undefined, undefined, 'low', 'low']);
  assert.deepEqual(await of('gpt-5.2', 'none'), [0.7, 1, 'none', 'low']);
  assert.deepEqual(await of('gpt-5.2'), [0.7, 1, undefined, 'low']);
  assert.deepEqual(await of('gpt-5.2', 'xhigh'), [undefined, undefined, 'xhigh', 'low']);
  assert.deepEqual(await of('gpt-5.1-codex', 'none'), [undefined, undefined, 'low', 'low']);
  assert.deepEqual(await of('my-own-model', 'xhigh'), [0.7, 1, 'xhigh', 'low']);
});

test('DeepSeek and Qwen: a forced call turns thinking off, which would refuse it', async () => {
  const tools = [{ name: 'f' }];
  const forced = { tools, toolChoice: { name: 'f' }, reasoning: { effort: 'high' as const } };
  const deepseek = await sent('deepseek', { model: 'deepseek-v4-flash', ...forced });
  assert.deepEqual([deepseek['thinking'], deepseek['reasoning_effort']], [{ type: 'disabled' }, undefined]);
  const unasked = await sent('deepseek', { model: 'deepseek-v4-flash', tools, toolChoice: 'required' });
  assert.deepEqual(unasked['thinking'], { type: 'disabled' });
  assert.equal(
    (await sent('deepseek', { model: 'deepseek-v4-flash', tools, toolChoice: 'auto' }))['thinking'],
    undefined,
  );
  const qwen = await sent('qwen', { model: 'qwen3.5-plus', tools, toolChoice: 'required' });
  assert.deepEqual([qwen['enable_thinking'], qwen['tool_choice']], [false, 'required']);
  assert.equal((await sent('qwen', { model: 'qwen3.5-plus', ...forced }))['enable_thinking'], false);
  assert.equal(
    (await sent('qwen', { model: 'qwen2.5-72b-instruct', tools, toolChoice: 'required' }))['enable_thinking'],
    undefined,
  );
});

test('a tool whose name the provider would refuse has another there, and its own here', async () => {
  const name = `mcp__files__${'read_'.repeat(20)}`;
  const nameSent = () => {
    const { tools = [] } = (seen.at(-1)?.body ?? {}) as { tools?: { function: { name: string } }[] };
    return tools[0]?.function.name ?? '';
  };
  reply = () => {
    const call = { id: 'call_1', type: 'function', function: { name: nameSent(), arguments: '{}' } };
    const choice = { index: 0, message: { role: 'assistant', tool_calls: [call] }, finish_reason: 'tool_calls' };
    return { body: { ...completion, choices: [choice] } };
  };
  const provider = provide('openai');
  assert.ok(provider.chat);
  const request = { model: 'm', messages: question, stream: false, tools: [{ name }] };
  const { parts } = await collect(provider.chat(request, context()));
  await provider.close?.();
  assert.deepEqual(
    parts.map((part) => part.type === 'tool-call' && part.name),
    [name],
  );
  assert.match(nameSent(), /^mcp__files__read_[\w-]{1,48}$/);
});
