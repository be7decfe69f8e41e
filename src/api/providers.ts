/**
 * Native pass-through: `/providers/NAME/…` is NAME's own API, any path and method, streaming both ways, WebSocket included. The client's key is
 * ours, the provider's is put in its place; limits and the ledger apply. The path may begin with that of the provider's base URL or not:
 * `/providers/openai/v1/files` and `/providers/openai/files` are the same.
 */
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { ViaductError } from '../core/errors.ts';
import type { NativeRequest } from '../core/provider.ts';
import { encodeError } from '../protocols/openai-error.ts';
import type { Endpoint, Exchange, FrontDoor, Services } from './define.ts';
import { credentialsIn, servedHeaders, withoutKeyProtocol } from './http.ts';

const prefix = '/providers/';
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

export const providers: FrontDoor = {
  endpoints: methods.map(
    (method): Endpoint => ({
      method,
      path: `${prefix}:name/*`,
      rawBody: true,
      handle: (exchange) => passThrough(exchange),
    }),
  ),
  encodeError,
};

/** Belong to one connection, not to the message. Source: RFC 9110, 7.6.1 */
const hopByHop = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'];
/** Are between the client and us: credentials of every provider's SDK, and what would keep us from reading the usage. */
const ours = new Set([
  ...hopByHop,
  'host',
  'authorization',
  'x-api-key',
  'api-key',
  'x-goog-api-key',
  'proxy-authorization',
  'cookie',
  'accept-encoding',
  'sec-websocket-extensions',
  'expect',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
  'origin',
  'referer',
]);
/** Are between the provider and us: its connection, and whose account it is. */
const dropped = new Set([
  ...hopByHop,
  'set-cookie',
  'alt-svc',
  'strict-transport-security',
  'openai-organization',
  'openai-project',
  'anthropic-organization-id',
]);

async function passThrough({ request, reply, caller }: Exchange): Promise<void> {
  const name = (request.params as { name: string }).name;
  const { result: native, ...served } = await sendOn();
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(native.status, {
    ...headersOf(native.headers),
    ...servedHeaders(served),
    'x-request-id': caller.requestId,
  });
  try {
    for await (const chunk of native.body) if (!raw.write(chunk)) await drained(raw);
    raw.end();
  } catch {
    // The status has gone out: cutting the connection is the only way left to say that the answer is not whole.
    raw.destroy();
  }

  async function sendOn() {
    const body = request.body as Readable | undefined;
    const { reply: result, ...rest } = await caller.native(name, {
      ...nativeRequest(request.raw, name),
      ...(body && request.method !== 'GET' && { body }),
    });
    return { result, ...rest };
  }
}

function nativeRequest({ method = 'GET', url = '/', headers }: IncomingMessage, name: string): NativeRequest {
  const path = withoutKey(url.slice(prefix.length + encodeURIComponent(name).length) || '/');
  if (climbs(path))
    throw new ViaductError('invalid_request', 'The path must not go upwards: write it without "." and ".." segments.');
  return { method, path, headers: kept(headers) };
}

/** Whether some server on the way may read it as a path above the provider's API: dots, slashes and backslashes encoded however often. */
function climbs(path: string): boolean {
  const [pathname = ''] = path.split('?', 1);
  const plain = pathname.replace(/%(?:25)*(2e|2f|5c)/gi, (_all, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  return plain.split(/[/\\]/).some((segment) => segment === '.' || segment === '..');
}

/** Google's SDKs put the key into the query. */
function withoutKey(path: string): string {
  const [pathname = '/', query] = path.split('?', 2);
  if (query === undefined) return pathname;
  const left = query.split('&').filter((pair) => !/^(key|api_key)=/.test(pair));
  return left.length > 0 ? `${pathname}?${left.join('&')}` : pathname;
}

function kept(headers: IncomingHttpHeaders): Record<string, string> {
  const sent: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !ours.has(name) && !name.startsWith('x-viaduct-'))
      sent[name] = Array.isArray(value) ? value.join(', ') : value;
  const protocols = sent['sec-websocket-protocol'];
  if (protocols) sent['sec-websocket-protocol'] = withoutKeyProtocol(protocols);
  return sent;
}

function headersOf(headers: Record<string, string | string[] | undefined>): Record<string, string | string[]> {
  const sent: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !dropped.has(name)) sent[name] = value;
  return sent;
}

const drained = (raw: ServerResponse) =>
  new Promise<void>((resolve) => {
    const done = () => {
      raw.off('drain', done);
      raw.off('close', done);
      resolve();
    };
    raw.on('drain', done);
    raw.on('close', done);
  });

/** Upgrades of `server` below /providers/ go to the provider; other paths are left alone. `close` ends all that are open. */
export function attachNativeWebSocket(server: Server, services: Services): { close(): void } {
  const open = new Set<Duplex>();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const url = request.url ?? '';
    if (!url.startsWith(prefix)) return;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    connect(request, socket, head, services).catch((thrown: unknown) => refuse(socket, ViaductError.from(thrown)));
  });
  return {
    close() {
      for (const socket of open) socket.destroy();
    },
  };
}

async function connect(request: IncomingMessage, socket: Duplex, head: Buffer, { gateway }: Services): Promise<void> {
  const leaving = new AbortController();
  socket.on('close', () => leaving.abort(new ViaductError('client_closed_request', 'The client left.')));
  const name = nameIn(request.url ?? '');
  const caller = await gateway.enter({
    ...credentialsIn(request.headers),
    signal: leaving.signal,
    address: request.socket.remoteAddress ?? '',
    endpoint: `${prefix}:name/*`,
  });
  const { connection } = await caller.nativeSocket(name, nativeRequest(request, name));
  const lines = Object.entries(headersOf(connection.headers)).map(([header, value]) => `${header}: ${value}`);
  socket.write(
    ['HTTP/1.1 101 Switching Protocols', 'connection: Upgrade', 'upgrade: websocket', ...lines, '', ''].join('\r\n'),
  );
  let refusal: ViaductError | undefined;
  connection.socket.on('error', (thrown) => {
    if (thrown instanceof ViaductError) refusal = thrown;
  });
  connection.socket.on('close', () => (refusal ? part(socket, refusal) : socket.destroy()));
  const { heard } = connection;
  if (heard) socket.on('data', heard);
  if (head.length > 0) {
    heard?.(head);
    connection.socket.write(head);
  }
  socket.pipe(connection.socket);
  connection.socket.pipe(socket);
}

/** How long a client has to take its leave. */
const partingMs = 1000;
/** Close codes of RFC 6455, 7.4.1: against the rules; and, by IANA's list, later. */
const [policyViolation, tryAgainLater] = [1008, 1013];
const longestReason = 123;

/** Ends a client's WebSocket with why, in a close frame of our own. */
function part(socket: Duplex, { code, message }: ViaductError): void {
  const whole = Buffer.from(`${code}: ${message}`);
  let length = Math.min(whole.length, longestReason);
  // No cut inside a letter: the reason must be UTF-8.
  while (((whole[length] ?? 0) & 0xc0) === 0x80) length--;
  const reason = whole.subarray(0, length);
  const frame = Buffer.alloc(4);
  frame[0] = 0x88;
  frame[1] = 2 + reason.length;
  frame.writeUInt16BE(code === 'rate_limit_exceeded' ? tryAgainLater : policyViolation, 2);
  socket.unpipe();
  socket.resume();
  socket.end(Buffer.concat([frame, reason]));
  setTimeout(() => socket.destroy(), partingMs).unref();
}

function nameIn(url: string): string {
  const [name = ''] = url.slice(prefix.length).split(/[/?]/, 1);
  try {
    return decodeURIComponent(name);
  } catch (cause) {
    throw new ViaductError('not_found', 'The name of the provider in the path cannot be read.', { cause });
  }
}

function refuse(socket: Duplex, error: ViaductError): void {
  const body = JSON.stringify(encodeError(error));
  socket.end(
    `HTTP/1.1 ${error.status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
