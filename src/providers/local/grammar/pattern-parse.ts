/** Regular expressions → trees, as far as a grammar can say what they say. */

/** Code points, both ends included. */
export type Range = [from: number, to: number];
export type PatternNode =
  | { kind: 'set'; ranges: Range[] }
  | { kind: 'sequence'; items: PatternNode[] }
  | { kind: 'choice'; options: PatternNode[] }
  | { kind: 'repeat'; item: PatternNode; min: number; max: number }
  | { kind: 'anchor'; at: 'start' | 'end' };

/** A grammar cannot say it. */
export class Unsupported extends Error {}

const lastCodePoint = 0x10ffff;
const digits: Range[] = [[48, 57]];
const word: Range[] = [...digits, [65, 90], [95, 95], [97, 122]];
const space: Range[] = [[32, 32], [9, 13], [0xa0, 0xa0], [0x2028, 0x2029]]; // biome-ignore format: a table
export const everything: Range[] = [[32, lastCodePoint]];
const classes: Record<string, Range[]> = {
  d: digits,
  w: word,
  s: space,
  D: inverse(digits),
  W: inverse(word),
  S: inverse(space),
};
const controls: Record<string, number> = { n: 10, t: 9, r: 13, f: 12, v: 11, 0: 0 };

/**
 * Throws Unsupported for what a grammar cannot say: look-around, back references, word boundaries, Unicode properties.
 * Source: https://tc39.es/ecma262/#sec-patterns
 */
export function parsePattern(source: string): PatternNode {
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

  function choice(): PatternNode {
    const options = [sequence()];
    while (takeIf('|')) options.push(sequence());
    return options.length === 1 ? (options[0] as PatternNode) : { kind: 'choice', options };
  }

  function sequence(): PatternNode {
    const items: PatternNode[] = [];
    for (let next = peek(); next !== undefined && next !== '|' && next !== ')'; next = peek()) items.push(quantified());
    return { kind: 'sequence', items };
  }

  function quantified(): PatternNode {
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

  function atom(): PatternNode {
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

  /** What follows a backslash. */
  function escaped(inClass: boolean): Range[] {
    const next = take();
    const ranges = classes[next];
    if (ranges) return ranges;
    if (inClass && next === 'b') return [[8, 8]];
    const control = controls[next];
    if (control !== undefined) return [[control, control]];
    if (next === 'x') return [hex(2)];
    if (next === 'u') return [takeIf('{') ? bracedHex() : hex(4)];
    if (/[a-zA-Z1-9]/.test(next)) throw new Unsupported();
    return [point(next)];
  }

  function bracedHex(): Range {
    let code = '';
    for (let digit = take(); digit !== '}'; digit = take()) code += digit;
    return codePoint(code);
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

/** All other characters that text in JSON may hold. */
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
