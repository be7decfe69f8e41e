/** Newline-delimited JSON, one value per line. Source: https://github.com/ndjson/ndjson-spec */
import { StringDecoder } from 'node:string_decoder';
import { SseError, type SseMessage } from './sse.ts';

export type NdjsonParser = {
  /** Feed what one read gave; get the lines that it completed, as `data`. Throws SseError. */
  push(chunk: Buffer | string): SseMessage[];
  /** The stream has ended: a last line without its line feed still counts. */
  end(): SseMessage[];
};

/** Incremental parser; the same shape as the one for server-sent events. Empty lines are skipped. `limit` bounds one line. */
export function createNdjsonParser(limit = 16 * 2 ** 20): NdjsonParser {
  const decoder = new StringDecoder('utf8');
  // A line that is not whole yet: pieces, so that a long line in small chunks costs no repeated copies.
  let pieces: string[] = [];
  let size = 0;

  const take = (text: string, out: SseMessage[]) => {
    const lines = text.split('\n');
    const last = lines.pop() ?? '';
    for (const line of lines) {
      const whole = pieces.length === 0 ? line : pieces.join('') + line;
      pieces = [];
      size = 0;
      if (whole.trim() !== '') out.push({ data: whole });
    }
    if (last === '') return;
    pieces.push(last);
    size += last.length;
    if (size > limit) throw new SseError(`A line of the stream is longer than ${limit} characters.`);
  };

  return {
    push(chunk) {
      const out: SseMessage[] = [];
      take(typeof chunk === 'string' ? chunk : decoder.write(chunk), out);
      return out;
    },
    end() {
      const out: SseMessage[] = [];
      take(`${decoder.end()}\n`, out);
      return out;
    },
  };
}
