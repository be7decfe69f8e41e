/** Several neutral calls for one request (`n`, several prompts), answered as one. */
import type { ChatEvent, ChatResult } from '../../core/chat.ts';
import { collect } from '../../core/collect.ts';
import { ViaductError } from '../../core/errors.ts';
import type { ChatAnswer, ChatCall, Served } from '../../gateway/gateway.ts';
import type { Exchange } from '../define.ts';
import { servedHeaders } from '../http.ts';
import { eventStream, keepAlive, keepAliveMs, openStream, type StreamWriter } from '../stream-writer.ts';

export type ManyEncoder = {
  push(event: ChatEvent, index: number): string;
  /** What is to be done before the end is said. */
  beforeEnd?(): Promise<void>;
  end(): string;
  fail(error: ViaductError): string;
};

/** Run all calls at once and wait for all results, in order. The first failure stops the others. */
export async function collectMany(
  { caller }: Exchange,
  calls: ChatCall[],
): Promise<{ results: ChatResult[]; served: Served }> {
  const run = createRun();
  const answers: Served[] = [];
  const results = await run.all(
    calls.map(async (call, index) => {
      const answer = await caller.chat(call);
      answers[index] = answer;
      return collect(run.watch(eventsOf(answer)));
    }),
  );
  return { results, served: answers[0] as Served };
}

/**
 * Run all calls at once and write their events as they come. A failure before anything began is thrown; a later one ends the
 * stream in `encoder`'s words, and stops the other calls.
 */
export async function streamMany(
  { reply, caller }: Exchange,
  calls: ChatCall[],
  createEncoder: (served: Served) => ManyEncoder,
): Promise<void> {
  const run = createRun();
  let writer: StreamWriter | undefined;
  let encoder: ManyEncoder | undefined;
  const timer = setInterval(() => {
    writer ??= openStream(reply, eventStream);
    writer.write(keepAlive);
  }, keepAliveMs);

  const stream = async (call: ChatCall, index: number) => {
    const answer = await caller.chat(call);
    clearInterval(timer);
    writer ??= openStream(reply, eventStream, servedHeaders(answer));
    encoder ??= createEncoder(answer);
    for await (const batch of run.watch(eventsOf(answer))) {
      let text = '';
      for (const event of batch) text += encoder.push(event, index);
      if (text !== '') await writer.write(text);
    }
  };

  try {
    await run.all(calls.map(stream));
    await encoder?.beforeEnd?.();
    writer?.end(encoder?.end());
  } catch (thrown) {
    if (!writer) throw thrown;
    const error = ViaductError.from(thrown);
    writer.end(encoder?.fail(error) ?? createEncoder({ provider: '', model: '', attempts: 0, report: {} }).fail(error));
  } finally {
    clearInterval(timer);
  }
}

function eventsOf(answer: ChatAnswer) {
  if ('events' in answer) return answer.events;
  throw new ViaductError('internal_error', 'A call without a body cannot be relayed.');
}

/** Iterations that end together: the failure of one returns all others, so that no upstream works for nobody. */
function createRun() {
  const running = new Set<AsyncIterator<unknown>>();
  let failed = false;
  return {
    watch<Item>(items: AsyncIterable<Item>): AsyncIterable<Item> {
      const iterator = items[Symbol.asyncIterator]();
      running.add(iterator);
      if (failed) void iterator.return?.();
      return { [Symbol.asyncIterator]: () => iterator };
    },
    async all<Result>(work: Promise<Result>[]): Promise<Result[]> {
      try {
        return await Promise.all(work);
      } catch (error) {
        failed = true;
        for (const iterator of running) void iterator.return?.()?.catch(() => undefined);
        for (const promise of work) promise.catch(() => undefined);
        throw error;
      }
    },
  };
}
