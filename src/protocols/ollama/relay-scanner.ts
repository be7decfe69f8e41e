/** Reads along while an Ollama server's bytes are relayed: usage, done reason and errors. */
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { RelayScanner } from '../../core/provider.ts';
import type { Usage } from '../../core/usage.ts';
import { count, list, object, parseObject, text } from '../read.ts';
import { decodeErrorBody } from './errors.ts';

const lf = 10;
/** Lines worth a parse. A quote inside JSON text is escaped, so neither matches what a model says. */
const marks = ['"done_reason"', '"error"'].map((mark) => Buffer.from(mark));
const longestLine = 64 * 2 ** 20;

/**
 * Watches a relayed reply, stream or JSON: a unary reply is a stream of one line. Until the first content every line is
 * parsed, after it only the last and errors. Works over chunk borders; `end` sets `error` when the answer is not whole.
 */
export function createRelayScanner(): RelayScanner & { end(): void } {
  /** An unfinished line. */
  let rest: Buffer[] = [];
  let restSize = 0;
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
    if (restSize > longestLine) broken('The answer of the provider is too large.');
  };
  const takeRest = (bytes: Buffer) => {
    const whole = rest.length === 0 ? bytes : Buffer.concat([...rest, bytes]);
    rest = [];
    restSize = 0;
    return whole;
  };

  const read = (line: JsonObject) => {
    if (line['error']) error ??= decodeErrorBody(line);
    const { content, thinking, tool_calls } = object(line['message']);
    contentSeen ||= text(content) !== '' || text(thinking) !== '' || list(tool_calls).length > 0;
    if (line['done'] !== true) return;
    done = true;
    finish = text(line['done_reason']) || 'stop';
    usage = { input: count(line['prompt_eval_count']), output: count(line['eval_count']) };
  };
  const readText = (line: string) => {
    const record = parseObject(line);
    if (record) read(record);
  };

  /** Whole lines. */
  const scan = (bytes: Buffer) => {
    if (!contentSeen) {
      for (const line of bytes.toString('utf8').split('\n')) readText(line);
      return;
    }
    for (const mark of marks)
      for (let at = bytes.indexOf(mark); at !== -1; ) {
        const end = bytes.indexOf(lf, at);
        const to = end === -1 ? bytes.length : end;
        readText(bytes.toString('utf8', bytes.lastIndexOf(lf, at) + 1, to));
        at = bytes.indexOf(mark, to);
      }
  };

  return {
    push(chunk) {
      const lineEnd = chunk.lastIndexOf(lf);
      if (lineEnd === -1) return keep(chunk);
      scan(takeRest(chunk.subarray(0, lineEnd + 1)));
      if (lineEnd + 1 < chunk.length) keep(chunk.subarray(lineEnd + 1));
    },

    end() {
      const last = takeRest(Buffer.alloc(0)).toString('utf8').trim();
      if (last !== '') readText(last);
      if (!done) broken('The provider ended its answer before it was complete.');
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
