/** Reading what the engine answers: whole JSON, or server-sent events in batches. */
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { RunnerReply } from './runner.ts';

/** The whole body as JSON. Throws provider_invalid_response when it is not an object. */
export async function readJson(reply: RunnerReply): Promise<JsonObject> {
  const chunks: Buffer[] = [];
  for await (const chunk of reply.body) chunks.push(chunk);
  return parseObject(Buffer.concat(chunks).toString());
}

/**
 * Reads a streamed reply: feed what one read of the socket gave, get the JSON of the events that it completed.
 * The engine writes an event as one line, LF only, and closes with `[DONE]`, which is left out.
 * Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
 */
export function createEventReader(): (chunk: Buffer) => readonly string[] {
  let rest: Buffer | undefined;
  return (chunk) => {
    const bytes = rest ? Buffer.concat([rest, chunk]) : chunk;
    // A line is decoded when it is whole: a chunk may end inside a character.
    const whole = bytes.lastIndexOf(lineFeed) + 1;
    rest = whole < bytes.length ? bytes.subarray(whole) : undefined;
    const text = bytes.toString('utf8', 0, whole);
    const events: string[] = [];
    for (let from = 0, end = text.indexOf('\n'); end !== -1; from = end + 1, end = text.indexOf('\n', from))
      if (text.startsWith(prefix, from) && !text.startsWith(last, from))
        events.push(text.slice(from + prefix.length, end));
    return events;
  };
}

const lineFeed = 0x0a;
const prefix = 'data: ';
const last = 'data: [DONE]';

/** Throws provider_invalid_response when `text` is not a JSON object. */
export function parseObject(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as JsonObject;
  } catch (cause) {
    throw new ViaductError('provider_invalid_response', 'The engine answered with something other than JSON.', {
      cause,
    });
  }
  throw new ViaductError('provider_invalid_response', 'The engine answered with something other than a JSON object.');
}
