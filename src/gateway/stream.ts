/** A translated answer, watched: held back until its first content, then passed on batch by batch. */
import type { ChatEvent, ChatStream } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';
import type { Usage } from '../core/usage.ts';
import type { Attempt, Measured } from './attempt.ts';

export type Finish = Extract<ChatEvent, { type: 'finish' }>;

/** What was seen of an answer, for its bill. */
export type Seen = { finish: Finish | undefined; characters: number };

export type StreamRules = {
  /** A well-formed answer without content is taken as it is. */
  mayBeEmpty: boolean;
  /** A content filter that left nothing counts as a failure. */
  contentFilterFails: boolean;
};

/**
 * Wait for the first content of `events`, and give a stream that ends `attempt` when it is over.
 * Throws, before anything has gone out, what went wrong. `measure` makes the bill of what was seen so far.
 */
export async function watchStream(
  events: ChatStream,
  attempt: Attempt,
  { mayBeEmpty, contentFilterFails }: StreamRules,
  measure: (seen: Seen) => Measured,
): Promise<ChatStream> {
  const source = events[Symbol.asyncIterator]();
  const seen: Seen = { finish: undefined, characters: 0 };
  let held: ChatEvent[] = [];
  let over = false;
  let content = false;

  const look = (batch: readonly ChatEvent[]) => {
    for (const event of batch) {
      const size = sizeOf(event);
      seen.characters += size;
      if (size > 0 || event.type === 'tool-call' || event.type === 'reasoning-end') content = true;
      else if (event.type === 'finish') seen.finish = event;
    }
  };

  while (!content && !seen.finish) {
    const next = await source.next();
    if (next.done) throw invalid(attempt, 'gave an empty answer');
    look(next.value);
    held = held.length === 0 ? [...next.value] : held.concat(next.value);
  }
  if (!content && seen.finish) {
    const { reason } = seen.finish;
    const { name } = attempt.target.provider;
    if (reason === 'content-filter' && contentFilterFails)
      throw new ViaductError(
        'content_policy_violation',
        `A content filter of the provider ${name} refused the request.`,
      );
    if (reason === 'error') throw invalid(attempt, 'failed while it answered');
    if (reason === 'stop' && !mayBeEmpty) throw invalid(attempt, 'gave an answer without content');
  }
  attempt.opened(() => measure(seen));

  const fail = (thrown: unknown) => {
    const { aborted, reason } = attempt.context.signal;
    const error = ViaductError.from(aborted ? reason : thrown);
    attempt.end(error);
    return error;
  };

  const iterator: AsyncIterator<readonly ChatEvent[]> = {
    async next() {
      if (held.length > 0) {
        const first = held;
        held = [];
        if (seen.finish) attempt.end();
        return { done: false, value: first };
      }
      if (over) return done;
      try {
        const next = await source.next();
        if (next.done) {
          over = true;
          if (!seen.finish) throw invalid(attempt, 'broke off in the middle of its answer');
          attempt.end();
          return done;
        }
        attempt.touch();
        look(next.value);
        // The bill is made before the client sees the end: whoever has the whole answer finds it in the ledger.
        if (seen.finish) attempt.end();
        return next;
      } catch (thrown) {
        over = true;
        throw fail(thrown);
      }
    },
    async return() {
      if (!over) {
        over = true;
        attempt.end(new ViaductError('client_closed_request', 'The client left.'));
        await source.return?.();
      }
      return done;
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined };

const invalid = ({ target }: Attempt, what: string) =>
  new ViaductError('provider_invalid_response', `The provider ${target.provider.name} ${what}.`);

function sizeOf(event: ChatEvent): number {
  switch (event.type) {
    case 'text':
    case 'refusal':
    case 'reasoning':
      return event.text.length;
    case 'tool-input':
      return event.json.length;
    default:
      return 0;
  }
}

/** A guess where the provider tells nothing: four characters to a token. */
export const estimateUsage = (inputTokens: number, characters: number): Usage => ({
  input: inputTokens,
  output: Math.ceil(characters / 4),
});
