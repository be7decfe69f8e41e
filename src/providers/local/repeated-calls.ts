/**
 * Small models shown a tool's result ask for the same call again, without end. Such a call has its answer already: it is
 * not given out, and the model is asked once more, the results told in words and no tool in sight.
 */
import type { Message } from '../../core/chat.ts';
import { type EngineMessage, textOf } from './messages.ts';

/** Below this many parameters the first repetition is taken for such a loop. */
const smallModel = 2e9;
/** A larger model may have its reasons (a job that is not done yet), but not for ever. */
const patience = 3;

/** What makes two calls the same, however their JSON is spaced. */
export function callKey(name: string, json: string): string {
  try {
    return `${name} ${JSON.stringify(JSON.parse(json || '{}'))}`;
  } catch {
    return `${name} ${json}`;
  }
}

/** Keys of the calls that need not be made again: just answered, by the same result as often as the model's size allows. */
export function answeredCalls(messages: readonly Message[], parameterCount: number): ReadonlySet<string> {
  const needed = parameterCount < smallModel ? 1 : patience;
  const [last, ...earlier] = lastRounds(messages, needed);
  if (!last || earlier.length + 1 < needed) return new Set();
  return new Set(
    [...last].filter(([key, result]) => earlier.every((round) => round.get(key) === result)).map(([key]) => key),
  );
}

/** The newest rounds of calls at the end of a conversation, newest first: key → result. */
function lastRounds(messages: readonly Message[], count: number): Map<string, string>[] {
  const rounds: Map<string, string>[] = [];
  let results = new Map<string, string>();
  for (const message of messages.toReversed()) {
    if (message.role === 'tool') {
      results.set(message.toolCallId, JSON.stringify(message.parts));
      continue;
    }
    if (message.role !== 'assistant' || results.size === 0 || rounds.length === count) break;
    const round = new Map<string, string>();
    for (const part of message.parts) {
      const result = part.type === 'tool-call' ? results.get(part.id) : undefined;
      if (part.type === 'tool-call' && result !== undefined) round.set(callKey(part.name, part.arguments), result);
    }
    rounds.push(round);
    results = new Map();
  }
  return rounds;
}

/** Calls and their results → words at the end of the user's message before them. */
export function resultsInWords(messages: readonly EngineMessage[]): EngineMessage[] {
  const out: EngineMessage[] = [];
  const calls = new Map<string, string>();
  const told = new Set<string>();
  for (const message of messages) {
    if (message.role === 'tool') {
      const call = calls.get(message.toolCallId ?? '') ?? 'the function';
      const words = `Result of ${call}:\n${textOf(message)}`;
      if (told.has(words)) continue;
      told.add(words);
      const before = out.findLastIndex(({ role }) => role === 'user');
      const user = out[before];
      if (user) out[before] = { ...user, content: [...user.content, { text: `\n\n${words}` }] };
      else out.push({ role: 'user', content: [{ text: words }] });
    } else if (message.calls) {
      for (const { id, name, arguments: json } of message.calls) calls.set(id, `${name}(${json})`);
    } else out.push(message);
  }
  return out;
}
