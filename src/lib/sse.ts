/** Server-sent events, both ways. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html */
import { StringDecoder } from 'node:string_decoder';

export type SseMessage = { event?: string; data: string; id?: string; retry?: number };

/** The stream cannot be an event stream: one event grew beyond the parser's limit. */
export class SseError extends Error {
  override readonly name = 'SseError';
}

export type SseParser = {
  /** Feed what one read gave; get the messages that it completed. Throws SseError. */
  push(chunk: Buffer | string): SseMessage[];
  /** The stream has ended: a last message without its blank line, which many servers send, still counts. */
  end(): SseMessage[];
};

/**
 * Incremental parser. Takes LF, CRLF and CR, comments, several `data` lines, a BOM, and characters split over chunks.
 * Messages without data are skipped. `limit` bounds one event, in UTF-16 code units.
 */
export function createSseParser(limit = 16 * 2 ** 20): SseParser {
  const decoder = new StringDecoder('utf8');
  // A line that is not whole yet: pieces, so that a long line in small chunks costs no repeated copies.
  let pieces: string[] = [];
  let size = 0;
  let atStart = true;
  let afterCr = false;

  let data: string | undefined;
  let event: string | undefined;
  let id: string | undefined;
  let retry: number | undefined;

  const grow = (by: number) => {
    size += by;
    if (size > limit) throw new SseError(`An event of the stream is larger than ${limit} characters.`);
  };

  const take = (out: SseMessage[]) => {
    if (data !== undefined) {
      const message: SseMessage = { data };
      if (event) message.event = event;
      if (id !== undefined) message.id = id;
      if (retry !== undefined) message.retry = retry;
      out.push(message);
    }
    data = event = id = retry = undefined;
    size = 0;
  };

  const field = (line: string) => {
    const colon = line.indexOf(':');
    if (colon === 0) return; // comment
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line.charCodeAt(colon + 1) === space ? colon + 2 : colon + 1);
    switch (name) {
      case 'data':
        data = data === undefined ? value : `${data}\n${value}`;
        break;
      case 'event':
        event = value;
        break;
      case 'id':
        id = value;
        break;
      case 'retry':
        if (/^\d+$/.test(value)) retry = Number(value);
    }
  };

  const line = (text: string, out: SseMessage[]) => {
    if (pieces.length > 0) {
      pieces.push(text);
      text = pieces.join('');
      pieces = [];
    }
    if (text.length === 0) take(out);
    else field(text);
  };

  /** How many characters at the front of a chunk belong to no line: a BOM, the LF of a CRLF that was cut in two. */
  const lead = (text: string) => {
    const skip = (atStart && text.charCodeAt(0) === byteOrderMark) || (afterCr && text.charCodeAt(0) === lf) ? 1 : 0;
    atStart = afterCr = false;
    return skip;
  };

  const parse = (text: string, out: SseMessage[]) => {
    if (text.length === 0) return;
    let from = lead(text);
    const endOf = text.includes('\r') ? lineEnd : lineFeed;
    for (let end = endOf(text, from); end !== -1; end = endOf(text, from)) {
      grow(end - from);
      line(text.slice(from, end), out);
      from = end + 1;
      if (text.charCodeAt(end) !== cr) continue;
      if (text.charCodeAt(from) === lf) from++;
      else afterCr = from === text.length;
    }
    if (from < text.length) {
      grow(text.length - from);
      pieces.push(text.slice(from));
    }
  };

  return {
    push(chunk) {
      const out: SseMessage[] = [];
      parse(typeof chunk === 'string' ? chunk : decoder.write(chunk), out);
      return out;
    },
    end() {
      const out: SseMessage[] = [];
      parse(decoder.end(), out);
      if (pieces.length > 0) line('', out);
      take(out);
      return out;
    },
  };
}

const lf = 10;
const cr = 13;
const space = 32;
const byteOrderMark = 0xfeff;

const lineFeed = (text: string, from: number) => text.indexOf('\n', from);

/** Where the next line ends, by LF or CR; -1 when it does not end here. */
function lineEnd(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === lf || code === cr) return at;
  }
  return -1;
}

/** One message as it goes over the wire. */
export function formatSse({ event, data, id }: SseMessage): string {
  const head = `${id === undefined ? '' : `id: ${id}\n`}${event ? `event: ${event}\n` : ''}`;
  return `${head}data: ${data.includes('\n') ? data.replaceAll('\n', '\ndata: ') : data}\n\n`;
}
