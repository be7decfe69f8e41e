/** A relayed answer, watched: a whole one read before it goes on, a stream held back until its first content and then read along. */
import { ViaductError } from '../core/errors.ts';
import type { RelayReply, RelayScanner } from '../core/provider.ts';
import type { Attempt, Measured } from './attempt.ts';

/** Bytes without content that may be held back: an upstream that sends more has nothing to say. */
const heldLimit = 8 * 2 ** 20;

/** `measure` makes the bill of what has been relayed so far. */
type Measure = (scanner: RelayScanner, bytes: number) => Measured;

function refuseNothing({ contentSeen, finish }: RelayScanner, attempt: Attempt, mayBeEmpty: boolean): void {
  if (contentSeen) return;
  if (finish === undefined) throw invalid(attempt, 'gave an empty answer');
  if (!mayBeEmpty) throw invalid(attempt, 'gave an answer without content');
}

/**
 * Wait for the first content of `reply`, and give the reply with a body that ends `attempt` when it is over.
 * Throws, before anything has gone out, what the upstream said instead; with `mayBeEmpty` false also for a well-formed answer without content.
 */
export async function watchRelay(
  reply: RelayReply,
  attempt: Attempt,
  mayBeEmpty: boolean,
  measure: Measure,
): Promise<RelayReply> {
  const { body, scanner } = reply;
  if (!Array.isArray(body)) return { ...reply, body: await watchStream(body, reply, attempt, mayBeEmpty, measure) };
  const [whole] = body;
  scanner.push(whole);
  scanner.end?.();
  if (scanner.error) throw scanner.error;
  refuseNothing(scanner, attempt, mayBeEmpty);
  attempt.opened();
  attempt.answering(() => measure(scanner, whole.length));
  await attempt.end();
  return reply;
}

async function watchStream(
  relayed: AsyncIterable<Buffer>,
  { scanner, filter }: RelayReply,
  attempt: Attempt,
  mayBeEmpty: boolean,
  measure: Measure,
): Promise<AsyncIterable<Buffer>> {
  const source = relayed[Symbol.asyncIterator]();
  const held: Buffer[] = [];
  let bytes = 0;
  let over = false;

  while (!over) {
    const next = await source.next();
    if (next.done) {
      over = true;
      scanner.end?.();
    } else {
      held.push(next.value);
      bytes += next.value.length;
      scanner.push(next.value);
    }
    if (scanner.error) throw scanner.error;
    if (scanner.contentSeen) break;
    if (bytes > heldLimit) throw invalid(attempt, 'sent no answer');
  }
  refuseNothing(scanner, attempt, mayBeEmpty);
  attempt.opened();
  attempt.answering(() => measure(scanner, bytes));
  // The bill is made before the client sees the end: whoever has the whole answer finds it in the ledger.
  if (over || scanner.done) await attempt.end();

  let failure: ViaductError | undefined;
  const fail = async (thrown: unknown) => {
    const error = ViaductError.from(attempt.cancel.aborted ? attempt.cancel.reason : thrown);
    await attempt.end(error);
    return error;
  };
  const finish = async () => {
    over = true;
    scanner.end?.();
    if (scanner.error) throw await fail(scanner.error);
    if (!scanner.done && scanner.finish === undefined)
      throw await fail(invalid(attempt, 'broke off in the middle of its answer'));
    await attempt.end();
  };

  const takeHeld = () => {
    const bytes = held.length > 1 ? Buffer.concat(held) : held[0];
    held.length = 0;
    return bytes;
  };
  /** The next bytes; undefined at the end. */
  const read = async (): Promise<Buffer | undefined> => {
    if (failure) throw failure;
    if (over) return undefined;
    let next: IteratorResult<Buffer>;
    try {
      next = await source.next();
    } catch (thrown) {
      throw await fail(thrown);
    }
    if (next.done) {
      await finish();
      return undefined;
    }
    const chunk = next.value;
    attempt.touch();
    bytes += chunk.length;
    scanner.push(chunk);
    if (!scanner.error) {
      if (scanner.done) await attempt.end();
      return chunk;
    }
    // The upstream's own words for a failure stay here; the door says it in ours.
    failure = await fail(scanner.error);
    const before = wholeEventsBefore(chunk, '"error"');
    if (before.length === 0) throw failure;
    return before;
  };
  let flushed = false;
  const flush = (): IteratorResult<Buffer> => {
    flushed = true;
    const rest = filter?.end();
    return rest && rest.length > 0 ? { done: false, value: rest } : done;
  };

  const body: AsyncIterator<Buffer> = {
    async next() {
      for (;;) {
        const chunk = held.length > 0 ? takeHeld() : await read();
        const out = chunk && filter ? filter.push(chunk) : chunk;
        if (out && out.length > 0) return { done: false, value: out };
        if (!chunk) return flushed ? done : flush();
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
  return { [Symbol.asyncIterator]: () => body };
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined };

const invalid = ({ target }: Attempt, what: string) =>
  new ViaductError('provider_invalid_response', `The provider ${target.provider.name} ${what}.`);

/** The part of a stream's bytes that ends with the last whole event before `mark`. */
function wholeEventsBefore(chunk: Buffer, mark: string): Buffer {
  const at = chunk.indexOf(mark);
  const until = Math.max(chunk.lastIndexOf('\n\n', at) + 2, chunk.lastIndexOf('\r\n\r\n', at) + 4);
  return at === -1 || until < 4 ? chunk.subarray(0, 0) : chunk.subarray(0, until);
}
