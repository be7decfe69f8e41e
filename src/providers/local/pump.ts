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
export async function* pump(
  answer: Answer,
  reply: RunnerReply,
  { request, lease, signal }: Pick<Generation, 'request' | 'lease' | 'signal'>,
  start: ChatEvent | undefined,
): ChatStream {
  const read = createEngineReader(request.logprobs ? (request.topLogprobs ?? 0) : undefined);
  let events: ChatEvent[] = start ? [start] : [];
  for await (const chunk of reply.body) {
    for (const delta of read(chunk)) {
      if (delta.kind === 'end' && delta.held)
        events.push(...answer.push(await unsaid(delta.held, delta.end, lease, signal)));
      events.push(...answer.push(delta));
    }
    // `start` waits for company: one write instead of two.
    const isStartAlone = events.length === 1 && events[0] === start;
    if (events.length > 0 && !isStartAlone) {
      yield events;
      events = [];
    }
    if (answer.complete || answer.overspent) break;
  }
  if (events.length > 0) yield events;
}

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
