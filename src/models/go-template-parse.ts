/** Text → tree of a Go template. */

/** What is wrong with a template, and where. */
export class GoTemplateError extends Error {
  override readonly name = 'GoTemplateError';
}

export type Operand =
  | { kind: 'dot' }
  | { kind: 'constant'; value: unknown }
  | { kind: 'variable'; name: string; path: string[] }
  | { kind: 'field'; path: string[] }
  | { kind: 'function'; name: string }
  | { kind: 'group'; pipeline: Pipeline; path: string[] };
/** A function with its arguments, or one operand alone. */
export type Command = Operand[];
export type Pipeline = { commands: Command[]; assigns: { names: string[]; declares: boolean } | undefined };

export type Node =
  | { kind: 'text'; text: string }
  | { kind: 'output'; pipeline: Pipeline }
  | { kind: 'if' | 'with'; pipeline: Pipeline; body: Node[]; otherwise: Node[] }
  | { kind: 'range'; pipeline: Pipeline; body: Node[]; otherwise: Node[] }
  | { kind: 'template'; name: string; pipeline: Pipeline | undefined }
  | { kind: 'jump'; to: 'break' | 'continue' };

export type ParsedTemplate = {
  nodes: Node[];
  definitions: Map<string, Node[]>;
  /** Names of all fields that are read. */
  fields: Set<string>;
};

type Piece = { text: string } | { action: string; line: number };
type Token = { kind: 'word' | 'string' | 'number' | 'char' | 'punctuation'; text: string; spaced: boolean };

/** Deeper nesting is no prompt template. */
const maxDepth = 200;

export function parseTemplate(source: string): ParsedTemplate {
  const pieces = split(source);
  const definitions = new Map<string, Node[]>();
  const fields = new Set<string>();
  let at = 0;
  let depth = 0;

  /** Nodes until `end` or `else`, which is left for the caller. */
  function block(inside: string | undefined): { nodes: Node[]; ended: string | undefined; line: number } {
    if (++depth > maxDepth) throw new GoTemplateError('The template is nested too deep');
    const nodes: Node[] = [];
    for (;;) {
      const piece = pieces[at++];
      if (!piece) {
        if (inside) throw new GoTemplateError(`"{{${inside}}}" is never ended`);
        depth--;
        return { nodes, ended: undefined, line: 0 };
      }
      if ('text' in piece) {
        nodes.push({ kind: 'text', text: piece.text });
        continue;
      }
      const word = /^\w+/.exec(piece.action)?.[0] ?? '';
      if (word === 'end' || word === 'else') {
        if (!inside) throw new GoTemplateError(`Line ${piece.line}: "{{${word}}}" without a beginning`);
        depth--;
        return { nodes, ended: piece.action, line: piece.line };
      }
      const node = action(piece.action, word, piece.line);
      if (node) nodes.push(node);
    }
  }

  function action(text: string, word: string, line: number): Node | undefined {
    const rest = text.slice(word.length).trim();
    switch (word) {
      case 'if':
      case 'with':
      case 'range':
        return control(word, rest, line);
      case 'define':
      case 'block': {
        const name = /^"([^"]*)"/.exec(rest)?.[1];
        if (name === undefined) throw new GoTemplateError(`Line ${line}: "${word}" needs a name in quotes`);
        definitions.set(name, block(word).nodes);
        if (word === 'define') return undefined;
        return { kind: 'template', name, pipeline: pipeline(rest.slice(name.length + 2), line) };
      }
      case 'template': {
        const name = /^"([^"]*)"/.exec(rest)?.[1];
        if (name === undefined) throw new GoTemplateError(`Line ${line}: "template" needs a name in quotes`);
        const argument = rest.slice(name.length + 2).trim();
        return { kind: 'template', name, pipeline: argument ? pipeline(argument, line) : undefined };
      }
      case 'break':
      case 'continue':
        if (!rest) return { kind: 'jump', to: word };
    }
    if (!text) throw new GoTemplateError(`Line ${line}: there is nothing between the braces`);
    return { kind: 'output', pipeline: pipeline(text, line) };
  }

  function control(kind: 'if' | 'with' | 'range', condition: string, line: number): Node {
    const head = pipeline(condition, line);
    const { nodes: body, ended, line: endLine } = block(kind);
    if (ended === 'end') return { kind, pipeline: head, body, otherwise: [] };
    const chained = /^else\s+(if|with)\s+([\s\S]*)$/.exec(ended ?? '');
    if (chained) {
      const inner = control(chained[1] as 'if' | 'with', chained[2] as string, endLine);
      return { kind, pipeline: head, body, otherwise: [inner] };
    }
    const otherwise = block(kind);
    if (otherwise.ended !== 'end') throw new GoTemplateError(`Line ${otherwise.line}: a second "{{else}}"`);
    return { kind, pipeline: head, body, otherwise: otherwise.nodes };
  }

  function pipeline(text: string, line: number): Pipeline {
    const tokens = tokenize(text, line);
    let position = 0;
    const peek = () => tokens[position];
    const is = (punctuation: string) => peek()?.kind === 'punctuation' && peek()?.text === punctuation;
    const wrong = (): never => {
      throw new GoTemplateError(`Line ${line}: cannot read "${text.slice(0, 80)}"`);
    };

    function whole(closing: boolean): Pipeline {
      const assigns = assignment();
      const commands = [command()];
      while (is('|')) {
        position++;
        commands.push(command());
      }
      if (closing ? !is(')') : position < tokens.length) wrong();
      return { commands, assigns };
    }

    function assignment(): Pipeline['assigns'] {
      const names: string[] = [];
      let ahead = position;
      for (;;) {
        const token = tokens[ahead];
        if (token?.kind !== 'word' || !token.text.startsWith('$')) return undefined;
        names.push(token.text);
        const after = tokens[++ahead]?.text;
        if (after === ',') {
          ahead++;
          continue;
        }
        if (after !== ':=' && after !== '=') return undefined;
        position = ahead + 1;
        return { names, declares: after === ':=' };
      }
    }

    function command(): Command {
      const operands: Operand[] = [];
      while (position < tokens.length && !is('|') && !is(')')) operands.push(operand());
      return operands.length ? operands : wrong();
    }

    function operand(): Operand {
      const token = tokens[position++] as Token;
      if (token.kind === 'string') return { kind: 'constant', value: token.text };
      if (token.kind === 'number') return { kind: 'constant', value: Number(token.text) };
      if (token.kind === 'char') return { kind: 'constant', value: token.text.codePointAt(0) };
      if (token.text === '(') {
        const inner = whole(true);
        position++;
        return { kind: 'group', pipeline: inner, path: path() };
      }
      if (token.kind === 'punctuation') {
        if (token.text !== '.') return wrong();
        const next = peek();
        if (!next || next.spaced || next.kind !== 'word' || next.text.startsWith('$')) return { kind: 'dot' };
        position--;
        return { kind: 'field', path: path(true) };
      }
      if (token.text.startsWith('$')) return { kind: 'variable', name: token.text, path: path() };
      if (token.text === 'true' || token.text === 'false') return { kind: 'constant', value: token.text === 'true' };
      if (token.text === 'nil') return { kind: 'constant', value: undefined };
      return { kind: 'function', name: token.text };
    }

    /** `.A.B`, directly after an operand unless it is the operand. */
    function path(isOperand = false): string[] {
      const names: string[] = [];
      while (is('.') && (!peek()?.spaced || (isOperand && names.length === 0))) {
        const name = tokens[position + 1];
        if (name?.kind !== 'word' || name.spaced) break;
        fields.add(name.text);
        names.push(name.text);
        position += 2;
      }
      return names;
    }

    return whole(false);
  }

  const { nodes } = block(undefined);
  return { nodes, definitions, fields };
}

/** Text and actions in turn, with `{{-` and `-}}` already applied and comments gone. */
function split(source: string): Piece[] {
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
    let inside = source.slice(open + 2, close);
    const trimsLeft = /^-\s/.test(inside);
    const trimsRight = /\s-$/.test(inside);
    inside = inside.slice(trimsLeft ? 1 : 0, trimsRight ? -1 : undefined).trim();
    text(source.slice(at, open), trimsLeft);
    if (!/^\/\*[\s\S]*\*\/$/.test(inside)) pieces.push({ action: inside, line });
    trimNext = trimsRight;
    at = close + 2;
  }
  text(source.slice(at), false);
  return pieces;
}

/** Index of the `}}` that ends an action, which may hold quoted braces. */
function closing(source: string, from: number): number {
  let quote = '';
  for (let i = from; i < source.length; i++) {
    const c = source[i] as string;
    if (quote) {
      if (c === '\\' && quote !== '`') i++;
      else if (c === quote) quote = '';
    } else if (source.startsWith('/*', i)) {
      const end = source.indexOf('*/', i);
      if (end < 0) return -1;
      i = end + 1;
    } else if (c === '"' || c === '`') quote = c;
    else if (c === "'" && /^'(?:\\.|[^\\])'/.test(source.slice(i, i + 4))) quote = c;
    else if (c === '}' && source[i + 1] === '}') return i;
  }
  return -1;
}

const tokenPattern =
  /(\s*)(?:("(?:\\.|[^"\\])*")|(`[^`]*`)|('(?:\\.|[^'\\])')|([-+]?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?))|(\$?\w*[\w$])|(:=|[=,|().]))/y;

function tokenize(text: string, line: number): Token[] {
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
