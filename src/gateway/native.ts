/** Pass-through to a provider's own API, watched: bytes untouched, usage read from the end of the reply, one ledger entry. */
import { ViaductError } from '../core/errors.ts';
import type { NativeReply, NativeSocket } from '../core/provider.ts';
import type { Usage } from '../core/usage.ts';
import type { Attempt } from './attempt.ts';

/** Where replies and streams of every provider have their token counts. */
const tailLimit = 64 * 1024;

/** Ends `attempt` when the reply is over; its body is changed in place, to be read through us. */
export function watchNative(reply: NativeReply, attempt: Attempt): void {
  const source = reply.body[Symbol.asyncIterator]();
  let tail: Buffer[] = [];
  let size = 0;
  let usage: Usage | undefined;
  attempt.opened();
  attempt.answering(() => ({ usage: usage ?? usageIn(Buffer.concat(tail)), estimated: false }));
  const refused =
    reply.status >= 500
      ? new ViaductError('provider_unavailable', `It answered with status ${reply.status}.`)
      : undefined;

  const iterator: AsyncIterator<Buffer> = {
    async next() {
      try {
        const next = await source.next();
        if (next.done) {
          usage = usageIn(Buffer.concat(tail));
          tail = [];
          await attempt.end(refused);
          return next;
        }
        attempt.touch();
        tail.push(next.value);
        size += next.value.length;
        while (tail[0] && size - tail[0].length >= tailLimit) size -= tail.shift()?.length ?? 0;
        return next;
      } catch (thrown) {
        const { aborted, reason } = attempt.cancel;
        const error =
          aborted || thrown instanceof ViaductError
            ? ViaductError.from(aborted ? reason : thrown)
            : new ViaductError('provider_unavailable', 'The connection to the provider broke.', { cause: thrown });
        await attempt.end(error);
        throw error;
      }
    },
    async return() {
      attempt.end(new ViaductError('client_closed_request', 'The client left.'));
      await source.return?.();
      return { done: true, value: undefined };
    },
  };
  reply.body = { [Symbol.asyncIterator]: () => iterator };
}

/** A WebSocket's attempt lasts as long as its connection. */
export function watchSocket({ socket }: NativeSocket, attempt: Attempt): void {
  attempt.opened();
  attempt.answering(() => ({ usage: { input: 0, output: 0 }, estimated: false }));
  socket.on('data', () => attempt.touch());
  attempt.cancel.onAbort(() => socket.destroy());
  socket.on('close', () => attempt.end());
}

/** Names that OpenAI (both APIs), Anthropic, Gemini, Bedrock and Cohere give their counts. */
const inputNames = ['prompt_tokens', 'input_tokens', 'promptTokenCount', 'inputTokens'];
const outputNames = ['completion_tokens', 'output_tokens', 'candidatesTokenCount', 'outputTokens'];

/** The last counts in the text, without knowing its protocol. Nothing found counts as nothing used. */
function usageIn(tail: Buffer): Usage {
  const text = tail.toString('latin1');
  const last = (names: string[]) => {
    let found = 0;
    for (const name of names)
      for (const [, count] of text.matchAll(new RegExp(`"${name}"\\s*:\\s*(\\d+)`, 'g'))) found = Number(count);
    return found;
  };
  return { input: last(inputNames), output: last(outputNames) };
}
