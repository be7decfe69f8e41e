/** Sealed items in a request: each is checked before anything runs, whoever sealed it. */
import { ViaductError } from '../core/errors.ts';
import type { Caller } from '../gateway/gateway.ts';
import type { Item, Settings } from '../protocols/openai-responses.ts';
import type { Context } from './context.ts';
import { isSealedHere, type Sealer, type SealKind } from './seal.ts';

/** A provider's compaction among the items: no other model can go on from it. */
export const hasForeignCompaction = (items: readonly Item[]): boolean =>
  items.some((item) => item.type === 'compaction' && !isSealedHere(item.encrypted_content));

/**
 * Throws invalid_encrypted_content, naming the item, for a seal of this server that cannot be opened, and for one of a provider's
 * that no target of the model could open. Thoughts that OpenAI sealed are no reason to refuse: other models do without them.
 */
export async function checkSeals(
  input: unknown,
  { before }: Context,
  settings: Settings,
  caller: Caller,
  sealer: Sealer,
): Promise<void> {
  let foreign: { param: string; kind: SealKind } | undefined;
  for (const [index, item] of (Array.isArray(input) ? input : []).entries()) {
    const sealed = sealIn(item);
    if (!sealed) continue;
    const { kind, text } = sealed;
    const param = `input[${index}].encrypted_content`;
    if (isSealedHere(text)) open(kind, text, param, caller.owner, sealer);
    else if (kind === 'compaction' || !sealedByOpenAi(text)) foreign ??= { param, kind };
  }
  if (hasForeignCompaction(before))
    foreign ??= { param: settings.conversation ? 'conversation' : 'previous_response_id', kind: 'compaction' };
  if (!foreign || (await caller.speaks('openai-responses', settings.model)) !== 'none') return;
  const message = `The encrypted content of this ${foreign.kind} item was not made by this server, and no provider of "${settings.model}" could read it.`;
  throw new ViaductError('invalid_encrypted_content', message, { param: foreign.param });
}

const sealedByOpenAi = (text: string) => text.startsWith('gAAAA');

function sealIn(item: unknown): { kind: SealKind; text: string } | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const { type, encrypted_content: text } = item as { type?: unknown; encrypted_content?: unknown };
  if (typeof text !== 'string') return undefined;
  if (type === 'compaction' || type === 'compaction_summary') return { kind: 'compaction', text };
  return type === 'reasoning' && text !== '' ? { kind: 'reasoning', text } : undefined;
}

function open(kind: SealKind, text: string, param: string, owner: string, sealer: Sealer) {
  try {
    sealer.open(kind, owner, text);
  } catch (thrown) {
    const { code, message, cause } = ViaductError.from(thrown);
    throw new ViaductError(code, message, { param, cause });
  }
}
