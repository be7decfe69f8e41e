/** A translated answer, watched: nothing is handed out before it is certain that there is an answer. */
import type { ChatEvent, ChatStream } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';
import type { Usage } from '../core/usage.ts';
import type { Attempt, Measured } from './attempt.ts';

export type Finish = Extract<ChatEvent, { type: 'finish' }>;

/** What was seen of an answer, for its bill. */
export type Seen = { content: boolean; finish: Finish | undefined; characters: number };

export type StreamRules = {
  /** A well-formed answer without content is taken as it is. */
  mayBeEmpty: boolean;
  /** A content filter that left nothing counts as a failure. */
  contentFilterFails: boolean;
};

type Watch = (
  events: ChatStream,
  attempt: Attempt,
  rules: StreamRules,
  measure: (seen: Seen) => Measured,
) => Promise<ChatStream>;

/**
 * Wait for the first content of `events`, and give a stream that ends `attempt` when it is over.
 * Throws, before anything has gone out, what went wrong. `measure` makes the bill of what was seen so far.
 */
export const watchStream: Watch = async (events, attempt, rules, measure) => {
  const source = events[Symbol.asyncIterator]();
  const seen: Seen = { content: false, finish: undefined, characters: 0 };
  let held: ChatEvent[] = [];
  let over = false;

  while (!seen.content && !seen.finish) {
    const next = await source.next();
    if (next.done) throw invalid(attempt, 'gave an empty answer');
    look(next.value, seen);
    held = held.length === 0 ? [...next.value] : held.concat(next.value);
  }
  refuseNothing(seen, attempt, rules);
  attempt.opened();
  attempt.answering(() => measure(seen));

  const iterator: AsyncIterator<readonly ChatEvent[]> = {
    async next() {
      if (held.length > 0) {
        const first = held;
        held = [];
        if (seen.finish) await attempt.end();
        return { done: false, value: first };
      }
      if (over) return done;
      try {
        const next = await source.next();
        if (next.done) {
          over = true;
          if (!seen.finish) throw invalid(attempt, 'broke off in the middle of its answer');
          await attempt.end();
          return done;
        }
        attempt.touch();
        look(next.value, seen);
        // The bill is made before the client sees the end: whoever has the whole answer finds it in the ledger.
        if (seen.finish) await attempt.end();
        return next;
      } catch (thrown) {
        over = true;
        const { aborted, reason } = attempt.cancel;
        const error = ViaductError.from(aborted ? reason : thrown);
        await attempt.end(error);
        throw error;
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
};

/** The same for a client that wants the answer in one piece: until it is whole nothing has gone out, so any failure may still be hidden. */
export const takeWhole: Watch = async (events, attempt, rules, measure) => {
  const seen: Seen = { content: false, finish: undefined, characters: 0 };
  const all: ChatEvent[] = [];
  for await (const batch of events) {
    look(batch, seen);
    for (const event of batch) all.push(event);
    if (!seen.content) continue;
    if (attempt.firstTokenMs === undefined) attempt.opened();
    else attempt.touch();
  }
  if (!seen.finish)
    throw invalid(attempt, seen.content ? 'broke off in the middle of its answer' : 'gave an empty answer');
  refuseNothing(seen, attempt, rules);
  attempt.answering(() => measure(seen));
  await attempt.end();
  return once(all);
};

async function* once(batch: ChatEvent[]): ChatStream {
  yield batch;
}

function look(batch: readonly ChatEvent[], seen: Seen): void {
  for (const event of batch) {
    const size = sizeOf(event);
    seen.characters += size;
    if (size > 0 || event.type === 'tool-call' || event.type === 'image' || event.type === 'reasoning-end')
      seen.content = true;
    else if (event.type === 'finish') seen.finish = event;
  }
}

/** An answer that ended without saying anything: whether that is one. */
function refuseNothing(
  { content, finish }: Seen,
  attempt: Attempt,
  { mayBeEmpty, contentFilterFails }: StreamRules,
): void {
  if (content || !finish) return;
  const { name } = attempt.target.provider;
  if (finish.reason === 'content-filter' && contentFilterFails)
    throw new ViaductError('content_policy_violation', `A content filter of the provider ${name} refused the request.`);
  if (finish.reason === 'error') throw invalid(attempt, 'failed while it answered');
  if (finish.reason === 'stop' && !mayBeEmpty) throw invalid(attempt, 'gave an answer without content');
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
