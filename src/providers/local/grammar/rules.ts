/**
 * Writing GBNF, the engine's grammar language.
 * Source: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
 */

/** A grammar being written. Expressions are GBNF text; equal bodies share one rule. */
export type Rules = {
  /** Name a rule for this body, or the name an equal body already has. */
  add(hint: string, body: string): string;
  /** The whole grammar, starting at `root`. */
  text(root: string): string;
  /** Characters written so far: what a size guard looks at. */
  size(): number;
};

export function createRules(): Rules {
  const names = new Map<string, string>();
  let size = 0;
  return {
    add(hint, body) {
      const known = names.get(body);
      if (known) return known;
      const name = `${hint.replace(/[^a-zA-Z0-9]+/g, '-').slice(0, 24)}-${names.size}`;
      names.set(body, name);
      size += name.length + body.length + 6;
      return name;
    },
    text: (root) => [`root ::= ${root}`, ...[...names].map(([body, name]) => `${name} ::= ${body}`)].join('\n'),
    size: () => size,
  };
}

/** Text that must come literally. */
export function literal(text: string): string {
  const escaped = text.replace(/["\\]/g, '\\$&').replace(/\p{Cc}/gu, hexEscape);
  return `"${escaped}"`;
}

function hexEscape(character: string): string {
  const code = character.charCodeAt(0).toString(16).padStart(2, '0');
  return `\\x${code}`;
}

/** One of several expressions. */
export function anyOf(options: string[]): string {
  const distinct = [...new Set(options)];
  return distinct.length === 1 ? (distinct[0] as string) : `(${distinct.join(' | ')})`;
}

/** The engine refuses long repetitions, so they are made of blocks. */
const block = 100;

/** `item`, at least `min` and at most `max` times. `item` must be a rule's name or in brackets. */
export function repeat(rules: Rules, item: string, min: number, max: number): string {
  if (max <= 0) return '""';
  if (max <= 2 * block) return `${item}{${min},${max}}`;
  const full = rules.add('block', `${item}{${block}}`);
  const parts: string[] = [];
  if (min >= block) parts.push(times(rules, full, Math.floor(min / block)));
  if (min % block) parts.push(`${item}{${min % block}}`);
  const free = max - min;
  if (free < block) {
    if (free) parts.push(`${item}{0,${free}}`);
    return parts.join(' ');
  }
  const blocks = Math.floor((free - block + 1) / block);
  const rest = free - blocks * block - (block - 1);
  if (blocks) parts.push(repeat(rules, full, 0, blocks));
  parts.push(`${item}{0,${block - 1}}`);
  if (rest) parts.push(`${item}{0,${rest}}`);
  return parts.join(' ');
}

function times(rules: Rules, item: string, count: number): string {
  return count <= 2 * block ? `${item}{${count}}` : repeat(rules, item, count, count);
}
