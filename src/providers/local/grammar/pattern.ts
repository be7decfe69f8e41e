/**
 * Regular expressions (JSON Schema's `pattern`) as GBNF for the inside of a JSON string.
 * Source of the syntax: https://tc39.es/ecma262/#sec-patterns
 */
import { anyOf, literal, type Rules, repeat } from './rules.ts';

type Range = [from: number, to: number];
type Node =
  | { kind: 'set'; ranges: Range[] }
  | { kind: 'sequence'; items: Node[] }
  | { kind: 'choice'; options: Node[] }
  | { kind: 'repeat'; item: Node; min: number; max: number }
  | { kind: 'anchor'; at: 'start' | 'end' };

export type Pattern = { expression: string; minLength: number; maxLength: number };

const maxStates = 20_000;
const lastCodePoint = 0x10ffff;
const digits: Range[] = [[48, 57]];
const word: Range[] = [...digits, [65, 90], [95, 95], [97, 122]];
const space: Range[] = [[32, 32], [9, 13], [0xa0, 0xa0], [0x2028, 0x2029]]; // biome-ignore format: a table
const everything: Range[] = [[32, lastCodePoint]];
const controls: Record<string, number> = { n: 10, t: 9, r: 13, f: 12, v: 11, 0: 0 };

/**
 * `maxRepeat` bounds `*`, `+` and what may stand before and after a pattern without anchors.
 * Undefined for what a grammar cannot say: look-around, back references, word boundaries, Unicode properties.
 */
export function patternGrammar(rules: Rules, source: string, maxRepeat: number): Pattern | undefined {
  try {
    const tree = parse(source);
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

class Unsupported extends Error {}

function parse(source: string): Node {
  const characters = [...source];
  let at = 0;
  const peek = () => characters[at];
  const take = () => {
    const next = characters[at++];
    if (next === undefined) throw new Unsupported();
    return next;
  };
  const takeIf = (text: string) => {
    const found = characters.slice(at, at + text.length).join('') === text;
    if (found) at += text.length;
    return found;
  };

  function choice(): Node {
    const options = [sequence()];
    while (takeIf('|')) options.push(sequence());
    return options.length === 1 ? (options[0] as Node) : { kind: 'choice', options };
  }

  function sequence(): Node {
    const items: Node[] = [];
    for (let next = peek(); next !== undefined && next !== '|' && next !== ')'; next = peek()) items.push(quantified());
    return { kind: 'sequence', items };
  }

  function quantified(): Node {
    const item = atom();
    const range = quantifier();
    if (!range) return item;
    if (item.kind === 'anchor') throw new Unsupported();
    takeIf('?');
    return { kind: 'repeat', item, min: range[0], max: range[1] };
  }

  function quantifier(): Range | undefined {
    if (takeIf('*')) return [0, Number.POSITIVE_INFINITY];
    if (takeIf('+')) return [1, Number.POSITIVE_INFINITY];
    if (takeIf('?')) return [0, 1];
    const counted = /^\{(\d+)(,?)(\d*)\}/.exec(characters.slice(at, at + 24).join(''));
    if (!counted) return undefined;
    at += counted[0].length;
    const min = Number(counted[1]);
    return [min, counted[3] ? Number(counted[3]) : counted[2] ? Number.POSITIVE_INFINITY : min];
  }

  function atom(): Node {
    const next = take();
    if (next === '^') return { kind: 'anchor', at: 'start' };
    if (next === '$') return { kind: 'anchor', at: 'end' };
    if (next === '.') return { kind: 'set', ranges: everything };
    if (next === '[') return { kind: 'set', ranges: characterClass() };
    if (next === '\\') return { kind: 'set', ranges: escaped(false) };
    if (next === '(') {
      if (takeIf('?') && !takeIf(':') && !namedGroup()) throw new Unsupported();
      const inner = choice();
      if (!takeIf(')')) throw new Unsupported();
      return inner;
    }
    return { kind: 'set', ranges: [point(next)] };
  }

  function namedGroup(): boolean {
    const name = /^<[A-Za-z_$][\w$]*>/.exec(characters.slice(at, at + 64).join(''));
    if (name) at += name[0].length;
    return name !== null;
  }

  function characterClass(): Range[] {
    const negated = takeIf('^');
    const ranges: Range[] = [];
    while (!takeIf(']')) {
      const from = classMember();
      if (peek() === '-' && characters[at + 1] !== ']') {
        take();
        const to = classMember();
        if (!from[0] || !to[0] || from.length > 1 || to.length > 1) throw new Unsupported();
        ranges.push([from[0][0], to[0][1]]);
      } else ranges.push(...from);
    }
    return negated ? inverse(ranges) : ranges;
  }

  function classMember(): Range[] {
    const next = take();
    return next === '\\' ? escaped(true) : [point(next)];
  }

  function escaped(inClass: boolean): Range[] {
    const next = take();
    if (next === 'd') return digits;
    if (next === 'w') return word;
    if (next === 's') return space;
    if (next === 'D') return inverse(digits);
    if (next === 'W') return inverse(word);
    if (next === 'S') return inverse(space);
    if (inClass && next === 'b') return [[8, 8]];
    const control = controls[next];
    if (control !== undefined) return [[control, control]];
    if (next === 'x') return [hex(2)];
    if (next === 'u') {
      if (!takeIf('{')) return [hex(4)];
      let code = '';
      for (let digit = take(); digit !== '}'; digit = take()) code += digit;
      return [codePoint(code)];
    }
    if (/[a-zA-Z1-9]/.test(next)) throw new Unsupported();
    return [point(next)];
  }

  function hex(count: number): Range {
    return codePoint(Array.from({ length: count }, take).join(''));
  }

  const tree = choice();
  if (at < characters.length) throw new Unsupported();
  return tree;
}

function point(character: string): Range {
  const code = character.codePointAt(0) as number;
  return [code, code];
}

function codePoint(hexDigits: string): Range {
  const code = Number.parseInt(hexDigits, 16);
  if (!(code <= lastCodePoint)) throw new Unsupported();
  return [code, code];
}

function inverse(ranges: Range[]): Range[] {
  const out: Range[] = [];
  let next = 32;
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    if (from > next) out.push([next, from - 1]);
    next = Math.max(next, to + 1);
  }
  if (next <= lastCodePoint) out.push([next, lastCodePoint]);
  return out;
}

/** Anchors may stand only at the ends; where there is none, anything may come before or after. */
function anchored(node: Node, maxRepeat: number): Node {
  if (node.kind === 'choice')
    return { kind: 'choice', options: node.options.map((option) => anchored(option, maxRepeat)) };
  const items = node.kind === 'sequence' ? [...node.items] : [node];
  const first = items[0];
  const only =
    items.length === 1 && first && (first.kind === 'sequence' || first.kind === 'choice') ? first : undefined;
  if (only && hasAnchor(only)) return anchored(only, maxRepeat);
  const isAnchor = (item: Node | undefined, at: 'start' | 'end') => item?.kind === 'anchor' && item.at === at;
  const anything: Node = {
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

function hasAnchor(node: Node): boolean {
  if (node.kind === 'anchor') return true;
  if (node.kind === 'sequence') return node.items.some(hasAnchor);
  return node.kind === 'choice' && node.options.some(hasAnchor);
}

/** Quantifiers without an end; one inside another quantifier counts as many. */
function unbounded(node: Node): number {
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
function states(node: Node): number {
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

function capped(node: Node, maxRepeat: number): Node {
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

function lengths(node: Node): [min: number, max: number] {
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

function compile(rules: Rules, node: Node): string {
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
