/** What an action computes → tree: operands, functions with their arguments, pipes, assignments. */
import { GoTemplateError, type Token, tokenize } from './tokens.ts';

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

/** Names of fields that are read are added to `fields`. Throws GoTemplateError with the line. */
export function parsePipeline(text: string, line: number, fields: Set<string>): Pipeline {
  const tokens = tokenize(text, line);
  let position = 0;
  const peek = () => tokens[position];
  const is = (punctuation: string) => peek()?.kind === 'punctuation' && peek()?.text === punctuation;
  const wrong = (): never => {
    throw new GoTemplateError(`Line ${line}: cannot read "${text.slice(0, 80)}"`);
  };

  function pipeline(): Pipeline {
    const assigns = assignment();
    const commands = [command()];
    while (is('|')) {
      position++;
      commands.push(command());
    }
    return { commands, assigns };
  }

  /** `$i, $m :=`, if that is what comes. */
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
    const { kind, text } = tokens[position++] as Token;
    switch (kind) {
      case 'string':
        return { kind: 'constant', value: text };
      case 'number':
        return { kind: 'constant', value: Number(text) };
      case 'char':
        return { kind: 'constant', value: text.codePointAt(0) };
      case 'word':
        return named(text);
      case 'punctuation':
        if (text === '(') return group();
        return text === '.' ? dotOrField() : wrong();
    }
  }

  function named(word: string): Operand {
    if (word.startsWith('$')) return { kind: 'variable', name: word, path: path() };
    if (word === 'true' || word === 'false') return { kind: 'constant', value: word === 'true' };
    if (word === 'nil') return { kind: 'constant', value: undefined };
    return { kind: 'function', name: word };
  }

  /** After the opening bracket. */
  function group(): Operand {
    const inner = pipeline();
    if (!is(')')) wrong();
    position++;
    return { kind: 'group', pipeline: inner, path: path() };
  }

  /** After a dot that begins an operand. */
  function dotOrField(): Operand {
    const next = peek();
    if (next?.kind !== 'word' || next.spaced || next.text.startsWith('$')) return { kind: 'dot' };
    position++;
    fields.add(next.text);
    return { kind: 'field', path: [next.text, ...path()] };
  }

  /** `.A.B` directly after an operand. */
  function path(): string[] {
    const names: string[] = [];
    while (is('.') && !peek()?.spaced) {
      const name = tokens[position + 1];
      if (name?.kind !== 'word' || name.spaced) break;
      fields.add(name.text);
      names.push(name.text);
      position += 2;
    }
    return names;
  }

  const whole = pipeline();
  return position < tokens.length ? wrong() : whole;
}
