/** The tokens by which a model is asked to fill in the middle of a text. */
import type { Json } from '../../core/json.ts';

/**
 * What stands before the text that precedes a gap, before the text that follows it, and before what fills it: ids, or
 * texts of tokens.
 */
export type MiddleMarks = { prefix: number | string; suffix: number | string; middle: number | string };

/** How model families spell the marks of filling in the middle: before the prefix, the suffix and the middle. */
const middleTokens: [string, string, string][] = [
  ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>'],
  ['<fim_prefix>', '<fim_suffix>', '<fim_middle>'],
  ['<fim-prefix>', '<fim-suffix>', '<fim-middle>'],
  ['<｜fim▁begin｜>', '<｜fim▁hole｜>', '<｜fim▁end｜>'],
  ['<|fim_begin|>', '<|fim_hole|>', '<|fim_end|>'],
  ['<|code_prefix|>', '<|code_suffix|>', '<|code_middle|>'],
  ['▁<PRE>', '▁<SUF>', '▁<MID>'],
  ['<PRE>', '<SUF>', '<MID>'],
];

/** `tokens` is the vocabulary as it stands in the file: each token with its length before it. */
export function marksAmong(tokens: Buffer): MiddleMarks | undefined {
  const has = (text: string) => {
    const token = Buffer.from(text);
    const length = Buffer.alloc(8);
    length.writeUInt32LE(token.length);
    return tokens.includes(Buffer.concat([length, token]));
  };
  const found = middleTokens.find((marks) => marks.every(has));
  return found && { prefix: found[0], suffix: found[1], middle: found[2] };
}

/** What the file itself says of its marks, in the newer or the older words. */
export function marksOf(metadata: Record<string, Json>): MiddleMarks | undefined {
  const id = (name: string, older: string) =>
    metadata[`tokenizer.ggml.${name}_token_id`] ?? metadata[`tokenizer.ggml.${older}_token_id`];
  const prefix = id('fim_pre', 'prefix');
  const suffix = id('fim_suf', 'suffix');
  const middle = id('fim_mid', 'middle');
  if (typeof prefix !== 'number' || typeof suffix !== 'number' || typeof middle !== 'number') return undefined;
  return { prefix, suffix, middle };
}
