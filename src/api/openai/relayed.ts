import type { FastifyReply } from 'fastify';
import type { RelayReply } from '../../core/provider.ts';
import type { Served } from '../../gateway/gateway.ts';
import { servedHeaders } from '../http.ts';

/** A provider's whole reply, as it came. */
export async function sendRelayed(reply: FastifyReply, relay: RelayReply, served: Served): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of relay.body) chunks.push(chunk);
  reply
    .status(relay.status)
    .headers({ ...relay.headers, ...servedHeaders(served) })
    .send(Buffer.concat(chunks));
}
