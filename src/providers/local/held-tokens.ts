/**
 * Tokens that the engine keeps back because they may begin a stop sequence. It says that they are there, and their text only with
 * the token that shows they do not; where the limit ends the answer before that, never.
 */
import type { TokenLogprob } from '../../core/chat.ts';

export type Held = { tokens: number[]; logprobs: TokenLogprob[] };

export type HeldTokens = {
  /** Tokens without text. */
  keep(tokens: readonly number[], logprobs: readonly TokenLogprob[] | undefined): void;
  /** `text` has come, and `own` of its last token: the log-probabilities of all that it says, one entry a token. */
  release(text: string, own: TokenLogprob[] | undefined): TokenLogprob[] | undefined;
  /** What is still kept back. */
  rest(): Held | undefined;
};

export function createHeldTokens(): HeldTokens {
  let tokens: number[] = [];
  let logprobs: TokenLogprob[] = [];
  return {
    keep(more, theirs = []) {
      tokens.push(...more);
      logprobs.push(...theirs);
    },
    release(text, own) {
      if (tokens.length === 0) return own;
      const out = own && inside(text, logprobs, own);
      tokens = [];
      logprobs = [];
      return out;
    },
    rest: () => (tokens.length > 0 ? { tokens, logprobs } : undefined),
  };
}

/** A stop sequence may have taken the end of what was held: only what is in `text` counts. */
function inside(text: string, held: readonly TokenLogprob[], own: readonly TokenLogprob[]): TokenLogprob[] {
  const out: TokenLogprob[] = [];
  let left = text;
  for (const entry of held) {
    if (left === '') return out;
    const said = left.startsWith(entry.token) ? entry.token : left;
    out.push(said === entry.token ? entry : named(entry, said));
    left = left.slice(said.length);
  }
  return left === '' ? out : [...out, ...own.map((entry) => named(entry, left))];
}

const named = (entry: TokenLogprob, token: string): TokenLogprob => ({
  ...entry,
  token,
  bytes: [...Buffer.from(token)],
});
