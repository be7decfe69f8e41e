/** Asking a model with a context that may be too long for it. */
import { ViaductError } from '../core/errors.ts';
import type { Caller, ChatAnswer, ChatCall } from '../gateway/gateway.ts';
import type { CompactionItem, Item, Settings } from '../protocols/openai-responses.ts';
import { type Conversation, compact, plain } from './compaction.ts';
import type { Sealer } from './seal.ts';
import { hasForeignCompaction } from './sealed-items.ts';
import { charactersOf, estimateTokens } from './size.ts';
import { dropOldest } from './truncate.ts';

export type Fitted = {
  answer: ChatAnswer;
  /** Made on the way: stands for everything before the answer. */
  compaction: CompactionItem | undefined;
};

export type FitOptions = {
  caller: Caller;
  settings: Settings;
  sealer: Sealer;
  /** Items without compactions → the call to make. */
  callOf(items: readonly Item[]): ChatCall;
  /** The provider keeps to `context_management` itself: ours is for what it still refuses. */
  managedThere: boolean;
};

const maxCompactions = 4;
const maxTruncations = 12;

/**
 * Ask the model to continue the conversation. Where the client allows it and the context is too long, it is made
 * shorter and asked again: `context_management` compacts above its threshold and wherever the model refuses,
 * `truncation: auto` drops the oldest. Throws what the model's provider throws, context_length_exceeded where nothing
 * may or can go.
 */
export async function askWithin(whole: Conversation, options: FitOptions): Promise<Fitted> {
  const { caller, settings, callOf, managedThere } = options;
  const [management] = settings.context_management ?? [];
  const threshold = management && !managedThere ? await thresholdOf(settings, caller) : undefined;
  let conversation = whole;
  let items = plain(conversation);
  let compaction: CompactionItem | undefined;
  const shrink = (to: Conversation) => {
    conversation = to;
    items = plain(to);
  };
  const compactTo = async (limit: number) => {
    const made = await compact(conversation, { ...options, limit });
    compaction = made.item;
    shrink(made.conversation);
  };

  if (threshold !== undefined && (await reaches(threshold, items, caller, callOf(items)))) await compactTo(threshold);
  let limit = Math.min(threshold ?? Number.POSITIVE_INFINITY, estimateTokens(items));
  for (let attempt = 0; attempt <= maxTruncations; attempt++) {
    try {
      return { answer: await caller.chat(callOf(items)), compaction };
    } catch (thrown) {
      const error = ViaductError.from(thrown);
      if (error.code !== 'context_length_exceeded' || hasForeignCompaction(items)) throw error;
      limit = Math.floor(limit * 0.7);
      if (management && attempt < maxCompactions) await compactTo(limit);
      else shrink(truncated(conversation, management !== undefined || settings.truncation === 'auto', error));
    }
  }
  const message = 'The input does not fit the context of the model, however much is left out.';
  throw new ViaductError('context_length_exceeded', message, { param: 'input' });
}

/** The client's own, and never so much that no room is left for an answer. Undefined when neither is known. */
async function thresholdOf(settings: Settings, caller: Caller): Promise<number | undefined> {
  const asked = settings.context_management?.[0]?.compact_threshold ?? undefined;
  const context = settings.options?.['num_ctx'] ?? (await caller.contextLength(settings.model));
  if (typeof context !== 'number') return asked;
  const answer = Math.min(settings.max_output_tokens ?? context / 8, context / 4);
  return Math.min(asked ?? context, Math.floor(context - answer));
}

function truncated(conversation: Conversation, allowed: boolean, error: ViaductError): Conversation {
  const latest = allowed ? dropOldest(conversation.latest, 0.7) : undefined;
  if (!latest) throw error;
  return { ...conversation, latest };
}

/** Asks the model only where a guess could be wrong: a text has at most as many tokens as characters. */
async function reaches(threshold: number, items: readonly Item[], caller: Caller, call: ChatCall): Promise<boolean> {
  if (charactersOf(items) < threshold) return false;
  const { result } = await caller.countTokens(call);
  return (result || estimateTokens(items)) >= threshold;
}
