/**
 * AWS's binary event stream, cut into messages like those of an SSE stream: `event` is the frame's type.
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html (framing),
 * https://smithy.io/2.0/aws/amazon-eventstream.html (headers)
 */
import { EventStreamCodec } from '@smithy/eventstream-codec';
import type { SseMessage } from './sse.ts';

/** A frame says its own length first; 24 MB is AWS's limit for one. */
const longestFrame = 24 * 2 ** 20;
const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString(),
  (text) => Buffer.from(text),
);

/** Bytes in, whole messages out. Throws on a frame whose checksum is wrong. */
export function createEventStreamParser() {
  let rest: Buffer = Buffer.alloc(0);
  return {
    push(chunk: Buffer): SseMessage[] {
      rest = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
      const messages: SseMessage[] = [];
      while (rest.length >= 4) {
        const length = rest.readUInt32BE(0);
        if (length > longestFrame || length < 16)
          throw new Error(`not an AWS event stream: a frame of ${length} bytes`);
        if (rest.length < length) break;
        messages.push(decodeFrame(rest.subarray(0, length)));
        rest = rest.subarray(length);
      }
      return messages;
    },
    end: (): SseMessage[] => [],
  };
}

function decodeFrame(frame: Buffer): SseMessage {
  const { headers, body } = codec.decode(frame);
  const header = (name: string) => String(headers[name]?.value ?? '');
  const event = header(':event-type') || header(':exception-type') || header(':error-code');
  return { event, data: Buffer.from(body).toString() };
}
