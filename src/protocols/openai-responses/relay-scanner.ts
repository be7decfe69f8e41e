/** Reads usage, finish and errors out of relayed bytes of this protocol. Only the last event, or the one body, is parsed. */

import { ViaductError } from '../../core/errors.ts';
import type { RelayScanner } from '../../core/provider.ts';
import type { Usage } from '../../core/usage.ts';
import { decodeUsage } from './resource.ts';
import { createStreamDecoder } from './stream-decoder.ts';

const newline = 10;
const dataField = Buffer.from('data:');
/** An event's type stands among its first or its last bytes, as every server writes it. */
const head = 200;
const wholeReplies = new Set<unknown>(['response', 'response.compaction']);
const terminal = /"type"\s*:\s*"(response\.(completed|incomplete|failed)|error)"/;
const content = /"type"\s*:\s*"response\.(output_item|output_text|reasoning|refusal|function_call|custom_tool)/;

/** For an event stream and for a unary reply alike: what begins with `{` is the latter. */
export function createRelayScanner(): RelayScanner {
  // Fields, not accessors: a literal with accessors costs more than everything else here.
  const seen = {
    contentSeen: false,
    done: false,
    usage: undefined as Usage | undefined,
    finish: undefined as string | undefined,
    error: undefined as ViaductError | undefined,
  };
  let unary: boolean | undefined;
  let pieces: Buffer[] = [];

  const readEnd = (text: string) => {
    const event = JSON.parse(text) as { [field: string]: unknown };
    const response = (unary ? event : (event['response'] ?? {})) as { [field: string]: unknown };
    if (unary && !wholeReplies.has(response['object'])) return;
    const type = unary ? `response.${String(response['status'] ?? 'completed')}` : String(event['type']);
    if (response['usage']) seen.usage = decodeUsage(response['usage']);
    seen.finish = type.replace('response.', '');
    if (type === 'response.failed' || type === 'error')
      seen.error = failureOf(unary ? JSON.stringify({ type, response }) : text);
    else seen.done = true;
    if (unary) seen.contentSeen = true;
  };

  const line = (bytes: Buffer) => {
    if (bytes.indexOf(dataField) !== 0) return;
    const short = bytes.length <= 2 * head;
    const start = short
      ? bytes.toString('latin1')
      : `${bytes.toString('latin1', 0, head)} ${bytes.toString('latin1', bytes.length - head)}`;
    if (terminal.test(start)) tryRead(bytes.toString('utf8', dataField.length));
    else if (!seen.contentSeen && content.test(start)) seen.contentSeen = true;
  };

  const tryRead = (text: string) => {
    try {
      readEnd(text);
    } catch (cause) {
      seen.error = new ViaductError('provider_invalid_response', 'The provider sent something that is not JSON.', {
        cause,
      });
    }
  };

  return Object.assign(seen, {
    push(chunk: Buffer) {
      unary ??= /^\s*\{/.test(chunk.toString('latin1', 0, 16));
      if (unary) {
        pieces.push(chunk);
        return;
      }
      let from = 0;
      for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
        pieces.push(chunk.subarray(from, at));
        line(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces));
        pieces = [];
        from = at + 1;
      }
      if (from < chunk.length) pieces.push(chunk.subarray(from));
    },
    end() {
      const rest = Buffer.concat(pieces);
      pieces = [];
      if (unary) tryRead(rest.toString('utf8'));
      else if (rest.length > 0) line(rest);
    },
  });
}

/** The decoder of translated streams knows what a failure means. */
function failureOf(data: string): ViaductError {
  try {
    createStreamDecoder().push({ data });
  } catch (thrown) {
    return ViaductError.from(thrown);
  }
  return new ViaductError('provider_unavailable', 'The provider failed while it answered.');
}
