/** Reads along while an Ollama server's bytes are relayed: usage, done reason and errors. */
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { RelayScanner } from '../../core/provider.ts';
import type { Usage } from '../../core/usage.ts';
import { count, list, object, parseObject, text } from '../read.ts';
import { createLineWatcher } from '../relay-lines.ts';
import { decodeErrorBody } from './errors.ts';

const interesting = /"done": *true|"error"/g;

/**
 * Watches a relayed reply, stream or JSON: a unary reply is a stream of one line. Until the first content every line is
 * parsed, after it only the last and errors. Works over chunk borders; `end` sets `error` when the answer is not whole.
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

  const broken = (message: string) => {
    seen.error ??= new ViaductError('provider_invalid_response', message);
  };
  const read = (line: JsonObject) => {
    if (line['error']) seen.error ??= decodeErrorBody(line);
    const { content, thinking, tool_calls } = object(line['message']);
    seen.contentSeen ||= text(content) !== '' || text(thinking) !== '' || list(tool_calls).length > 0;
    if (line['done'] !== true) return;
    seen.done = true;
    seen.finish = text(line['done_reason']) || 'stop';
    seen.usage = { input: count(line['prompt_eval_count']), output: count(line['eval_count']) };
  };
  const readText = (line: string) => {
    const record = parseObject(line);
    if (record) read(record);
  };

  const lines = createLineWatcher({ interesting, all: () => !seen.contentSeen, whole: () => false, read: readText });

  return Object.assign(seen, {
    push(chunk: Buffer) {
      lines.push(chunk);
      if (lines.tooLarge()) broken('The answer of the provider is too large.');
    },

    end() {
      readText(lines.rest());
      if (!seen.done) broken('The provider ended its answer before it was complete.');
    },
  });
}
