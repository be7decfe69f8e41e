/** Reads along while OpenAI bytes are relayed: usage, finish and errors, without parsing every chunk. */
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { RelayScanner } from '../../core/provider.ts';
import type { Usage } from '../../core/usage.ts';
import { decodeErrorBody } from '../openai-error.ts';
import { isObject } from '../read.ts';
import { decodeUsage } from './usage.ts';

/**
 * What stands in a line that must be parsed: an end, or a value that is not null. A quote inside JSON text is escaped, so no key here
 * ever matches what a model says.
 */
const interesting = /"(?:finish_reason|usage|error)" *: *[^n ]|\[DONE\]/g;
const longestBody = 64 * 2 ** 20;

/**
 * Watches a relayed reply, stream or JSON. Until the first content every event is parsed; after it only lines whose
 * `finish_reason`, `usage` or `error` has a value. Works over chunk borders; call `end` when the upstream has ended: it sets
 * `error` when the answer is not whole.
 */
export function createRelayScanner(): RelayScanner & { end(): void } {
  // Fields, not accessors: a literal with accessors costs more than everything else here.
  const seen = {
    contentSeen: false,
    done: false,
    usage: undefined as Usage | undefined,
    finish: undefined as string | undefined,
    error: undefined as ViaductError | undefined,
  };
  let mode: 'unknown' | 'stream' | 'json' = 'unknown';
  /** An unfinished line of a stream, or all of a JSON body so far; one character a byte, which is the cheapest to search. */
  let rest: string[] = [];
  let restSize = 0;
  let choiceSeen = false;

  const broken = (message: string, cause?: unknown) => {
    seen.error ??= new ViaductError('provider_invalid_response', message, { cause });
  };

  const keep = (bytes: string) => {
    rest.push(bytes);
    restSize += bytes.length;
    if (restSize > longestBody) broken('The answer of the provider is too large.');
  };

  /** A JSON body is read as a whole, so its bytes stay bytes. */
  const body: Buffer[] = [];
  const keepBody = (chunk: Buffer) => {
    body.push(chunk);
    restSize += chunk.length;
    if (restSize > longestBody) broken('The answer of the provider is too large.');
  };
  const takeBody = (before: string) => {
    const [only] = body;
    const text = body.length === 1 && only ? only.toString() : Buffer.concat(body).toString();
    return before === '' ? text : decodeUtf8(before) + text;
  };

  const takeRest = (bytes: string) => {
    if (rest.length === 0) return bytes;
    const whole = rest.join('') + bytes;
    rest = [];
    restSize = 0;
    return whole;
  };

  const readObject = (body: JsonObject) => {
    if (body['error']) seen.error ??= decodeErrorBody(body);
    if (isObject(body['usage'])) seen.usage = decodeUsage(body['usage']);
    const { choices } = body;
    if (!Array.isArray(choices)) return;
    for (const choice of choices) {
      if (!isObject(choice)) continue;
      choiceSeen = true;
      if (typeof choice['finish_reason'] === 'string') seen.finish = choice['finish_reason'];
      seen.contentSeen ||= hasContent(choice['delta'] ?? choice['message']) || isText(choice['text']);
    }
  };

  /** One line of a stream. A line that is not whole JSON is left to the client's own parser. */
  const readLine = (line: string) => {
    if (!line.startsWith('data:')) return;
    const data = line.slice(5).trim();
    if (data === '[DONE]') {
      seen.done = true;
      return;
    }
    if (!data.startsWith('{')) return;
    try {
      readObject(JSON.parse(data) as JsonObject);
    } catch {
      // Several `data` lines of one event: what they hold is no usage of a known server.
    }
  };

  /** Whole lines. */
  const scan = (bytes: string) => {
    if (!seen.contentSeen) return readLines(bytes);
    interesting.lastIndex = 0;
    for (let found = interesting.exec(bytes); found; found = interesting.exec(bytes)) {
      const from = bytes.lastIndexOf('\n', found.index) + 1;
      const to = bytes.indexOf('\n', found.index);
      const end = to === -1 ? bytes.length : to;
      readLine(decodeUtf8(bytes.slice(from, end)).trimEnd());
      interesting.lastIndex = end;
    }
  };

  const readLines = (bytes: string) => {
    for (const line of decodeUtf8(bytes).split(lineEnds)) readLine(line);
  };

  return Object.assign(seen, {
    push(chunk: Buffer) {
      if (mode === 'unknown') mode = modeOf(chunk) ?? mode;
      if (mode === 'json') return keepBody(chunk);
      const bytes = chunk.toString('latin1');
      if (mode !== 'stream') return keep(bytes);
      const whole = bytes.lastIndexOf('\n') + 1;
      if (whole > 0) scan(takeRest(whole === bytes.length ? bytes : bytes.slice(0, whole)));
      if (whole < bytes.length) keep(bytes.slice(whole));
    },

    end() {
      const last = takeRest('');
      if (mode === 'stream') {
        readLines(last);
        if (!seen.done && seen.finish === undefined) broken('The provider ended its answer before it was complete.');
        seen.done = true;
        return;
      }
      try {
        const parsed = JSON.parse(takeBody(last)) as Json;
        if (isObject(parsed)) readObject(parsed);
        if (!choiceSeen) broken('The provider gave an empty answer.');
        seen.done = true;
      } catch (cause) {
        broken('The provider answered with something that is not an answer.', cause);
      }
    },
  });
}

const brace = 0x7b;
const lineEnds = /\r\n|\n|\r/;
const decodeUtf8 = (bytes: string) => Buffer.from(bytes, 'latin1').toString('utf8');

/** JSON begins with a brace; undefined while there is only white space. Anything else that is no stream fails in the end as JSON. */
function modeOf(bytes: Buffer): 'stream' | 'json' | undefined {
  if (bytes[0] === brace) return 'json';
  const text = bytes
    .toString('utf8', 0, 64)
    .replace(/^\uFEFF/, '')
    .trimStart();
  if (text === '') return undefined;
  return /^(data|event|id|retry)?:|^(d|da|dat|data|e|ev|eve|even|event|i|id|r|re|ret|retr|retry)$/.test(text)
    ? 'stream'
    : 'json';
}

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
