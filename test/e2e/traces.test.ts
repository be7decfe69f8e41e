/** Traces as a real collector receives them, and what the provider hears of them. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { startFaultyUpstream } from '../faults/upstream.ts';
import { startRecordedUpstream } from '../support/recorded-upstream.ts';
import { makeHome, startTestServer } from '../support/server.ts';

type Value = { stringValue?: string; intValue?: number | string; doubleValue?: number; boolValue?: boolean };
type Span = {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  attributes: { key: string; value: Value }[];
  status?: { code?: number };
};
type Export = {
  resourceSpans: { resource: { attributes: Span['attributes'] }; scopeSpans: { spans: Span[] }[] }[];
};

const [serverKind, clientKind] = [2, 3];

function attributesOf({ attributes }: Pick<Span, 'attributes'>): Record<string, string | number | boolean | undefined> {
  const plain = ({ stringValue, intValue, doubleValue, boolValue }: Value) =>
    stringValue ?? doubleValue ?? boolValue ?? (intValue === undefined ? undefined : Number(intValue));
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plain(value)]));
}

async function startCollector(t: TestContext) {
  const exports: Export[] = [];
  const seen: { url: string | undefined; headers: IncomingHttpHeaders }[] = [];
  const server = createServer(async (request, response) => {
    seen.push({ url: request.url, headers: request.headers });
    exports.push(JSON.parse(await text(request)) as Export);
    response.setHeader('content-type', 'application/json').end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    exports,
    spans: () =>
      exports.flatMap(({ resourceSpans }) =>
        resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
      ),
  };
}

async function start(t: TestContext, more: string, env: Record<string, string>) {
  const upstream = await startRecordedUpstream(
    ['chat-basic.0.44054c.json', 'sse-chat-streaming.0.8b530e.json', 'embeddings-dimensions.0.e4131c.json'].map(
      (file) => join(import.meta.dirname, '__fixtures__', file),
    ),
  );
  const faulty = await startFaultyUpstream();
  const home = await makeHome();
  const server = await startTestServer({
    home,
    config: `
providers:
  openai: { base_url: "${upstream.origin}/v1", api_key: x }
  bad: { kind: openai-compatible, base_url: "${faulty.url}", api_key: x }
models:
  fast: { targets: [bad/500, openai/gpt-5-nano], retries: 0 }
${more}`,
    env,
  });
  t.after(async () => {
    await server.close();
    await upstream.close();
    await faulty.close();
    rmSync(home, { recursive: true, force: true });
  });
  return { server, upstream };
}

const traceId = '0af7651916cd43dd8448eb211c80319c';
const parentId = 'b7ad6b7169203331';
const headers = { traceparent: `00-${traceId}-${parentId}-01`, tracestate: 'vendor=value' };
const said = { messages: [{ role: 'user', content: 'A secret question' }] };

test('a server span for a request, a client span for each attempt, the provider below its attempt', async (t) => {
  const collector = await startCollector(t);
  const { server, upstream } = await start(t, '', {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=red',
    OTEL_SERVICE_NAME: 'my-gateway',
  });
  const post = (path: string, body: object, more: Record<string, string> = {}) =>
    fetch(`${server.url}${path}`, { method: 'POST', headers: more, body: JSON.stringify(body) });
  const body = { model: 'fast', temperature: 0.5, max_tokens: 50, ...said };
  assert.equal((await post('/v1/chat/completions', body, headers)).status, 200);
  await (await post('/v1/chat/completions', { ...body, stream: true })).text();
  await post('/v1/embeddings', { model: 'openai/text-embedding-3-small', input: 'x', dimensions: 2 });
  await fetch(`${server.url}/providers/openai/v1/models`);
  assert.equal((await post('/v1/chat/completions', { model: 'nobody', ...said })).status, 404);
  await fetch(`${server.url}/healthz`);
  await server.close();

  assert.equal(collector.seen[0]?.url, '/v1/traces');
  assert.equal(collector.seen[0]?.headers['x-tenant'], 'red');
  const resource = collector.exports[0]?.resourceSpans[0]?.resource;
  assert.equal(resource && attributesOf(resource)['service.name'], 'my-gateway');
  const spans = collector.spans();
  const requests = spans.filter(({ kind }) => kind === serverKind);
  assert.equal(requests.length, 5, spans.map(({ name }) => name).join());

  const [first] = requests;
  assert.ok(first);
  assert.equal(first.traceId, traceId);
  assert.equal(first.parentSpanId, parentId);
  assert.equal(first.name, 'POST /v1/chat/completions');
  const of = attributesOf(first);
  assert.equal(of['gen_ai.operation.name'], 'chat');
  assert.equal(of['gen_ai.request.model'], 'fast');
  assert.equal(of['gen_ai.response.model'], 'gpt-5-nano');
  assert.equal(of['gen_ai.provider.name'], 'openai');
  assert.equal(of['gen_ai.request.temperature'], 0.5);
  assert.equal(of['gen_ai.request.max_tokens'], 50);
  assert.equal(of['http.response.status_code'], 200);
  assert.equal(of['viaduct.attempts'], 2);
  assert.ok(Number(of['gen_ai.usage.input_tokens']) > 0 && Number(of['gen_ai.usage.output_tokens']) > 0);

  const children = spans.filter(({ parentSpanId }) => parentSpanId === first.spanId);
  assert.deepEqual(
    children.map((span) => [span.name, span.kind, attributesOf(span)['error.type']]),
    [
      ['chat 500', clientKind, 'provider_unavailable'],
      ['chat gpt-5-nano', clientKind, undefined],
    ],
  );
  const heard = upstream.seen[0]?.headers;
  assert.equal(heard?.['traceparent'], `00-${traceId}-${children[1]?.spanId}-01`);
  assert.equal(heard?.['tracestate'], 'vendor=value');
  for (const { headers: sent } of upstream.seen)
    assert.ok(
      spans.some(({ spanId }) => sent['traceparent']?.includes(spanId)),
      String(sent['traceparent']),
    );

  const unknown = requests.find((span) => attributesOf(span)['gen_ai.request.model'] === 'nobody');
  assert.equal(unknown && attributesOf(unknown)['error.type'], 'model_not_found');
  assert.equal(unknown && attributesOf(unknown)['http.response.status_code'], 404);
  assert.doesNotMatch(JSON.stringify(collector.exports), /A secret question/);
});

test('by the configuration; who calls us and wants no trace gets none; a collector that is away costs nothing', async (t) => {
  const collector = await startCollector(t);
  const { server } = await start(t, `traces: { endpoint: "${collector.url}/" }\n`, {});
  const ask = (more: Record<string, string>) =>
    fetch(`${server.url}/v1/chat/completions`, {
      method: 'POST',
      headers: more,
      body: JSON.stringify({ model: 'openai/gpt-5-nano', ...said }),
    });
  await ask({ traceparent: `00-${traceId}-${parentId}-00` });
  await ask({ traceparent: 'nonsense' });
  await server.close();
  assert.equal(collector.spans().filter(({ kind }) => kind === serverKind).length, 1);

  const away = await start(t, 'traces: { endpoint: "http://127.0.0.1:9" }\n', {});
  await fetch(`${away.server.url}/v1/models`);
  const reply = await fetch(`${away.server.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model: 'openai/gpt-5-nano', ...said }),
  });
  assert.equal(reply.status, 200);
});

test('without a collector nothing of it is loaded, and the client’s header goes nowhere', async (t) => {
  const { server, upstream } = await start(t, '', {});
  await fetch(`${server.url}/v1/chat/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ model: 'openai/gpt-5-nano', ...said }),
  });
  assert.equal(upstream.seen[0]?.headers['traceparent'], undefined);
});
