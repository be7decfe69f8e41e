/** Reads along while OpenAI bytes are relayed: usage, finish and errors, without parsing every chunk. */
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { RelayScanner } from '../../core/provider.ts';
import type { Usage } from '../../core/usage.ts';
import { decodeErrorBody, isError } from '../openai-error.ts';
import { isObject } from '../read.ts';
import { createLineWatcher, type LineWatcher } from '../relay-lines.ts';
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
export const createRelayScanner = (): RelayScanner & { end(): void } => new Scanner();

/** A class, because one is made for every request: its methods are shared, closures would be made anew. */
class Scanner implements RelayScanner {
  contentSeen = false;
  done = false;
  usage: Usage | undefined = undefined;
  finish: string | undefined = undefined;
  error: ViaductError | undefined = undefined;
  #form: Form = 'blank';
  /** Present once the reply has shown itself as a stream. */
  #lines: LineWatcher | undefined = undefined;
  /** A JSON body so far, or white space of which nobody knows yet. */
  #body: Buffer[] = [];
  #size = 0;
  #choiceSeen = false;

  push(chunk: Buffer): void {
    if (this.#lines) this.#lines.push(chunk);
    else this.#keep(chunk);
    if (this.#size > longestBody || this.#lines?.tooLarge()) this.#broken('The answer of the provider is too large.');
  }

  end(): void {
    if (this.#lines) {
      for (const line of this.#lines.rest().split(lineEnds)) this.#readLine(line);
      if (!this.done && this.finish === undefined)
        this.#broken('The provider ended its answer before it was complete.');
      this.done = true;
      return;
    }
    try {
      const [only] = this.#body;
      const text = this.#body.length === 1 && only ? only.toString() : Buffer.concat(this.#body).toString();
      const parsed = JSON.parse(text) as Json;
      if (isObject(parsed)) this.#readObject(parsed);
      if (!this.#choiceSeen) this.#broken('The provider gave an empty answer.');
      this.done = true;
    } catch (cause) {
      this.#broken('The provider answered with something that is not an answer.', cause);
    }
  }

  #keep(chunk: Buffer): void {
    this.#body.push(chunk);
    this.#size += chunk.length;
    if (this.#form !== 'blank') return;
    this.#form = formOf(chunk);
    if (this.#form !== 'stream') return;
    this.#lines = createLineWatcher({
      interesting,
      all: () => !this.contentSeen,
      whole: () => false,
      read: (line) => this.#readLine(line),
    });
    for (const piece of this.#body) this.#lines.push(piece);
    this.#body = [];
  }

  #readObject(body: JsonObject): void {
    if (isError(body)) this.error ??= decodeErrorBody(body);
    if (isObject(body['usage'])) this.usage = decodeUsage(body['usage']);
    const { choices } = body;
    if (!Array.isArray(choices)) return;
    for (const choice of choices) {
      if (!isObject(choice)) continue;
      this.#choiceSeen = true;
      if (typeof choice['finish_reason'] === 'string') this.finish = choice['finish_reason'];
      this.contentSeen ||= hasContent(choice['delta'] ?? choice['message']) || isText(choice['text']);
    }
  }

  /** One line of a stream. A line that is not whole JSON is left to the client's own parser. */
  #readLine(line: string): void {
    if (!line.startsWith('data:')) return;
    const data = line.slice(5).trim();
    if (data === '[DONE]') {
      this.done = true;
      return;
    }
    if (!data.startsWith('{')) return;
    try {
      this.#readObject(JSON.parse(data) as JsonObject);
    } catch {
      // Several `data` lines of one event: what they hold is no usage of a known server.
    }
  }

  #broken(message: string, cause?: unknown): void {
    this.error ??= new ViaductError('provider_invalid_response', message, { cause });
  }
}

type Form = 'blank' | 'stream' | 'json';

const brace = 0x7b;
const lineEnds = /\r\n|\n|\r/;

/** JSON begins with a brace. Anything else that is no stream fails in the end as JSON. */
function formOf(bytes: Buffer): Form {
  if (bytes[0] === brace) return 'json';
  const text = bytes
    .toString('utf8', 0, 64)
    .replace(/^\uFEFF/, '')
    .trimStart();
  if (text === '') return 'blank';
  return /^(data|event|id|retry)?:|^(d|da|dat|data|e|ev|eve|even|event|i|id|r|re|ret|retr|retry)$/.test(text)
    ? 'stream'
    : 'json';
}

function hasContent(message: Json | undefined): boolean {
  if (!isObject(message)) return false;
  const { content, refusal, reasoning, reasoning_content, tool_calls, function_call, images } = message;
  return (
    isSaid(content) ||
    isSaid(refusal) ||
    isSaid(reasoning) ||
    isSaid(reasoning_content) ||
    isFilled(tool_calls) ||
    isFilled(images) ||
    isObject(tool_calls) ||
    isObject(function_call)
  );
}

const isSaid = (value: unknown) => isText(value) || isFilled(value);
const isText = (value: unknown) => typeof value === 'string' && value !== '';
const isFilled = (value: unknown) => Array.isArray(value) && value.length > 0;
