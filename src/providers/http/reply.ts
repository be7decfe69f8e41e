/** Replies of a provider: what form they have, and reading them whole or as events. */
import { isUtf8 } from 'node:buffer';
import type { ChatEvent, ChatStream } from '../../core/chat.ts';
import type { JsonObject } from '../../core/json.ts';
import type { ByteStream, HttpReply } from '../../lib/http-client.ts';
import { createSseParser } from '../../lib/sse.ts';
import type { Dialect, Headers } from '../define.ts';
import { notTheProtocol, readError } from './failures.ts';

/** Largest reply that is not a stream: 4,096 pictures aside, nothing real comes near it. */
const replyLimit = 128 * 2 ** 20;

/** What kind of body the headers promise. */
export function formOf(headers: Headers): 'stream' | 'json' | 'page' | 'unknown' {
  const type = String(headers['content-type'] ?? '');
  if (type.includes('event-stream') || type.includes('ndjson')) return 'stream';
  if (type.includes('json')) return 'json';
  if (type.includes('html')) return 'page';
  return 'unknown';
}

/** Throws provider_unavailable when the connection breaks, provider_invalid_response when there is no end to it. */
export async function wholeBody(name: string, body: ByteStream): Promise<Buffer> {
  try {
    return await body.whole(replyLimit);
  } catch (error) {
    throw readError(name, error);
  }
}

/** A body of JSON. Throws provider_invalid_response when it is none, or no object. */
export function parseObject(name: string, bytes: Buffer): JsonObject {
  try {
    const body: unknown = isUtf8(bytes) && JSON.parse(bytes.toString());
    if (body !== null && typeof body === 'object' && !Array.isArray(body)) return body as JsonObject;
  } catch {}
  throw notTheProtocol(name);
}

/** A reply of either form as events: one batch per read. */
export async function* decodeReply(name: string, dialect: Dialect, { headers, body }: HttpReply): ChatStream {
  const form = formOf(headers);
  if (form === 'page') throw notTheProtocol(name, body);
  const events: ChatEvent[] = [];
  try {
    if (form === 'json') {
      yield dialect.decodeResponse(parseObject(name, await wholeBody(name, body)));
      return;
    }
    const frames = dialect.createFrames?.() ?? createSseParser();
    const decoder = dialect.createStreamDecoder();
    for await (const chunk of body) {
      for (const message of frames.push(chunk)) for (const event of decoder.push(message)) events.push(event);
      if (events.length > 0) yield events.splice(0);
    }
    for (const message of frames.end()) for (const event of decoder.push(message)) events.push(event);
    for (const event of decoder.end()) events.push(event);
  } catch (error) {
    throw readError(name, error);
  }
  if (events.length > 0) yield events;
}

/** A whole reply of text; the scanner says whether it is an answer. */
export function inUtf8(name: string, bytes: Buffer): Buffer {
  if (!isUtf8(bytes)) throw notTheProtocol(name);
  return bytes;
}
