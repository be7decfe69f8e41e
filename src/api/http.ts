/** What every endpoint shares: who is asking, the body, and what is said of whoever served. */
import { randomFillSync } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { parseDuration } from '../config.ts';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { Credentials, Served } from '../gateway/gateway.ts';
import { type Cancel, Canceller } from '../lib/cancel.ts';
import { createTimeText } from '../lib/time-text.ts';
import { encodeError } from '../protocols/openai-error.ts';
import type { RequestTrace } from '../telemetry/traces.ts';

const saneRequestId = /^[\w.:-]{1,128}$/;

/** Headers of the request → credentials. The signal aborts when the client leaves before the answer is complete. */
export function credentialsOf(request: FastifyRequest, reply: FastifyReply): Credentials {
  const leaving = new Canceller();
  const { raw } = reply;
  raw.on('close', () => {
    if (!raw.writableFinished) leaving.abort(new ViaductError('client_closed_request', 'The client left.'));
  });
  return new RequestCredentials(request, leaving);
}

/**
 * A class, because a literal with an accessor is made at a hundred times the cost. The signal is no field of its own: a
 * copy with another signal (`{ ...credentials, signal }`) outlives this request.
 */
class RequestCredentials implements Credentials {
  readonly secret: string | undefined;
  readonly requestId: string;
  readonly address: string;
  readonly endpoint: string;
  declare readonly privacy?: 'local';
  declare readonly tags?: string[];
  declare readonly timeoutMs?: number;
  declare trace?: RequestTrace;
  readonly #leaving: Cancel;

  constructor(request: FastifyRequest, leaving: Cancel) {
    const { headers, routeOptions, url, ip } = request;
    this.secret = secretIn(headers) ?? secretInQuery(url);
    this.requestId = requestIdIn(headers);
    this.address = ip;
    this.endpoint = routeOptions.url ?? url;
    this.#leaving = leaving;
    Object.assign(this, wishesIn(headers));
  }

  get leaving(): Cancel {
    return this.#leaving;
  }

  get signal(): AbortSignal {
    return this.#leaving.signal;
  }
}

/** What headers alone say: of a request, or of an upgrade to WebSocket. */
export function credentialsIn(headers: IncomingHttpHeaders): Omit<Credentials, 'signal' | 'address' | 'endpoint'> {
  return { secret: secretIn(headers), requestId: requestIdIn(headers), ...wishesIn(headers) };
}

/** Every provider's SDK has its own header; all are ours here. */
function secretIn(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers;
  // LiteLLM's clients may leave the scheme out.
  const bearer = authorization === undefined ? undefined : /^(?:Bearer +)?(\S+)$/i.exec(authorization)?.[1];
  const protocols = headers['sec-websocket-protocol'];
  return (
    bearer ??
    headerText(headers['x-api-key'] ?? headers['x-goog-api-key'] ?? headers['api-key']) ??
    (protocols === undefined ? undefined : keyProtocol.exec(protocols)?.[1])
  );
}

/** How a page brings its key to a WebSocket. Source: https://platform.openai.com/docs/guides/realtime-websocket */
const keyProtocol = /(?:^|,\s*)openai-insecure-api-key\.([^,\s]+)/;

/** The list of a WebSocket's protocols without the one that is a key. */
export const withoutKeyProtocol = (protocols: string): string =>
  protocols.replace(keyProtocol, '').replace(/^,\s*/, '');

/** Google's way, at its own API only: a key in an address ends up in other people's logs. */
function secretInQuery(url: string): string | undefined {
  if (!url.startsWith('/providers/')) return undefined;
  return /[?&]key=([^&#]+)/.exec(url)?.[1];
}

function requestIdIn(headers: IncomingHttpHeaders): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && saneRequestId.test(given) ? given : newRequestId();
}

/**
 * Begins with the time, so that the ledger's index of them grows at its end only. Random bytes are drawn for many ids
 * at once.
 */
function newRequestId(): string {
  if (randomUsed === randomPool.length) {
    randomFillSync(randomPool);
    randomUsed = 0;
  }
  const random = randomPool.toString('hex', randomUsed, randomUsed + idBytes);
  randomUsed += idBytes;
  return idStart() + random;
}

const idStart = createTimeText((now) => `req_${now.toString(16).padStart(12, '0')}`);
const idBytes = 10;
const randomPool = Buffer.alloc(400 * idBytes);
let randomUsed = randomPool.length;

/** What the client asks of the gateway itself; undefined when it asks nothing. */
function wishesIn(headers: IncomingHttpHeaders): Pick<Credentials, 'privacy' | 'tags' | 'timeoutMs'> | undefined {
  const tags = headers['x-viaduct-tags'];
  const privacy = headers['x-viaduct-privacy'];
  const timeout = headers['x-viaduct-timeout'];
  if (tags === undefined && privacy === undefined && timeout === undefined) return undefined;
  const timeoutMs = typeof timeout === 'string' ? durationOf(timeout) : undefined;
  return {
    // Whatever is written there, somebody wanted privacy: a wrong word must not be what sends a prompt out.
    ...(privacy !== undefined && { privacy: 'local' as const }),
    ...(typeof tags === 'string' && { tags: tags.split(',').map((tag) => tag.trim()) }),
    ...(timeoutMs !== undefined && timeoutMs > 0 && { timeoutMs }),
  };
}

/** Seconds, or as in the configuration: `0.5`, `500ms`, `1m`. */
const durationOf = (text: string) => (Number.isNaN(Number(text)) ? parseDuration(text) : Number(text) * 1000);

/** The first, where a header came more than once. */
export const headerText = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value);

/** The body as a JSON object. Throws invalid_request when it is something else. */
export function jsonBody(request: FastifyRequest): JsonObject {
  const { body } = request;
  if (body === null || typeof body !== 'object' || Array.isArray(body))
    throw new ViaductError('invalid_request', 'The body must be a JSON object.');
  return body as JsonObject;
}

/** Which target served, at what price and with how much of our own time, as response headers. */
export function servedHeaders(served: Served): Record<string, string> {
  const { provider, model, attempts, report, cost, elapsedMs, overheadMs, limitHeaders, failures } = served;
  const headers: Record<string, string> = {
    'x-viaduct-provider': provider,
    'x-viaduct-model': printable(model),
    'x-viaduct-attempts': String(attempts),
  };
  if (report.digest) headers['x-viaduct-digest'] = report.digest;
  if (cost !== undefined) headers['x-viaduct-cost'] = dollars(cost);
  if (overheadMs !== undefined) headers['x-viaduct-overhead-ms'] = overheadMs.toFixed(2);
  if (elapsedMs !== undefined) headers['openai-processing-ms'] = String(Math.round(elapsedMs));
  if (failures) headers['x-viaduct-failures'] = printable(failures.join(', '));
  return limitHeaders ? Object.assign(headers, limitHeaders) : headers;
}

/** A header takes no more than this. */
export const printable = (text: string) => text.replace(/[^\x20-\x7e]/g, '?');

/** USD without an exponent: 0.00000042. */
function dollars(cost: number): string {
  const rounded = Math.round(cost * 1e12) / 1e12;
  // Smaller numbers are printed with one.
  return rounded === 0 || rounded >= 1e-6 ? String(rounded) : rounded.toFixed(12).replace(/0+$/, '');
}

/**
 * Answers an upgrade to WebSocket that is not to be, with the status and body that a request would get, and closes the
 * connection.
 */
export function refuseUpgrade(socket: Duplex, error: ViaductError): void {
  const body = JSON.stringify(encodeError(error));
  socket.end(
    `HTTP/1.1 ${error.status} Refused\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
