/** What every endpoint shares: who is asking, the body, and the two ways to answer. */
import { randomUUID } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { Credentials, Served } from '../gateway/gateway.ts';

const saneRequestId = /^[\w.:-]{1,128}$/;

/** Headers of the request → credentials. The signal aborts when the client leaves before the answer is complete. */
export function credentialsOf(request: FastifyRequest, reply: FastifyReply): Credentials {
  const { headers } = request;
  const bearer = /^Bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1];
  const given = headers['x-request-id'];
  const aborted = new AbortController();
  reply.raw.on('close', () => {
    if (!reply.raw.writableFinished) aborted.abort(new ViaductError('client_closed_request', 'The client left.'));
  });
  const tags = headers['x-viaduct-tags'];
  const timeout = Number(headers['x-viaduct-timeout']);
  return {
    secret: bearer ?? headerText(headers['x-api-key']),
    requestId:
      typeof given === 'string' && saneRequestId.test(given) ? given : `req_${randomUUID().replaceAll('-', '')}`,
    signal: aborted.signal,
    address: request.ip,
    endpoint: request.routeOptions.url ?? request.url,
    ...(headers['x-viaduct-privacy'] === 'local' && { privacy: 'local' as const }),
    ...(typeof tags === 'string' && { tags: tags.split(',').map((tag) => tag.trim()) }),
    ...(timeout > 0 && { timeoutMs: timeout * 1000 }),
  };
}

const headerText = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value);

/** The body as a JSON object. Throws invalid_request when it is something else. */
export function jsonBody(request: FastifyRequest): JsonObject {
  const { body } = request;
  if (body === null || typeof body !== 'object' || Array.isArray(body))
    throw new ViaductError('invalid_request', 'The body must be a JSON object.');
  return body as JsonObject;
}

/** Which target served, as response headers. */
export function servedHeaders({ provider, model, attempts, report, cost }: Served): Record<string, string> {
  return {
    'x-viaduct-provider': provider,
    'x-viaduct-model': model,
    'x-viaduct-attempts': String(attempts),
    ...(report.digest && { 'x-viaduct-digest': report.digest }),
    ...(cost !== undefined && { 'x-viaduct-cost': String(cost) }),
  };
}

/** Where a streamed answer goes: one write per batch, waiting when the client reads slowly. */
export type StreamWriter = {
  write(text: string | Buffer): Promise<void> | undefined;
  end(text?: string): void;
};

/** Take the reply over from Fastify and answer 200 with a stream of `contentType`. */
export function openStream(
  reply: FastifyReply,
  contentType: string,
  headers: Record<string, string> = {},
): StreamWriter {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    ...headers,
    'content-type': contentType,
    'cache-control': 'no-cache',
    'x-accel-buffering': 'no',
  });
  return {
    write(text) {
      if (raw.destroyed || raw.write(text)) return undefined;
      return new Promise((resolve) => {
        const done = () => {
          raw.off('drain', done);
          raw.off('close', done);
          resolve();
        };
        raw.on('drain', done);
        raw.on('close', done);
      });
    },
    end(text) {
      raw.end(text);
    },
  };
}
