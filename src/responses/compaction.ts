/**
 * A conversation that has grown too long → one sealed item that stands for it. What it keeps: instructions word for word, a
 * summary by the model, what the user asked for in short, and the latest turns (open tool calls with them) whole.
 */
import type { ChatRequest } from '../core/chat.ts';
import { collect } from '../core/collect.ts';
import { ViaductError } from '../core/errors.ts';
import type { Usage } from '../core/usage.ts';
import type { Caller } from '../gateway/gateway.ts';
import { type CompactionItem, chatRequest, type Item, type Settings } from '../protocols/openai-responses.ts';
import { boundaries } from './boundaries.ts';
import { newId } from './ids.ts';
import { inShort, shorten, transcript, within } from './in-words.ts';
import { isCall, isInstruction, isOutput, isUserMessage } from './items.ts';
import { isSealedHere, type Sealer } from './seal.ts';
import { charactersPerToken, estimateTokens } from './size.ts';

/** A context as a model is to see it, and what a compaction item holds of it under its seal. */
export type Conversation = {
  /** System and developer messages of what was compacted, word for word. */
  instructions: Item[];
  /** By the model; empty when nothing was compacted. */
  summary: string;
  /** What was asked and called, one line each; what was answered too, where nobody could summarise it. */
  requests: string[];
  /** Everything since. */
  latest: Item[];
};

export type Compaction = { item: CompactionItem; conversation: Conversation; usage: Usage };

export type CompactionOptions = {
  caller: Caller;
  settings: Settings;
  sealer: Sealer;
  /** Tokens that the compacted conversation should stay well below. */
  limit: number;
  /** What the summary should pay attention to, in the client's words. */
  focus?: string | undefined;
};

/** Of the limit: what the latest turns may take, what the summary may, and what the short lines may. */
const latestShare = 0.3;
const summaryShare = 0.08;
const requestsShare = 0.15;
/** Somebody waits while it is written. Tokens. */
const longestSummary = 2000;

/** Throws only what would stop any other call too: no key, no quota, no such model, client gone. */
export async function compact(conversation: Conversation, options: CompactionOptions): Promise<Compaction> {
  const { caller, sealer, limit } = options;
  const rest = conversation.latest.filter((item) => !isInstruction(item));
  const cut = cutPoint(rest, limit * latestShare);
  const old = rest.slice(0, cut);
  const budgetOf = (share: number) => Math.max(400, Math.floor(limit * share * charactersPerToken));
  const { text, usage } = await summarise(
    conversation.summary,
    old,
    Math.min(budgetOf(summaryShare), longestSummary * charactersPerToken),
    options,
  );
  const compacted: Conversation = {
    instructions: unlike([...conversation.instructions, ...conversation.latest.filter(isInstruction)]),
    summary: text || conversation.summary,
    requests: within(budgetOf(requestsShare), [...conversation.requests, ...inShort(old, text === '')]),
    latest: rest.slice(cut),
  };
  const encrypted_content = sealer.seal('compaction', caller.owner, compacted);
  return { item: { type: 'compaction', id: newId('cmp'), encrypted_content }, conversation: compacted, usage };
}

/**
 * Items, compactions among them → the conversation that they stand for. What lies before the last compaction is in it
 * and goes, but for instructions that it does not know. Throws invalid_encrypted_content.
 */
export function conversationOf(items: readonly Item[], owner: string, sealer: Sealer): Conversation {
  const last = items.findLastIndex(({ type }) => type === 'compaction');
  const item = items[last];
  if (item?.type !== 'compaction') return { instructions: [], summary: '', requests: [], latest: [...items] };
  // Sealed by a provider: it alone can open it, and what stands before it belongs to it (see native.ts).
  if (!isSealedHere(item.encrypted_content)) {
    const earlier = conversationOf(items.slice(0, last), owner, sealer);
    return { ...earlier, latest: [...earlier.latest, ...items.slice(last)] };
  }
  const before = items.slice(0, last).filter(isInstruction);
  const sealed = sealer.open('compaction', owner, item.encrypted_content) as Conversation;
  return {
    ...sealed,
    instructions: unlike([...sealed.instructions, ...before]),
    latest: [...sealed.latest, ...items.slice(last + 1)],
  };
}

/** Clients send the same instructions with every turn: each is kept once, where it came last. */
function unlike(instructions: readonly Item[]): Item[] {
  const last = new Map(instructions.map((item, index) => [contentOf(item), index]));
  return instructions.filter((item, index) => last.get(contentOf(item)) === index);
}

const contentOf = (item: Item) => JSON.stringify(item.type === 'message' ? item.content : item);

/**
 * The conversation as plain items. The summary goes into the first message of the user, so that roles still take turns, as many
 * chat templates demand.
 */
export function plain({ instructions, summary, requests, latest }: Conversation): Item[] {
  const lines = requests.length > 0 ? ['What was said before, in short:', ...requests] : [];
  const text = [...(summary ? ['Summary of the conversation so far:', summary, ''] : []), ...lines].join('\n');
  if (text === '') return [...instructions, ...latest];
  const part = { type: 'input_text' as const, text: `${text}\n\n` };
  const [first, ...others] = latest;
  if (first?.type === 'message' && first.role === 'user')
    return [...instructions, { ...first, content: [part, ...first.content] }, ...others];
  const message: Item = { type: 'message', id: newId('msg'), status: 'completed', role: 'user', content: [part] };
  return [...instructions, message, ...latest];
}

/**
 * Where the latest turns begin: the earliest place, at best before a message of the user, from which on everything fits
 * `tokens`. What the model has not answered yet, and calls that nobody has answered yet, are never summarised.
 */
function cutPoint(items: readonly Item[], tokens: number): number {
  const cuts = boundaries(items);
  const unanswered = items.findLastIndex((item) => !isInput(item)) + 1;
  const allAnswered = unanswered === items.length && !hasOpenCall(items);
  const latestCut = allAnswered ? items.length : (cuts.findLast((cut) => cut <= unanswered) ?? 0);
  const fits = (cut: number) => estimateTokens(items.slice(cut)) <= tokens;
  const fitting = cuts.filter((cut) => cut <= latestCut && fits(cut));
  return fitting.find((cut) => isUserMessage(items[cut])) ?? fitting[0] ?? latestCut;
}

const isInput = (item: Item) => isUserMessage(item) || isOutput(item);

function hasOpenCall(items: readonly Item[]): boolean {
  const answered = new Set(items.filter(isOutput).map(({ call_id }) => call_id));
  return items.some((item) => isCall(item) && !answered.has(item.call_id));
}

async function summarise(
  summary: string,
  items: readonly Item[],
  budget: number,
  { caller, settings, limit, focus }: CompactionOptions,
): Promise<{ text: string; usage: Usage }> {
  const none = { text: '', usage: { input: 0, output: 0 } };
  if (items.length === 0) return none;
  let room = Math.floor(limit * 0.6 * charactersPerToken);
  for (let attempt = 0; attempt < 4; attempt++, room = Math.floor(room / 2)) {
    try {
      const answer = await caller.chat({
        protocol: 'openai-responses',
        model: settings.model,
        stream: false,
        decode: () => summaryRequest(settings, transcript(summary, items, room), budget, focus),
      });
      // Without a body of the client's there is nothing to relay.
      if (!('events' in answer)) return none;
      const { parts, finish } = await collect(answer.events);
      const text = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
      return { text: shorten(text.trim(), budget), usage: finish.usage };
    } catch (thrown) {
      const error = ViaductError.from(thrown);
      if (error.code !== 'context_length_exceeded') {
        if (caller.signal.aborted || stopsEverything.has(error.status)) throw error;
        return none; // a model that cannot summarise: what follows from the items themselves must do
      }
    }
  }
  return none;
}

const stopsEverything = new Set([401, 402, 403, 404, 429]);

function summaryRequest(settings: Settings, text: string, budget: number, focus: string | undefined): ChatRequest {
  const task = [
    'Summarise the conversation below, so that it can be continued from the summary alone.',
    'Keep: what the user wants and the rules they set, decisions, names, numbers and other facts, results of tools, and what is still open.',
    'Leave out greetings and repetition. Answer with the summary only, in the language of the conversation.',
    ...(focus ? [`Above all: ${focus}`] : []),
  ].join(' ');
  const own = chatRequest({ model: settings.model, ...(settings.options && { options: settings.options }) }, []);
  // Not under the client's cache key: there a local model keeps what it has read of the conversation.
  return {
    ...own,
    messages: [{ role: 'user', parts: [{ type: 'text', text: `${task}\n\n${text}\n\n${task}` }] }],
    stream: false,
    maxTokens: Math.max(128, Math.floor(budget / charactersPerToken)),
  };
}
