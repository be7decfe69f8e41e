/** An OpenAI-shaped server that fails in every way there is. The model's name says how; `ok` does not fail. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

export type Seen = {
  model: string;
  /** The gateway hung up before we had ended. */
  hungUp: boolean;
  body: Record<string, unknown>;
  at: number;
};

export type FaultyUpstream = {
  /** Ends in /v1. */
  url: string;
  /** Every request, oldest first. */
  seen: Seen[];
  close(): Promise<void>;
};

type Exchange = {
  request: IncomingMessage;
  response: ServerResponse;
  stream: boolean /** 1 = the model's first request. */;
  nth: number;
};

const usage = { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 };
const chunk = (delta: object, finish: string | null = null, more: object = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1,
  model: 'm',
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...more,
});
const sse = (...events: (object | string)[]) =>
  events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join('');

const role = chunk({ role: 'assistant', content: '' });
const words = [chunk({ content: 'Hello' }), chunk({ content: ' world' })];
const stop = chunk({}, 'stop');
const usageChunk = { ...chunk({}), choices: [], usage };
const completion = (message: object, more: object = {}) =>
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: 'stop' }],
    usage,
    ...more,
  });
const answer = completion({ content: 'Hello world' });
const answerStream = sse(role, ...words, stop, usageChunk, '[DONE]');

const json = ({ response }: Exchange, body: string | Buffer, status = 200, headers: Record<string, string> = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
const events = ({ response }: Exchange, body: string | Buffer) =>
  response.writeHead(200, { 'content-type': 'text/event-stream' }).end(body);
const ok = (exchange: Exchange) => (exchange.stream ? events(exchange, answerStream) : json(exchange, answer));
const fail =
  (status: number, headers: Record<string, string> = {}) =>
  (exchange: Exchange) =>
    json(exchange, '{"error":{"message":"secret-upstream-text","type":"server_error","code":null}}', status, headers);

/** Model → what happens. Unary and streamed alike unless it says otherwise. */
const faults: Record<string, (exchange: Exchange) => unknown> = {
  ok,
  reset: ({ request }) => request.socket.resetAndDestroy(),
  'reset-mid-body': async (exchange) => {
    const { response, request, stream } = exchange;
    response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
    response.write(stream ? sse(role, words[0] as object) : answer.slice(0, 60));
    await sleep(30);
    request.socket.resetAndDestroy();
  },
  'reset-before-content': async ({ response, request, stream }) => {
    response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
    response.write(stream ? sse(role) : '{"id":');
    await sleep(30);
    request.socket.resetAndDestroy();
  },
  'stall-before': () => {},
  'stall-headers': ({ response, stream }) =>
    response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' }).flushHeaders(),
  'stall-after': ({ response, stream }) => {
    response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
    response.write(stream ? sse(role, words[0] as object) : answer.slice(0, 60));
  },
  drip: async ({ response, stream }) => {
    response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
    const bytes = Buffer.from(stream ? answerStream : answer);
    for (let at = 0; at < bytes.length; at += 7) {
      response.write(bytes.subarray(at, at + 7));
      if (at % 35 === 0) await sleep(1);
    }
    response.end();
  },
  '429-retry-after': (exchange) => (exchange.nth === 1 ? fail(429, { 'retry-after': '1' })(exchange) : ok(exchange)),
  '429': (exchange) => (exchange.nth === 1 ? fail(429)(exchange) : ok(exchange)),
  '429-long': fail(429, { 'retry-after': '120' }),
  '500-then-200': (exchange) => (exchange.nth === 1 ? fail(500)(exchange) : ok(exchange)),
  '500': fail(500),
  '503': fail(503),
  '529': fail(529),
  '408': fail(408),
  '409': fail(409),
  '401': fail(401),
  '403': fail(403),
  '400': (exchange) =>
    json(
      exchange,
      '{"error":{"message":"temperature must be at most 2","type":"invalid_request_error","param":"temperature","code":null}}',
      400,
    ),
  'too-long': (exchange) =>
    json(
      exchange,
      '{"error":{"message":"This model\'s maximum context length is 8 tokens. However, your messages resulted in 99 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}',
      400,
    ),
  filtered: (exchange) =>
    json(
      exchange,
      '{"error":{"message":"filtered","type":"invalid_request_error","code":"content_policy_violation"}}',
      400,
    ),
  html: ({ response }) =>
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html><body>secret-upstream-text</body></html>'),
  'html-as-promised': ({ response, stream }) =>
    response
      .writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' })
      .end('<html><body>secret-upstream-text</body></html>'),
  'half-json': (exchange) =>
    exchange.stream
      ? events(exchange, `data: ${JSON.stringify(words[0]).slice(0, 40)}`)
      : json(exchange, answer.slice(0, 80)),
  'invalid-utf8': (exchange) => {
    const bytes = Buffer.from(exchange.stream ? answerStream : answer);
    bytes[bytes.indexOf('world')] = 0xff;
    return exchange.stream ? events(exchange, bytes) : json(exchange, bytes);
  },
  crlf: (exchange) =>
    exchange.stream
      ? events(exchange, answerStream.replaceAll('\n', '\r\n'))
      : json(exchange, answer.replaceAll(',', ',\r\n')),
  comments: (exchange) =>
    exchange.stream
      ? events(exchange, `: PROCESSING\n\n${answerStream.replaceAll('\n\n', '\n\n: still here\n\n')}`)
      : ok(exchange),
  'no-done': (exchange) => (exchange.stream ? events(exchange, sse(role, ...words, stop, usageChunk)) : ok(exchange)),
  'no-finish': (exchange) =>
    exchange.stream
      ? events(exchange, sse(role, ...words))
      : json(exchange, completion({ content: 'Hello world' }).replace('"stop"', 'null')),
  'duplicate-start': (exchange) =>
    exchange.stream ? events(exchange, sse(role, role, ...words, stop, usageChunk, '[DONE]')) : ok(exchange),
  'tools-without-ids': (exchange) => {
    const call = { function: { name: 'look', arguments: '{"at":"sky"}' } };
    return exchange.stream
      ? events(
          exchange,
          sse(
            role,
            chunk({ tool_calls: [{ function: { name: 'look', arguments: '' } }] }),
            chunk({ tool_calls: [{ function: { arguments: '{"at":' } }] }),
            chunk({ tool_calls: [{ function: { arguments: '"sky"}' } }] }),
            chunk({}, 'tool_calls'),
            '[DONE]',
          ),
        )
      : json(exchange, completion({ content: null, tool_calls: [call] }));
  },
  'usage-on-last-chunk': (exchange) =>
    exchange.stream ? events(exchange, sse(role, ...words, chunk({}, 'stop', { usage }), '[DONE]')) : ok(exchange),
  'usage-never': (exchange) =>
    exchange.stream
      ? events(exchange, sse(role, ...words, stop, '[DONE]'))
      : json(exchange, completion({ content: 'Hello world' }, { usage: undefined })),
  'error-in-200': (exchange) => {
    const error = { error: { message: 'secret-upstream-text', type: 'server_error', code: 500 } };
    return exchange.stream ? events(exchange, sse(error)) : json(exchange, JSON.stringify(error));
  },
  'error-after-content': async (exchange) => {
    if (!exchange.stream) return fail(502)(exchange);
    exchange.response.writeHead(200, { 'content-type': 'text/event-stream' });
    exchange.response.write(sse(role, words[0] as object));
    await sleep(30);
    return exchange.response.end(sse({ error: { message: 'secret-upstream-text', code: 502 } }));
  },
  'empty-body': (exchange) => (exchange.stream ? events(exchange, '') : json(exchange, '')),
  'empty-answer': (exchange) =>
    exchange.stream ? events(exchange, sse(role, stop, '[DONE]')) : json(exchange, completion({ content: '' })),
  'only-done': (exchange) => (exchange.stream ? events(exchange, sse('[DONE]')) : json(exchange, '{}')),
  'other-form': (exchange) => (exchange.stream ? json(exchange, answer) : events(exchange, answerStream)),
  redirect: ({ response }) => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
  endless: async ({ response, stream }) => {
    response.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' });
    response.write(stream ? sse(role) : '{"id":"');
    while (!response.destroyed) {
      response.write(stream ? sse(words[0] as object) : 'xxxxxxxx');
      await sleep(5);
    }
  },
};

export const faultNames = Object.keys(faults);

export async function startFaultyUpstream(): Promise<FaultyUpstream> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const body = JSON.parse((await text(request)) || '{}') as Record<string, unknown>;
    const model = String(body['model']);
    const entry: Seen = { model, hungUp: false, body, at: Date.now() };
    seen.push(entry);
    response.on('close', () => {
      entry.hungUp = !response.writableFinished;
    });
    const nth = seen.filter((other) => other.model === model).length;
    await (faults[model] ?? ok)({ request, response, stream: body['stream'] === true, nth });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
