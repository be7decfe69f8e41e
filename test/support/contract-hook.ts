/**
 * Imported before a test's own modules by scripts/test.mjs, by the helpers that make apps, and into every server that
 * server.ts starts: each reply, stream event and WebSocket message that a server of ours gives in this process is
 * checked against the published contracts, whatever test asked and whatever client heard. What is found fails the test
 * file, or the test that closes the server.
 */
import { subscribe } from 'node:diagnostics_channel';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { WebSocketServer } from 'ws';
import { mark } from './contract-mark.ts';
import { checkReply, checkSocketMessage } from './door-contracts.ts';

const findings: string[] = [];

/** This process ends with a failure. */
function report(finding: string): void {
  findings.push(finding);
  process.stderr.write(`${mark}${JSON.stringify(finding)}\n`);
}

process.on('exit', () => {
  if (findings.length > 0) process.exitCode = 1;
});

function check(where: string, run: () => void) {
  try {
    run();
  } catch (error) {
    report(`${where}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Measurements use the same helpers, and are left alone. */
const inTest =
  process.env['NODE_TEST_CONTEXT'] !== undefined || process.execArgv.some((flag) => flag.includes('contract-hook'));
if (inTest) {
  // Only servers of ours are Fastify's: an upstream that a test plays is not watched.
  subscribe('fastify.initialization', (message) => {
    const { server } = (message as { fastify: { server: Server } }).fastify;
    server.prependListener('request', watch);
  });
  watchSockets();
}

function watch({ method = '', url = '', socket }: IncomingMessage, response: ServerResponse) {
  const chunks: Buffer[] = [];
  /** Node itself is writing to the socket, what was taken already. */
  let byNode = false;
  const take = (chunk: unknown) => {
    if (typeof chunk === 'string' || chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk));
  };
  let type: string | undefined;
  const { write, end, writeHead } = response;
  // Headers given here are kept nowhere else.
  response.writeHead = function (this: ServerResponse, ...args: unknown[]) {
    const headers = args.findLast((arg) => typeof arg === 'object') as Record<string, unknown> | undefined;
    type = headers?.['content-type'] as string | undefined;
    return Reflect.apply(writeHead, this, args) as ServerResponse;
  } as typeof writeHead;
  const through = <T>(original: (...args: never[]) => T) =>
    function (this: ServerResponse, ...args: unknown[]): T {
      take(args[0]);
      byNode = true;
      try {
        return Reflect.apply(original, this, args) as T;
      } finally {
        byNode = false;
      }
    };
  response.write = through(write) as typeof write;
  response.end = through(end) as typeof end;
  // What stream-writer.ts writes past the response is a chunk with its frame.
  const toSocket = socket.write;
  socket.write = function (this: typeof socket, ...args: unknown[]) {
    if (!byNode && response.socket === socket) take(unframed(args));
    return Reflect.apply(toSocket, this, args) as boolean;
  } as typeof toSocket;
  response.once('close', () => {
    socket.write = toSocket;
    const reply = {
      method,
      url,
      status: response.statusCode,
      type: type ?? String(response.getHeader('content-type') ?? ''),
      body: Buffer.concat(chunks).toString('utf8'),
      whole: response.writableFinished,
    };
    check(`${method} ${url}`, () => checkReply(reply));
  });
}

function unframed([piece, encoding]: unknown[]): Buffer {
  const frame = Buffer.from(piece as string, encoding === 'latin1' ? 'latin1' : 'utf8');
  return frame.subarray(frame.indexOf('\r\n') + 2, -2);
}

function watchSockets() {
  const { handleUpgrade } = WebSocketServer.prototype;
  WebSocketServer.prototype.handleUpgrade = function (request, socket, head, take) {
    Reflect.apply(handleUpgrade, this, [
      request,
      socket,
      head,
      (client: Parameters<typeof take>[0], of: IncomingMessage) => {
        if (request.url?.split('?', 1)[0] === '/v1/responses') {
          const { send } = client;
          client.send = function (this: typeof client, ...args: unknown[]) {
            check('WebSocket /v1/responses', () => checkSocketMessage(String(args[0])));
            return Reflect.apply(send, this, args);
          } as typeof send;
        }
        take(client, of);
      },
    ]);
  };
}
