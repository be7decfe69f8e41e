/** From the engine's stream to the events of an answer. */
import type { ChatEvent, ChatStream } from '../../core/chat.ts';
import { readJson } from '../../engine/reply.ts';
import type { RunnerReply } from '../../engine/runner.ts';
import type { Lease } from '../../engine/scheduler.ts';
import type { Answer } from './answer.ts';
import { succeeded } from './engine-errors.ts';
import { createEngineReader, type EngineDelta, type EngineEnd } from './engine-stream.ts';
import type { Generation } from './generation.ts';
import type { Held } from './held-tokens.ts';

/**
 * The engine's reply as batches of events, one per read, until the answer is complete or its thought has taken its budget.
 * `start` is the event that opens the answer. Throws what `createEngineReader` and `succeeded` throw.
 */
export function pump(
  answer: Answer,
  reply: RunnerReply,
  { request, lease, signal }: Pick<Generation, 'request' | 'lease' | 'signal'>,
  start: ChatEvent | undefined,
): ChatStream {
  const read = createEngineReader(request.logprobs ? (request.topLogprobs ?? 0) : undefined);
  const source = reply.body[Symbol.asyncIterator]();
  let events: ChatEvent[] = start ? [start] : [];
  let over = false;

  const leave = async () => {
    over = true;
    await source.return?.();
  };
  const push = (delta: EngineDelta) => {
    for (const event of answer.push(delta)) events.push(event);
  };
  const hear = async (deltas: readonly EngineDelta[]) => {
    for (const delta of deltas) {
      if (delta.kind === 'end' && delta.held) push(await unsaid(delta.held, delta.end, lease, signal));
      push(delta);
    }
    if (answer.complete || answer.overspent) await leave();
  };
  const isSilent = () => events.length === 0 || (events.length === 1 && events[0] === start);
  // Called for every token, and so no generator: that would take two more promises.
  const next = async (): Promise<IteratorResult<readonly ChatEvent[]>> => {
    // `start` waits for company: one write instead of two.
    while (!over && isSilent()) {
      const { done, value } = await source.next();
      if (done) over = true;
      else
        try {
          await hear(read(value));
        } catch (error) {
          await leave();
          throw error;
        }
    }
    if (events.length === 0) return end;
    const batch = events;
    events = [];
    return { done: false, value: batch };
  };
  const iterator: AsyncIterator<readonly ChatEvent[]> = {
    next,
    async return() {
      await leave();
      return end;
    },
  };
  return { [Symbol.asyncIterator]: () => iterator };
}

const end: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** What the engine held back to the end is part of the answer. */
async function unsaid(
  { tokens, logprobs }: Held,
  { outputTokens }: EngineEnd,
  { runner }: Lease,
  signal: AbortSignal,
): Promise<EngineDelta> {
  const { content } = await readJson(await succeeded(await runner.request('/detokenize', { tokens }, signal)));
  const text = String(content);
  return { kind: 'text', text, tokens: outputTokens, ...(logprobs.length > 0 && { logprobs }) };
}

/** `spent` tokens were written before the thought was ended and the model asked again. */
export function endOf(answer: Answer, spent = 0): EngineEnd {
  const { counts, end } = answer;
  if (end && spent === 0) return end;
  const known = end ?? { reason: 'stop' as const, outputTokens: counts.output, promptMs: 0, outputMs: 0 };
  // The engine's own account never came, or is of another prompt.
  return {
    ...known,
    promptTokens: counts.prompt,
    cachedTokens: counts.cached,
    outputTokens: known.outputTokens + spent,
  };
}
