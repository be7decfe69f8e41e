/** Events of the Responses API as server-sent events. */
import type { FastifyReply } from 'fastify';
import type { ResponseEvent } from '../../protocols/openai-responses.ts';
import { eventStream, keepAlive, keepAliveMs, openStream } from '../stream-writer.ts';

/** Open Responses ends every stream with it; OpenAI's clients take it too. */
export const streamEnd = 'data: [DONE]\n\n';

export const formatEvent = (event: ResponseEvent) => formatText(event.type, JSON.stringify(event));

const formatText = (type: string, json: string) => `event: ${type}\ndata: ${json}\n\n`;

/** Stream events that are JSON texts already, in batches; comments keep the connection alive between them. */
export async function streamTexts(reply: FastifyReply, batches: AsyncIterable<string[]>): Promise<void> {
  const writer = openStream(reply, eventStream);
  const timer = setInterval(() => writer.write(keepAlive), keepAliveMs);
  try {
    for await (const batch of batches) {
      timer.refresh();
      await writer.write(batch.map((json) => formatText(typeOf(json), json)).join(''));
    }
    writer.end(streamEnd);
  } catch (error) {
    reply.raw.destroy(error as Error);
  } finally {
    clearInterval(timer);
  }
}

/** Every event is written with its type first. */
const typeOf = (json: string) => /^\{"type":"([^"]+)"/.exec(json)?.[1] ?? 'message';
