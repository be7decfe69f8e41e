/** Reads along while Anthropic bytes are relayed: usage, stop reason and errors, without parsing every event. */
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { RelayScanner } from '../../core/provider.ts';
import type { Usage } from '../../core/usage.ts';
import { list, object, parseObject, text } from '../read.ts';
import { decodeErrorBody } from './errors.ts';
import { decodeUsage, mergeUsage } from './usage.ts';

const lf = 10;
const brace = 123;
/** Lines worth a parse. A quote inside JSON text is escaped, so none of these matches what a model says. */
const marks = ['"message_start"', '"message_delta"', '"message_stop"', '"error"'].map((mark) => Buffer.from(mark));
const longestBody = 64 * 2 ** 20;

/**
 * Watches a relayed reply, stream or JSON. Until the first content every event is parsed, after it only those that carry
 * usage, an end or an error. Works over chunk borders; `end` sets `error` when the answer is not whole.
 */
export function createRelayScanner(): RelayScanner & { end(): void } {
  let mode: 'unknown' | 'stream' | 'json' = 'unknown';
  /** An unfinished line of a stream, or all of a JSON body so far. */
  let rest: Buffer[] = [];
  let restSize = 0;
  let wireUsage: JsonObject | undefined;
  let usage: Usage | undefined;
  let contentSeen = false;
  let done = false;
  let finish: string | undefined;
  let error: ViaductError | undefined;

  const broken = (message: string) => {
    error ??= new ViaductError('provider_invalid_response', message);
  };
  const keep = (bytes: Buffer) => {
    rest.push(bytes);
    restSize += bytes.length;
    if (restSize > longestBody) broken('The answer of the provider is too large.');
  };
  const takeRest = (bytes: Buffer) => {
    const whole = rest.length === 0 ? bytes : Buffer.concat([...rest, bytes]);
    rest = [];
    restSize = 0;
    return whole;
  };
  const addUsage = (wire: Json | undefined) => {
    if (!wire) return;
    wireUsage = mergeUsage(wireUsage ?? {}, object(wire));
    usage = decodeUsage(wireUsage);
  };

  const readEvent = (event: JsonObject) => {
    switch (event['type']) {
      case 'message_start':
        addUsage(object(event['message'])['usage']);
        break;
      case 'content_block_start':
        contentSeen ||= object(event['content_block'])['type'] !== 'text';
        break;
      case 'content_block_delta':
        contentSeen = true;
        break;
      case 'message_delta':
        addUsage(event['usage']);
        finish = text(object(event['delta'])['stop_reason']) || finish;
        break;
      case 'message_stop':
        done = true;
        break;
      default:
        if (event['error']) error ??= decodeErrorBody(event);
    }
  };

  const readLine = (line: string) => {
    if (!line.startsWith('data:')) return;
    const event = parseObject(line.slice(5));
    if (event) readEvent(event);
  };

  /** Whole lines. */
  const scan = (bytes: Buffer) => {
    if (!contentSeen) {
      for (const line of bytes.toString('utf8').split(/\r\n|\n|\r/)) readLine(line);
      return;
    }
    for (const mark of marks)
      for (let at = bytes.indexOf(mark); at !== -1; ) {
        const end = bytes.indexOf(lf, at);
        const to = end === -1 ? bytes.length : end;
        readLine(bytes.toString('utf8', bytes.lastIndexOf(lf, at) + 1, to).trimEnd());
        at = bytes.indexOf(mark, to);
      }
  };

  const readBody = (body: JsonObject | undefined) => {
    if (!body) return broken('The provider answered with something that is not a message.');
    if (body['error']) error ??= decodeErrorBody(body);
    else if (!Array.isArray(body['content'])) broken('The provider answered with something that is not a message.');
    addUsage(body['usage']);
    finish = text(body['stop_reason']) || undefined;
    contentSeen = list(body['content']).length > 0;
    done = true;
  };

  return {
    push(chunk) {
      if (mode === 'unknown') mode = chunk.find((byte) => byte > 32 && byte < 128) === brace ? 'json' : 'stream';
      const lineEnd = mode === 'json' ? -1 : chunk.lastIndexOf(lf);
      if (lineEnd === -1) return keep(chunk);
      scan(takeRest(chunk.subarray(0, lineEnd + 1)));
      if (lineEnd + 1 < chunk.length) keep(chunk.subarray(lineEnd + 1));
    },

    end() {
      const last = takeRest(Buffer.alloc(0));
      if (mode === 'json') return readBody(parseObject(last.toString('utf8')));
      readLine(last.toString('utf8').trim());
      if (!done && finish === undefined) broken('The provider ended its answer before it was complete.');
      done = true;
    },

    get contentSeen() {
      return contentSeen;
    },
    get done() {
      return done;
    },
    get usage() {
      return usage;
    },
    get finish() {
      return finish;
    },
    get error() {
      return error;
    },
  };
}
