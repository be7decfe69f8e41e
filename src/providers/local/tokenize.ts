import { readJson } from '../../engine/reply.ts';
import type { Runner } from '../../engine/runner.ts';
import { succeeded } from './engine-errors.ts';

export type TokenizeOptions = {
  /** The tokens that begin and end every text of the model are put around it. */
  add_special: boolean;
  /** What looks like a special token in the text is that token. */
  parse_special: boolean;
};

/** Text → token ids of a loaded model. */
export async function tokenize(
  runner: Runner,
  content: string,
  options: TokenizeOptions,
  signal: AbortSignal,
): Promise<number[]> {
  const reply = await runner.request('/tokenize', { content, ...options }, signal);
  const { tokens } = await readJson(await succeeded(reply));
  return tokens as number[];
}
