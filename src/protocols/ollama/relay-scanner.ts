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
  let usage: Usage | undefined;
  let contentSeen = false;
  let done = false;
  let finish: string | undefined;
  let error: ViaductError | undefined;

  const broken = (message: string) => {
    error ??= new ViaductError('provider_invalid_response', message);
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

  const lines = createLineWatcher({ interesting, all: () => !contentSeen, whole: () => false, read: readText });

  return {
    push(chunk) {
      lines.push(chunk);
      if (lines.tooLarge) broken('The answer of the provider is too large.');
    },

    end() {
      readText(lines.rest());
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
