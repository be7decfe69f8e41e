/**
 * Native pass-through: `/providers/NAME/…` is NAME's own API, any path and method, streaming both ways (WebSockets:
 * providers/websocket.ts). The client's key is ours, the provider's is put in its place; limits and the ledger apply.
 * The path may begin with that of the provider's base URL or not: `/providers/openai/v1/files` and
 * `/providers/openai/files` are the same.
 */
import type { Readable } from 'node:stream';
import { encodeError } from '../protocols/openai-error.ts';
import type { Endpoint, Exchange, FrontDoor } from './define.ts';
import { servedHeaders } from './http.ts';
import { headersOf, nativeRequest, prefix } from './providers/passing.ts';
import { drained } from './stream-writer.ts';

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;

export const providers: FrontDoor = {
  endpoints: methods.map(
    (method): Endpoint => ({
      method,
      path: `${prefix}:name/*`,
      rawBody: true,
      handle: passThrough,
    }),
  ),
  encodeError,
};

async function passThrough({ request, reply, caller }: Exchange): Promise<void> {
  const { name } = request.params as { name: string };
  const body = request.body as Readable | undefined;
  const { reply: native, ...served } = await caller.native(name, {
    ...nativeRequest(request.raw, name),
    ...(body && request.method !== 'GET' && { body }),
  });
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
}
