/**
 * Go's text/template, as far as prompt templates use it: actions, pipelines, variables, range, if, with, define,
 * and the functions that Ollama gives them. Pure: what a template needs of the world comes in `data`.
 * Source: https://pkg.go.dev/text/template
 */
import { evaluator, type Functions, type Scope } from './go-template/eval.ts';
import { type Node, type ParsedTemplate, parseTemplate } from './go-template/parse.ts';

export { GoTemplateError } from './go-template/tokens.ts';

/** A parsed template. `render` throws GoTemplateError when an expression cannot be evaluated. */
export type GoTemplate = {
  render(data: Record<string, unknown>, functions?: Functions): string;
  /** True when the template reads that field anywhere: `Messages`, `Tools`. */
  uses(field: string): boolean;
};

/** Rounds of `range` in one rendering: a template is not to keep the server busy. */
const maxSteps = 1_000_000;

/** Parse once, render often. Throws GoTemplateError with the line of the mistake. */
export function compileGoTemplate(source: string): GoTemplate {
  const template = parseTemplate(source);
  return {
    uses: (field) => template.fields.has(field),
    render: (data, functions = {}) => render(template, data, functions),
  };
}

type Jump = 'break' | 'continue' | undefined;

function render({ nodes, definitions }: ParsedTemplate, data: Record<string, unknown>, functions: Functions): string {
  const out: string[] = [];
  let steps = 0;

  function count(): void {
    if (++steps > maxSteps) evaluator.fail('The template takes too many steps');
  }

  function run(list: Node[], scope: Scope): Jump {
    for (const node of list) {
      count();
      const jump = step(node, scope);
      if (jump) return jump;
    }
    return undefined;
  }

  function step(node: Node, scope: Scope): Jump {
    switch (node.kind) {
      case 'text':
        out.push(node.text);
        return undefined;
      case 'output': {
        const value = evaluator.pipeline(node.pipeline, scope);
        if (!node.pipeline.assigns) out.push(evaluator.print(value));
        return undefined;
      }
      case 'if':
      case 'with': {
        const inner = evaluator.child(scope);
        const value = evaluator.pipeline(node.pipeline, inner);
        if (!evaluator.truth(value)) return run(node.otherwise, inner);
        return run(node.body, node.kind === 'with' ? { ...inner, dot: value } : inner);
      }
      case 'range':
        return range(node, scope);
      case 'template': {
        const body = definitions.get(node.name);
        if (!body) return evaluator.fail(`There is no template "${node.name}"`);
        const dot = node.pipeline ? evaluator.pipeline(node.pipeline, scope) : undefined;
        run(body, evaluator.root(dot, functions));
        return undefined;
      }
      case 'jump':
        return node.to;
    }
  }

  function range(node: Extract<Node, { kind: 'range' }>, scope: Scope): Jump {
    const outer = evaluator.child(scope);
    const { assigns, commands } = node.pipeline;
    const entries = evaluator.entries(evaluator.pipeline({ commands, assigns: undefined }, outer));
    if (entries.length === 0) return run(node.otherwise, outer);
    for (const [key, value] of entries) {
      count();
      const inner = { ...evaluator.child(outer), dot: value };
      // `range $item :=` names the item, `range $key, $item :=` both.
      const bound = assigns?.names.length === 1 ? [value] : [key, value];
      for (const [index, name] of (assigns?.names ?? []).entries())
        if (assigns?.declares) inner.variables.set(name, bound[index]);
        else evaluator.assign(outer, name, bound[index]);
      if (run(node.body, inner) === 'break') break;
    }
    return undefined;
  }

  run(nodes, evaluator.root(data, functions));
  return out.join('');
}
