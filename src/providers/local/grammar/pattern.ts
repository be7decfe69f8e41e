/** Regular expressions (JSON Schema's `pattern`) as GBNF for the inside of a JSON string. */
import { everything, type PatternNode, parsePattern, type Range, Unsupported } from './pattern-parse.ts';
import { anyOf, literal, type Rules, repeat } from './rules.ts';

/** A GBNF expression, and how many characters what it matches may have. */
export type Pattern = { expression: string; minLength: number; maxLength: number };

/** Beyond this the engine takes too long over every token. */
const maxStates = 20_000;

/**
 * `maxRepeat` bounds `*`, `+` and what may stand before and after a pattern without anchors.
 * Undefined for what a grammar cannot say: look-around, back references, word boundaries, Unicode properties.
 */
export function patternGrammar(rules: Rules, source: string, maxRepeat: number): Pattern | undefined {
  try {
    const tree = parsePattern(source);
    // One counter is cheap for the engine; several would multiply, so then nothing but the pattern itself ends them.
    const node = anchored(tree, unbounded(tree) > 1 ? Number.POSITIVE_INFINITY : maxRepeat);
    if (states(node) > maxStates) return undefined;
    const [minLength, maxLength] = lengths(node);
    return { expression: compile(rules, node), minLength, maxLength };
  } catch (error) {
    if (error instanceof Unsupported) return undefined;
    throw error;
  }
}

/** Anchors may stand only at the ends; where there is none, anything may come before or after. */
function anchored(node: PatternNode, maxRepeat: number): PatternNode {
  if (node.kind === 'choice')
    return { kind: 'choice', options: node.options.map((option) => anchored(option, maxRepeat)) };
  const items = node.kind === 'sequence' ? [...node.items] : [node];
  const first = items[0];
  const only =
    items.length === 1 && first && (first.kind === 'sequence' || first.kind === 'choice') ? first : undefined;
  if (only && hasAnchor(only)) return anchored(only, maxRepeat);
  const isAnchor = (item: PatternNode | undefined, at: 'start' | 'end') => item?.kind === 'anchor' && item.at === at;
  const anything: PatternNode = {
    kind: 'repeat',
    item: { kind: 'set', ranges: everything },
    min: 0,
    max: Math.min(maxRepeat, 40),
  };
  if (isAnchor(items[0], 'start')) items.shift();
  else items.unshift(anything);
  if (isAnchor(items.at(-1), 'end')) items.pop();
  else items.push(anything);
  return capped({ kind: 'sequence', items }, maxRepeat);
}

function hasAnchor(node: PatternNode): boolean {
  if (node.kind === 'anchor') return true;
  if (node.kind === 'sequence') return node.items.some(hasAnchor);
  return node.kind === 'choice' && node.options.some(hasAnchor);
}

/** Quantifiers without an end; one inside another quantifier counts as many. */
function unbounded(node: PatternNode): number {
  switch (node.kind) {
    case 'sequence':
      return node.items.reduce((sum, item) => sum + unbounded(item), 0);
    case 'choice':
      return Math.max(...node.options.map(unbounded));
    case 'repeat': {
      const inner = unbounded(node.item);
      return (node.max === Number.POSITIVE_INFINITY ? 1 : 0) + (inner ? inner + 1 : 0);
    }
    default:
      return 0;
  }
}

/** How many places of the pattern the engine may have to follow at once, at worst. */
function states(node: PatternNode): number {
  switch (node.kind) {
    case 'sequence':
      return node.items.reduce((product, item) => product * states(item), 1);
    case 'choice':
      return node.options.reduce((sum, option) => sum + states(option), 0);
    case 'repeat': {
      const choices = node.max === Number.POSITIVE_INFINITY ? 1 : node.max - node.min + 1;
      return choices * states(node.item);
    }
    default:
      return 1;
  }
}

function capped(node: PatternNode, maxRepeat: number): PatternNode {
  switch (node.kind) {
    case 'set':
      return node;
    case 'anchor':
      throw new Unsupported();
    case 'sequence':
      return { kind: 'sequence', items: node.items.map((item) => capped(item, maxRepeat)) };
    case 'choice':
      return { kind: 'choice', options: node.options.map((option) => capped(option, maxRepeat)) };
    case 'repeat': {
      const max = node.max === Number.POSITIVE_INFINITY ? Math.max(node.min, maxRepeat) : node.max;
      if (node.min > 10_000 || (max > 10_000 && max !== Number.POSITIVE_INFINITY)) throw new Unsupported();
      return { kind: 'repeat', item: capped(node.item, maxRepeat), min: node.min, max };
    }
  }
}

function lengths(node: PatternNode): [min: number, max: number] {
  switch (node.kind) {
    case 'set':
      return [1, 1];
    case 'anchor':
      return [0, 0];
    case 'sequence':
      return node.items.map(lengths).reduce((a, b) => [a[0] + b[0], a[1] + b[1]], [0, 0]);
    case 'choice': {
      const all = node.options.map(lengths);
      return [Math.min(...all.map(([min]) => min)), Math.max(...all.map(([, max]) => max))];
    }
    case 'repeat': {
      const [min, max] = lengths(node.item);
      return [min * node.min, max * node.max];
    }
  }
}

function compile(rules: Rules, node: PatternNode): string {
  switch (node.kind) {
    case 'set':
      return set(rules, node.ranges);
    case 'anchor':
      throw new Unsupported();
    case 'sequence':
      return node.items.map((item) => compile(rules, item)).join(' ') || '""';
    case 'choice':
      return anyOf(node.options.map((option) => compile(rules, option)));
    case 'repeat': {
      const item = compile(rules, node.item);
      const name = /^[a-zA-Z0-9-]+$/.test(item) ? item : rules.add('part', item);
      return repeat(rules, name, node.min, node.max);
    }
  }
}

const shortEscapes: Record<number, string> = {
  8: '\\b',
  9: '\\t',
  10: '\\n',
  12: '\\f',
  13: '\\r',
  34: '\\"',
  92: '\\\\',
};

/** One character of the set, written as it stands in JSON text. */
function set(rules: Rules, ranges: Range[]): string {
  const options: string[] = [];
  const plain: string[] = [];
  for (const [from, to] of ranges) {
    for (const [code, text] of Object.entries(shortEscapes))
      if (Number(code) >= from && Number(code) <= to) options.push(literal(text));
    for (const [a, b] of withoutEscaped([Math.max(from, 32), to]))
      plain.push(a === b ? classPoint(a) : `${classPoint(a)}-${classPoint(b)}`);
  }
  if (plain.length) options.unshift(`[${plain.join('')}]`);
  if (!options.length) throw new Unsupported();
  return options.length === 1 ? (options[0] as string) : rules.add('char', anyOf(options));
}

function withoutEscaped([from, to]: Range): Range[] {
  let parts: Range[] = from <= to ? [[from, to]] : [];
  for (const [a, b] of [[34, 34], [92, 92], [127, 127], [0xd800, 0xdfff]] as Range[]) // biome-ignore format: a table
    parts = parts.flatMap(([low, high]): Range[] =>
      b < low || a > high ? [[low, high]] : [[low, a - 1] as Range, [b + 1, high] as Range].filter(([x, y]) => x <= y),
    );
  return parts;
}

/** One code point inside a GBNF character class. */
export function classPoint(code: number): string {
  if (code > 0xffff) return `\\U${code.toString(16).padStart(8, '0')}`;
  return code > 0xff ? `\\u${code.toString(16).padStart(4, '0')}` : `\\x${code.toString(16).padStart(2, '0')}`;
}
