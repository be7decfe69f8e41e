/** Text of a Go template → its pieces, and an action → its tokens. */

/** What is wrong with a template, and where. */
export class GoTemplateError extends Error {
  override readonly name = 'GoTemplateError';
}

/** Text as it is, or what stands between `{{` and `}}`; `word` is an action's first: `if`, `end`. */
export type Piece = { text: string } | Action;
export type Action = { action: string; word: string; line: number };

export type Token = { kind: 'word' | 'string' | 'number' | 'char' | 'punctuation'; text: string; spaced: boolean };

/** Text and actions in turn, with `{{-` and `-}}` already applied and comments gone. */
export function split(source: string): Piece[] {
  const pieces: Piece[] = [];
  let trimNext = false;
  const text = (raw: string, trimEnd: boolean) => {
    let kept = trimNext ? raw.replace(/^[ \t\r\n]+/, '') : raw;
    if (trimEnd) kept = kept.replace(/[ \t\r\n]+$/, '');
    if (kept) pieces.push({ text: kept });
  };
  let at = 0;
  for (;;) {
    const open = source.indexOf('{{', at);
    if (open < 0) break;
    const line = source.slice(0, open).split('\n').length;
    const close = closing(source, open + 2);
    if (close < 0) throw new GoTemplateError(`Line ${line}: "{{" is never closed`);
    const inside = source.slice(open + 2, close);
    const trimsLeft = /^-\s/.test(inside);
    const trimsRight = /\s-$/.test(inside);
    const action = inside.slice(trimsLeft ? 1 : 0, trimsRight ? -1 : undefined).trim();
    text(source.slice(at, open), trimsLeft);
    if (!/^\/\*[\s\S]*\*\/$/.test(action)) pieces.push({ action, word: /^\w*/.exec(action)?.[0] ?? '', line });
    trimNext = trimsRight;
    at = close + 2;
  }
  text(source.slice(at), false);
  return pieces;
}

/** What may hold a `}}` that ends nothing: a comment, a text in quotes, one in backquotes, a character. */
const opaque = /\/\*[\s\S]*?\*\/|"(?:\\[\s\S]|[^"\\])*"|`[^`]*`|'(?:\\.|[^\\])'/y;
const opaqueBegins = /\/\*|["`]/y;

/** Index of the `}}` that ends an action; -1 when there is none. */
function closing(source: string, from: number): number {
  let at = from;
  while (at < source.length) {
    if (source.startsWith('}}', at)) return at;
    opaque.lastIndex = at;
    opaqueBegins.lastIndex = at;
    const skipped = opaque.exec(source)?.[0];
    if (!skipped && opaqueBegins.test(source)) return -1;
    at += skipped?.length ?? 1;
  }
  return -1;
}

const tokenPattern =
  /(\s*)(?:("(?:\\.|[^"\\])*")|(`[^`]*`)|('(?:\\.|[^'\\])')|([-+]?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?))|(\$?\w*[\w$])|(:=|[=,|().]))/y;

/** Throws GoTemplateError at what is no token. */
export function tokenize(text: string, line: number): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (text.slice(at).trim()) {
    tokenPattern.lastIndex = at;
    const match = tokenPattern.exec(text);
    if (!match) throw new GoTemplateError(`Line ${line}: cannot read "${text.slice(at, at + 40)}"`);
    at = tokenPattern.lastIndex;
    const [, space = '', string, raw, char, number, word, punctuation] = match;
    const spaced = space !== '';
    if (string !== undefined) tokens.push({ kind: 'string', text: unquote(string, line), spaced });
    else if (raw !== undefined) tokens.push({ kind: 'string', text: raw.slice(1, -1), spaced });
    else if (char !== undefined) tokens.push({ kind: 'char', text: unquote(`"${char.slice(1, -1)}"`, line), spaced });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number, spaced });
    else if (word !== undefined) tokens.push({ kind: 'word', text: word, spaced });
    else tokens.push({ kind: 'punctuation', text: punctuation as string, spaced });
  }
  return tokens;
}

const escapes: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' };

function unquote(quoted: string, line: number): string {
  return quoted.slice(1, -1).replace(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)/g, (_, code: string) => {
    if (code.length > 1) {
      const point = Number.parseInt(code.slice(1), 16);
      if (point > 0x10ffff) throw new GoTemplateError(`Line ${line}: "\\${code}" is no character`);
      return String.fromCodePoint(point);
    }
    return escapes[code] ?? code;
  });
}
