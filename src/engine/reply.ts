/** Reading what the engine answers: whole JSON, or server-sent events in batches. */
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { RunnerReply } from './runner.ts';

/** The whole body as JSON. Throws provider_invalid_response when it is not an object. */
export async function readJson(reply: RunnerReply): Promise<JsonObject> {
  const chunks: Buffer[] = [];
  for await (const chunk of reply.body) chunks.push(chunk);
  return parse(Buffer.concat(chunks));
}

/**
 * The `data:` objects of a streamed reply, one batch per read of the socket; ends at `[DONE]` or with the body.
 * The engine writes an event as one line, LF only.
 * Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
 */
export async function* readEvents(reply: RunnerReply): AsyncGenerator<readonly JsonObject[], void> {
  let rest: Buffer | undefined;
  for await (const chunk of reply.body) {
    const bytes: Buffer = rest ? Buffer.concat([rest, chunk]) : chunk;
    const batch: JsonObject[] = [];
    let from = 0;
    let done = false;
    for (let end = bytes.indexOf(lineFeed); end >= 0; end = bytes.indexOf(lineFeed, from)) {
      const data = dataOf(bytes.subarray(from, end));
      from = end + 1;
      // `[DONE]`: all other events are objects.
      if (data?.[0] === bracket) done = true;
      else if (data) batch.push(parse(data));
    }
    if (batch.length > 0) yield batch;
    // What follows is the end of the body, read so that the connection can be used again.
    if (!done) rest = from < bytes.length ? bytes.subarray(from) : undefined;
  }
}

const lineFeed = 0x0a;
const bracket = 0x5b;
const prefix = Buffer.from('data: ');

function dataOf(line: Buffer): Buffer | undefined {
  return line[0] === prefix[0] && prefix.equals(line.subarray(0, prefix.length))
    ? line.subarray(prefix.length)
    : undefined;
}

function parse(bytes: Buffer): JsonObject {
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8'));
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as JsonObject;
  } catch (cause) {
    throw new ViaductError('provider_invalid_response', 'The engine answered with something other than JSON.', {
      cause,
    });
  }
  throw new ViaductError('provider_invalid_response', 'The engine answered with something other than a JSON object.');
}
