/** Reads along while Anthropic bytes are relayed: usage, stop reason and errors, without parsing every event. */
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { RelayScanner } from '../../core/provider.ts';
import type { Usage } from '../../core/usage.ts';
import { list, object, parseObject, text } from '../read.ts';
import { createLineWatcher } from '../relay-lines.ts';
import { decodeErrorBody } from './errors.ts';
import { decodeUsage, mergeUsage } from './usage.ts';

const brace = 123;
const interesting = /"(?:message_start|message_delta|message_stop|error)"/g;

/**
 * Watches a relayed reply, stream or JSON. Until the first content every event is parsed, after it only those that carry
 * usage, an end or an error. Works over chunk borders; `end` sets `error` when the answer is not whole.
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
  let wireUsage: JsonObject | undefined;

  const broken = (message: string) => {
    seen.error ??= new ViaductError('provider_invalid_response', message);
  };
  const addUsage = (wire: Json | undefined) => {
    if (!wire) return;
    wireUsage = mergeUsage(wireUsage ?? {}, object(wire));
    seen.usage = decodeUsage(wireUsage);
  };

  const readEvent = (event: JsonObject) => {
    switch (event['type']) {
      case 'message_start': {
        const { usage, content, stop_reason } = object(event['message']);
        addUsage(usage);
        seen.contentSeen ||= list(content).length > 0;
        seen.finish = text(stop_reason) || seen.finish;
        break;
      }
      case 'content_block_start':
        seen.contentSeen ||= object(event['content_block'])['type'] !== 'text';
        break;
      case 'content_block_delta':
        seen.contentSeen = true;
        break;
      case 'message_delta':
        addUsage(event['usage']);
        seen.finish = text(object(event['delta'])['stop_reason']) || seen.finish;
        break;
      case 'message_stop':
        seen.done = true;
        break;
      default:
        if (event['error']) seen.error ??= decodeErrorBody(event);
    }
  };

  const readLine = (line: string) => {
    if (!line.startsWith('data:')) return;
    const event = parseObject(line.slice(5));
    if (event) readEvent(event);
  };

  const lines = createLineWatcher({
    interesting,
    all: () => !seen.contentSeen,
    whole: () => mode === 'json',
    read: readLine,
  });

  const readBody = (body: JsonObject | undefined) => {
    if (!body) return broken('The provider answered with something that is not a message.');
    if (body['error']) seen.error ??= decodeErrorBody(body);
    else if (!Array.isArray(body['content'])) broken('The provider answered with something that is not a message.');
    addUsage(body['usage']);
    seen.finish = text(body['stop_reason']) || undefined;
    seen.contentSeen = list(body['content']).length > 0;
    seen.done = true;
  };

  return Object.assign(seen, {
    push(chunk: Buffer) {
      if (mode === 'unknown') mode = chunk.find((byte) => byte > 32 && byte < 128) === brace ? 'json' : 'stream';
      lines.push(chunk);
      if (lines.tooLarge()) broken('The answer of the provider is too large.');
    },

    end() {
      const last = lines.rest();
      if (mode === 'json') return readBody(parseObject(last));
      readLine(last.trim());
      if (!seen.done && seen.finish === undefined) broken('The provider ended its answer before it was complete.');
      seen.done = true;
    },
  });
}
