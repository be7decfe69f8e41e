/** Filling in the middle: the text on both sides of a gap, as the prompt that a model was trained to fill it from. */
import { ViaductError } from '../../core/errors.ts';
import type { Runner } from '../../engine/runner.ts';
import type { MiddleMarks } from '../../models/gguf.ts';
import type { ResolvedModel } from '../../models/store.ts';
import { tokenize } from './tokenize.ts';

/** The marks as tokens; `before` begins with what begins every text. */
type MarkTokens = { before: number[]; between: number[]; after: number[] };

const known = new WeakMap<Runner, Promise<MarkTokens>>();

/** Token ids of the whole prompt: nothing is cut. Throws unsupported_capability for a model without such tokens. */
export async function fillInPrompt(
  { name, gguf }: ResolvedModel,
  runner: Runner,
  gap: { prefix: string; suffix: string },
  signal: AbortSignal,
): Promise<number[]> {
  if (!gguf.middleMarks)
    throw new ViaductError(
      'unsupported_capability',
      `${name} cannot fill in the middle: it has no tokens for a suffix.`,
      { param: 'suffix' },
    );
  // What looks like a mark in the client's text is text.
  const tokens = async (content: string) =>
    content === '' ? [] : tokenize(runner, content, { add_special: false, parse_special: false }, signal);
  const [marks, prefix, suffix] = await Promise.all([
    markTokens(runner, gguf.middleMarks, signal),
    tokens(gap.prefix),
    tokens(gap.suffix),
  ]);
  return [...marks.before, ...prefix, ...marks.between, ...suffix, ...marks.after];
}

function markTokens(runner: Runner, marks: MiddleMarks, signal: AbortSignal): Promise<MarkTokens> {
  const before = known.get(runner);
  if (before) return before;
  const asked = askMarks(runner, marks, signal);
  known.set(runner, asked);
  asked.catch(() => known.delete(runner));
  return asked;
}

async function askMarks(runner: Runner, marks: MiddleMarks, signal: AbortSignal): Promise<MarkTokens> {
  const mark = async (token: number | string) =>
    typeof token === 'number' ? [token] : tokenize(runner, token, { add_special: false, parse_special: true }, signal);
  const [begin, prefix, between, after] = await Promise.all([
    tokenize(runner, '', { add_special: true, parse_special: false }, signal),
    mark(marks.prefix),
    mark(marks.suffix),
    mark(marks.middle),
  ]);
  return { before: [...begin, ...prefix], between, after };
}
