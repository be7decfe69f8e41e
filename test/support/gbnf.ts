/** Our grammars have no cycles, so each is a regular expression: what it lets through can be drawn at random. */

const token = /\s+|"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|\{\d*,?\d*\}|[()|*+?]|[a-zA-Z0-9-]+/y;

export function gbnfToRegExp(grammar: string): RegExp {
  const rules = new Map(grammar.split('\n').map((line) => line.split(/ ::= (.*)/s).slice(0, 2) as [string, string]));
  const done = new Map<string, string>();

  const expand = (name: string): string => {
    const known = done.get(name);
    if (known !== undefined) return known;
    const body = rules.get(name);
    if (body === undefined) throw new Error(`no rule ${name}`);
    const pattern = `(?:${convert(body)})`;
    done.set(name, pattern);
    return pattern;
  };

  const piece = (text: string): string => {
    if (/^\s/.test(text)) return '';
    if (text === '""') return 'x{0}';
    if (text.startsWith('"')) return `(?:${unquote(text).replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')})`;
    if (text.startsWith('[')) return characterClass(text);
    if (text === '(') return '(?:';
    return /^[{()|*+?]/.test(text) ? text : expand(text);
  };

  const convert = (body: string): string => {
    let out = '';
    let at = 0;
    while (at < body.length) {
      token.lastIndex = at;
      const [text] = token.exec(body) ?? [];
      if (text === undefined) throw new Error(`cannot read ${body.slice(at, at + 40)}`);
      at = token.lastIndex;
      out += piece(text);
    }
    return out;
  };

  return new RegExp(`^${expand('root')}$`, 'u');
}

/** Code points as they are, since not every reader of regular expressions knows every escape. */
function characterClass(text: string): string {
  const [, not = '', inner = ''] = /^\[(\^?)(.*)\]$/s.exec(text) ?? [];
  const plain = inner
    .replace(/^-|-$/g, '\\-')
    .replace(/\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))/g, (_, ...codes: (string | undefined)[]) => {
      const character = String.fromCodePoint(Number.parseInt(codes.slice(0, 3).find((code) => code) ?? '0', 16));
      return /[\\\]^-]/.test(character) ? `\\${character}` : character;
    });
  return `[${not}${plain}]`;
}

function unquote(text: string): string {
  return text
    .slice(1, -1)
    .replace(/\\(x[0-9a-f]{2}|.)/g, (_, code: string) =>
      code.length > 1 ? String.fromCharCode(Number.parseInt(code.slice(1), 16)) : code,
    );
}
