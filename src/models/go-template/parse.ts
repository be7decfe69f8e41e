/** Text → tree of a Go template. */
import { type Pipeline, parsePipeline } from './pipeline.ts';
import { type Action, GoTemplateError, type Piece, split } from './tokens.ts';

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

/** Deeper nesting is no prompt template. */
const maxDepth = 200;

/** Throws GoTemplateError with the line of the mistake. */
export function parseTemplate(source: string): ParsedTemplate {
  const pieces = split(source);
  const definitions = new Map<string, Node[]>();
  const fields = new Set<string>();
  let at = 0;
  let depth = 0;

  const pipeline = (text: string, line: number) => parsePipeline(text, line, fields);

  /** Nodes up to `end` or `else`, which is taken and given back; without `inside`, up to the end of the template. */
  function block(inside: string | undefined): { nodes: Node[]; ending: Action | undefined } {
    if (++depth > maxDepth) throw new GoTemplateError('The template is nested too deep');
    const nodes: Node[] = [];
    let piece = pieces[at++];
    for (; piece && !isEnding(piece); piece = pieces[at++]) {
      const node = 'text' in piece ? { kind: 'text' as const, text: piece.text } : action(piece);
      if (node) nodes.push(node);
    }
    depth--;
    if (inside && !piece) throw new GoTemplateError(`"{{${inside}}}" is never ended`);
    if (!inside && piece) throw new GoTemplateError(`Line ${piece.line}: "{{${piece.word}}}" without a beginning`);
    return { nodes, ending: piece };
  }

  function action({ action: text, word, line }: Action): Node | undefined {
    const rest = text.slice(word.length).trim();
    switch (word) {
      case 'if':
      case 'with':
      case 'range':
        return control(word, rest, line);
      case 'define': {
        const { name } = quotedName(word, rest, line);
        definitions.set(name, block(word).nodes);
        return undefined;
      }
      case 'block': {
        const { name, argument } = quotedName(word, rest, line);
        definitions.set(name, block(word).nodes);
        return { kind: 'template', name, pipeline: pipeline(argument, line) };
      }
      case 'template': {
        const { name, argument } = quotedName(word, rest, line);
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
    const { nodes: body, ending } = block(kind);
    return { kind, pipeline: head, body, otherwise: otherwise(kind, ending as Action) };
  }

  /** What `else` leads to, if that is what has ended a block. */
  function otherwise(kind: string, { action, line }: Action): Node[] {
    if (action === 'end') return [];
    const chained = /^else\s+(if|with)\s+([\s\S]*)$/.exec(action);
    if (chained) return [control(chained[1] as 'if' | 'with', chained[2] as string, line)];
    const { nodes, ending } = block(kind);
    if (ending?.action !== 'end') throw new GoTemplateError(`Line ${ending?.line}: a second "{{else}}"`);
    return nodes;
  }

  const { nodes } = block(undefined);
  return { nodes, definitions, fields };
}

const isEnding = (piece: Piece): piece is Action => 'word' in piece && (piece.word === 'end' || piece.word === 'else');

/** `"name" argument`. */
function quotedName(word: string, rest: string, line: number): { name: string; argument: string } {
  const match = /^"([^"]*)"\s*([\s\S]*)$/.exec(rest);
  if (!match) throw new GoTemplateError(`Line ${line}: "${word}" needs a name in quotes`);
  return { name: match[1] as string, argument: match[2] as string };
}
