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

/**
 * `item`, at least `min` and at most `max` times. `item` must be a rule's name or in brackets.
 * Never two counters side by side: each way to divide the count between them would be one more state for the engine to
 * follow, thousands of them.
 */
export function repeat(rules: Rules, item: string, min: number, max: number): string {
  if (max <= 0) return '""';
  if (max === Number.POSITIVE_INFINITY) return min === 0 ? `${item}*` : min === 1 ? `${item}+` : `${item}{${min},}`;
  if (max <= 2 * block) return `${item}{${min},${max}}`;
  const full = rules.add('block', `${item}{${block}}`);
  const fixed = exactly(item, full, min);
  const blocks = Math.floor((max - min) / block);
  const rest = (max - min) % block;
  if (blocks === 0) return `${fixed} ${item}{0,${rest}}`;
  const below = blocks > 1 ? `${repeat(rules, full, 0, blocks - 1)} ` : '';
  const tail = rules.add('tail', `${item}{0,${block - 1}}`);
  if (rest === block - 1) return `${fixed} ${repeat(rules, full, 0, blocks)} ${tail}`;
  return `${fixed} (${below}${tail} | ${full}{${blocks}} ${rest ? `${item}{0,${rest}}` : ''})`;
}

function exactly(item: string, full: string, count: number): string {
  const parts: string[] = [];
  if (count >= block) parts.push(`${full}{${Math.floor(count / block)}}`);
  if (count % block) parts.push(`${item}{${count % block}}`);
  return parts.join(' ');
}
