/** Reads along while OpenAI bytes are relayed: usage, finish and errors, without parsing every chunk. */
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { RelayScanner } from '../../core/provider.ts';
import type { Usage } from '../../core/usage.ts';
import { decodeErrorBody } from '../openai-error.ts';
import { decodeUsage } from './decode-reply.ts';

const lf = 10;
/** What stands in a line that must be parsed. A quote inside JSON text is escaped, so these never match what a model says. */
const marks = ['"finish_reason"', '"usage"', '"error"'].map((mark) => Buffer.from(mark));
const doneMark = Buffer.from('[DONE]');
const longestBody = 64 * 2 ** 20;

/**
 * Watches a relayed reply, stream or JSON. Until the first content every event is parsed; after it only lines whose
 * `finish_reason`, `usage` or `error` is not null. Works over chunk borders; call `end` when the upstream has ended: it sets
 * `error` when the answer is not whole.
 */
export function createRelayScanner(): RelayScanner & { end(): void } {
  let mode: 'unknown' | 'stream' | 'json' = 'unknown';
  /** An unfinished line of a stream, or all of a JSON body so far. */
  let rest: Buffer[] = [];
  let restSize = 0;
  let contentSeen = false;
  let choiceSeen = false;
  let done = false;
  let usage: Usage | undefined;
  let finish: string | undefined;
  let error: ViaductError | undefined;

  const broken = (message: string, cause?: unknown) => {
    error ??= new ViaductError('provider_invalid_response', message, { cause });
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

  const readObject = (body: JsonObject) => {
    if (body['error']) error ??= decodeErrorBody(body);
    if (isObject(body['usage'])) usage = decodeUsage(body['usage']);
    const { choices } = body;
    if (!Array.isArray(choices)) return;
    for (const choice of choices) {
      if (!isObject(choice)) continue;
      choiceSeen = true;
      if (typeof choice['finish_reason'] === 'string') finish = choice['finish_reason'];
      contentSeen ||= hasContent(choice['delta'] ?? choice['message']) || isText(choice['text']);
    }
  };

  /** One line of a stream. A line that is not whole JSON is left to the client's own parser. */
  const readLine = (line: string) => {
    if (!line.startsWith('data:')) return;
    const data = line.slice(5).trim();
    if (data === '[DONE]') {
      done = true;
      return;
    }
    if (!data.startsWith('{')) return;
    try {
      readObject(JSON.parse(data) as JsonObject);
    } catch {
      // Several `data` lines of one event: what they hold is no usage of a known server.
    }
  };

  const readAllLines = (bytes: Buffer) => {
    for (const line of bytes.toString('utf8').split(/\r\n|\n|\r/)) readLine(line);
  };

  const readLineAt = (bytes: Buffer, at: number) => {
    const from = bytes.lastIndexOf(lf, at) + 1;
    const to = bytes.indexOf(lf, at);
    readLine(bytes.toString('utf8', from, to === -1 ? bytes.length : to));
    return to === -1 ? bytes.length : to;
  };

  /** Whole lines. */
  const scan = (bytes: Buffer) => {
    if (!contentSeen) return readAllLines(bytes);
    for (const mark of marks)
      for (let at = bytes.indexOf(mark); at !== -1; at = bytes.indexOf(mark, at)) {
        at += mark.length;
        if (hasValue(bytes, at)) at = readLineAt(bytes, at);
      }
    const end = bytes.lastIndexOf(doneMark);
    if (end !== -1) readLineAt(bytes, end);
  };

  return {
    push(chunk) {
      if (mode === 'unknown') mode = modeOf(chunk) ?? mode;
      if (mode !== 'stream') return keep(chunk);
      const lineEnd = chunk.lastIndexOf(lf);
      if (lineEnd === -1) return keep(chunk);
      scan(takeRest(chunk.subarray(0, lineEnd + 1)));
      if (lineEnd + 1 < chunk.length) keep(chunk.subarray(lineEnd + 1));
    },

    end() {
      const last = takeRest(Buffer.alloc(0));
      if (mode === 'stream') {
        readAllLines(last);
        if (!done && finish === undefined) broken('The provider ended its answer before it was complete.');
        done = true;
        return;
      }
      try {
        const body = JSON.parse(last.toString('utf8')) as Json;
        if (isObject(body)) readObject(body);
        if (!choiceSeen) broken('The provider gave an empty answer.');
        done = true;
      } catch (cause) {
        broken('The provider answered with something that is not an answer.', cause);
      }
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

/** JSON begins with a brace; undefined while there is only white space. Anything else that is no stream fails in the end as JSON. */
function modeOf(chunk: Buffer): 'stream' | 'json' | undefined {
  const text = chunk
    .toString('utf8', 0, 64)
    .replace(/^\uFEFF/, '')
    .trimStart();
  if (text === '') return undefined;
  return /^(data|event|id|retry)?:|^(d|da|dat|data|e|ev|eve|even|event|i|id|r|re|ret|retr|retry)$/.test(text)
    ? 'stream'
    : 'json';
}

/** Whether the key that ends at `at` has a value other than null. */
function hasValue(bytes: Buffer, at: number): boolean {
  let next = at;
  while (bytes[next] === space || bytes[next] === colon) next++;
  return next > at && bytes[next] !== letterN;
}

const space = 32;
const colon = 58;
const letterN = 110;

function hasContent(message: Json | undefined): boolean {
  if (!isObject(message)) return false;
  const { content, refusal, reasoning, reasoning_content, tool_calls, function_call } = message;
  return (
    [content, refusal, reasoning, reasoning_content].some((value) => isText(value) || isFilled(value)) ||
    isFilled(tool_calls) ||
    isObject(tool_calls) ||
    isObject(function_call)
  );
}

const isText = (value: unknown) => typeof value === 'string' && value !== '';
const isFilled = (value: unknown) => Array.isArray(value) && value.length > 0;
const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
