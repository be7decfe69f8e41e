/**
 * The Responses API over WebSocket, at the path of its POST: one text message asks, each event of the answer is one message.
 * Turns of one `stream_id` (or of none) run one after another, different ones side by side; the connection remembers its
 * responses, stored or not. Source: https://www.openresponses.org/specification, openai-node's ResponsesClientEvent (2026-08)
 */

import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { Credentials } from '../../gateway/gateway.ts';
import { isDeeperThan } from '../../lib/json-depth.ts';
import type { Services } from '../define.ts';
import { credentialsIn, refuseUpgrade } from '../http.ts';
import { type ConnectionMemory, createConnectionMemory } from './responses-memory.ts';

const path = '/v1/responses';
const maxMessageBytes = 20 * 2 ** 20;
/**
 * Beyond this the connection is closed in the middle of the message; up to it, the message is refused and the
 * connection kept.
 */
const maxPayload = 32 * 2 ** 20;
/** The same as for bodies over HTTP. */
const deepestMessage = 256;
const connectionMs = 60 * 60 * 1000;
/** Turns that may wait on one connection, all its streams together. */
const maxWaiting = 64;
const maxStreams = 32;
/** Unsent bytes above which the model's events wait for the client to read. */
const highWater = 2 ** 20;
const pingMs = 30_000;

export type ResponsesWebSocket = {
  /** Takes the upgrade when its path is ours: false when it is somebody else's. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /** Close every connection; running turns are cancelled. */
  close(): void;
};

/** WebSocket connections at /v1/responses, without the server that they come from: see `attachResponsesWebSocket`. */
export function createResponsesWebSocket(
  services: Services,
  options: { connectionMs?: number } = {},
): ResponsesWebSocket {
  const server = new WebSocketServer({
    noServer: true,
    maxPayload,
    perMessageDeflate: false,
  });
  const lifetime = options.connectionMs ?? connectionMs;
  // One timer for all connections: a dead peer is found, a living one keeps the way open.
  const pings = setInterval(() => {
    for (const client of server.clients) if (client.readyState === client.OPEN) client.ping();
  }, pingMs);
  pings.unref();

  return {
    handle(request, socket, head) {
      if (request.url?.split('?', 1)[0] !== path) return false;
      const credentials = {
        ...credentialsIn(request.headers),
        address: request.socket.remoteAddress ?? '',
        endpoint: path,
      };
      // A wrong key is told before the upgrade, with the status that the same POST would get.
      services.gateway.enter({ ...credentials, signal: AbortSignal.timeout(30_000) }).then(
        () => server.handleUpgrade(request, socket, head, (client) => serve(client, credentials, services, lifetime)),
        (thrown) => refuseUpgrade(socket, ViaductError.from(thrown)),
      );
      return true;
    },
    close() {
      clearInterval(pings);
      for (const client of server.clients) client.close(1001, 'The server is shutting down.');
      server.close();
    },
  };
}

/** Upgrades of `server` at /v1/responses; those below /providers/ are somebody else's, and all others are refused. */
export function attachResponsesWebSocket(server: Server, services: Services): ResponsesWebSocket {
  const sockets = createResponsesWebSocket(services);
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    if (sockets.handle(request, socket, head) || request.url?.startsWith('/providers/') || socket.destroyed) return;
    if (request.url !== '') refuseUpgrade(socket, new ViaductError('not_found', 'There is no WebSocket at this path.'));
  });
  return sockets;
}

type Connection = {
  id: string;
  socket: WebSocket;
  credentials: Omit<Credentials, 'signal'>;
  services: Services;
  memory: ConnectionMemory;
  closed: AbortController;
  /** The last turn of each stream: the next one waits for it. */
  streams: Map<string, Promise<void>>;
  waiting: number;
};

function serve(socket: WebSocket, credentials: Omit<Credentials, 'signal'>, services: Services, lifetime: number) {
  const connection: Connection = {
    id: randomUUID(),
    socket,
    credentials,
    services,
    memory: createConnectionMemory(),
    closed: new AbortController(),
    streams: new Map(),
    waiting: 0,
  };
  const limit = setTimeout(() => {
    const message = 'This connection has reached its limit of 60 minutes. Open a new one to continue.';
    sendError(connection, new ViaductError('websocket_connection_limit_reached', message));
    socket.close(1000, 'websocket_connection_limit_reached');
  }, lifetime);
  limit.unref();
  socket.on('message', (data, isBinary) => receive(connection, data as Buffer, isBinary));
  socket.on('error', () => socket.terminate());
  socket.on('close', () => {
    clearTimeout(limit);
    connection.closed.abort(new ViaductError('client_closed_request', 'The client left.'));
    connection.memory.clear();
  });
}

function receive(connection: Connection, data: Buffer, isBinary: boolean) {
  let streamId: string | undefined;
  try {
    const message = parse(data, isBinary);
    if (typeof message['stream_id'] === 'string') streamId = message['stream_id'];
    check(message);
    enqueue(connection, message, streamId);
  } catch (thrown) {
    sendError(connection, ViaductError.from(thrown), streamId);
  }
}

function parse(data: Buffer, isBinary: boolean): JsonObject {
  if (data.length > maxMessageBytes) throw new ViaductError('payload_too_large', 'A message may be at most 20 MB.');
  if (isBinary) throw new ViaductError('invalid_request', 'Messages are JSON text; this one was binary.');
  if (isDeeperThan(data, deepestMessage))
    throw new ViaductError('invalid_request', `The message is nested more than ${deepestMessage} levels deep.`);
  let message: unknown;
  try {
    message = JSON.parse(data.toString('utf8'));
  } catch (cause) {
    throw new ViaductError('invalid_json', 'The message is not valid JSON.', { cause });
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message))
    throw new ViaductError('invalid_request', 'A message must be a JSON object.');
  return message as JsonObject;
}

function check({ type, stream_id, background, generate }: JsonObject) {
  if (type === undefined)
    throw new ViaductError('invalid_request', "Missing required parameter: 'type'.", { param: 'type' });
  if (type !== 'response.create')
    throw new ViaductError('invalid_request', `Unknown message type '${String(type)}'. Supported: response.create.`, {
      param: 'type',
    });
  if (stream_id != null && (typeof stream_id !== 'string' || stream_id === '' || stream_id.length > 256))
    throw new ViaductError('invalid_request', "'stream_id' must be a text of 1 to 256 characters.", {
      param: 'stream_id',
    });
  if (background === true)
    throw new ViaductError('unsupported_parameter', "'background' is not supported over WebSocket.", {
      param: 'background',
    });
  if (generate != null && typeof generate !== 'boolean')
    throw new ViaductError('invalid_request', "'generate' must be true or false.", { param: 'generate' });
}

function enqueue(connection: Connection, message: JsonObject, streamId: string | undefined) {
  const { streams } = connection;
  const lane = streamId ?? '';
  if (connection.waiting >= maxWaiting || (!streams.has(lane) && streams.size >= maxStreams))
    throw new ViaductError('rate_limit_exceeded', 'Too many turns wait on this connection: read their answers first.');
  connection.waiting++;
  const turn = (streams.get(lane) ?? Promise.resolve()).then(() => run(connection, message, streamId));
  const ended = turn
    .catch((thrown) => sendError(connection, ViaductError.from(thrown), streamId))
    .then(() => {
      connection.waiting--;
      if (streams.get(lane) === ended) streams.delete(lane);
    });
  streams.set(lane, ended);
}

/** One turn: let in again, for its own request id, limits and ledger entry. */
async function run(connection: Connection, message: JsonObject, streamId: string | undefined) {
  const { id, services, credentials, memory, closed } = connection;
  if (closed.signal.aborted) return;
  const { type: _type, stream_id: _stream, stream: _streamed, stream_options: _options, generate, ...body } = message;
  const previous = body['previous_response_id'];
  try {
    const requestId = `req_${randomUUID().replaceAll('-', '')}`;
    // One of its own: what listens to it goes with the turn, not with the connection.
    const signal = AbortSignal.any([closed.signal]);
    const caller = await services.gateway.enter({ ...credentials, requestId, signal });
    const session = `${id} ${streamId ?? ''}`;
    const turn = await services.responses.prepare(body, caller, { memory, session, stream: true });
    if (generate !== false) await turn.begin();
    for await (const events of generate === false ? turn.skip() : turn.events())
      for (const event of events) if (event.type !== 'error') await send(connection, event, streamId);
    const { before, input } = turn.context;
    // A compaction stands for everything before it.
    const compacted = turn.output.some(({ type }) => type === 'compaction');
    if (turn.failure) forget(memory, previous, turn.failure);
    else if (turn.resource.status !== 'cancelled')
      memory.set(turn.id, [...(compacted ? [] : before), ...input, ...turn.output], turn.resource.store);
  } catch (thrown) {
    const error = ViaductError.from(thrown);
    forget(memory, previous, error);
    throw error;
  }
}

/** A failed turn takes the response that it continued out of the memory: the client must start again from what it knows. */
function forget(memory: ConnectionMemory, previous: unknown, { status }: ViaductError) {
  if (typeof previous === 'string' && status >= 400) memory.delete(previous);
}

/** Resolves when the client has read enough for more. */
async function send({ socket }: Connection, event: object, streamId: string | undefined): Promise<void> {
  if (socket.readyState !== socket.OPEN) return;
  const text = JSON.stringify(streamId === undefined ? event : { ...event, stream_id: streamId });
  if (socket.bufferedAmount < highWater) socket.send(text);
  else await new Promise<void>((resolve) => socket.send(text, () => resolve()));
}

function sendError(connection: Connection, error: ViaductError, streamId?: string) {
  if (connection.closed.signal.aborted) return;
  const { status, type, code, message, param, retryAfter } = error;
  const headers = retryAfter === undefined ? {} : { headers: { 'retry-after': String(Math.ceil(retryAfter)) } };
  const event = { type: 'error', status, error: { type, code, message, param: param ?? null, ...headers } };
  void send(connection, event, streamId);
}
