/** WebSockets of a provider's own API, passed through frame by frame. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { ViaductError } from '../../core/errors.ts';
import type { Services } from '../define.ts';
import { credentialsIn, refuseUpgrade } from '../http.ts';
import { headersOf, nativeRequest, prefix } from './passing.ts';

/** Upgrades of `server` below /providers/ go to the provider; other paths are left alone. `close` ends all that are open. */
export function attachNativeWebSocket(server: Server, services: Services): { close(): void } {
  const open = new Set<Duplex>();
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const url = request.url ?? '';
    if (!url.startsWith(prefix)) return;
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    connect(request, socket, head, services).catch((thrown: unknown) =>
      refuseUpgrade(socket, ViaductError.from(thrown)),
    );
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
