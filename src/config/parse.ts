/** Text of viaduct.yaml → Config. Every problem is told with file, line and key. */
import { type Document, isMap, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import type { z } from 'zod';
import { type Variables, withEnvironment } from './environment.ts';
import { type Config, configSchema } from './schema.ts';

/** The configuration has problems: one line each, `viaduct.yaml:12: models.fast.strategy: …`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: string[];

  constructor(problems: string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

// `${NAME}` inside `{ … }` is no YAML, and a value with special characters must stay one value: so marks stand in
// for variables while the text is parsed. They are from Unicode's private use area.
const reference = /\$(\$?)\{([A-Za-z_]\w*)(?::-([^}]*))?\}/g;
const mark = /\uE000(\d+)\uE001/g;

type Reference = { name: string; fallback: string | undefined };

/** Throws ConfigError. `file` is only for messages. */
export function parseConfig(text: string, file: string, env: Variables): Config {
  const references: Reference[] = [];
  const marked = text.replace(reference, (whole, escaped: string, name: string, fallback: string | undefined) => {
    if (escaped) return whole.slice(1);
    references.push({ name, fallback });
    return `\uE000${references.length - 1}\uE001`;
  });
  const lines = new LineCounter();
  const document = parseDocument(marked, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number) => `${file}:${lines.linePos(offset).line}`;
  const problems = document.errors.map(({ message, pos }) => `${at(pos[0])}: ${unmark(message, references)}`);
  if (problems.length > 0) throw new ConfigError(problems);

  /** Paths whose variable is not set: what else is wrong there is not worth a word. */
  const unset = new Set<string>();
  const substituted = substitute(document, references, env, (path, offset, message) => {
    problems.push(`${at(offset)}: ${path}: ${message}`);
    unset.add(path);
  });

  const content: unknown = document.toJS() ?? {};
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw new ConfigError([`${file}:1: The file must hold sections: server, providers, models …`]);
  let input: Record<string, unknown>;
  try {
    input = withEnvironment(content as Record<string, unknown>, env);
  } catch (error) {
    throw new ConfigError([...problems, error instanceof Error ? error.message : String(error)]);
  }
  let parsed = configSchema.safeParse(input);
  if (!parsed.success && readNumbers(input, parsed.error.issues, substituted)) parsed = configSchema.safeParse(input);
  for (const { path, message } of parsed.error?.issues.flatMap(flatten) ?? []) {
    if (unset.has(path.join('.'))) continue;
    const offset = offsetOf(document, path);
    const place = offset === undefined ? file : at(offset);
    problems.push(`${place}: ${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`);
  }
  if (parsed.success && problems.length === 0) return parsed.data;
  throw new ConfigError(problems);
}

const unmark = (text: string, references: Reference[]) =>
  text.replace(mark, (_mark, index: string) => `\${${references[Number(index)]?.name}}`);

/** Puts values in for marks; gives the paths of scalars that were nothing but a variable, joined by dots. */
function substitute(
  document: Document,
  references: Reference[],
  env: Variables,
  report: (path: string, offset: number, message: string) => void,
): Set<string> {
  const whole = new Set<string>();
  visit(document, {
    Scalar(_key, node, ancestors) {
      if (typeof node.value !== 'string' || !node.value.includes('\uE000')) return;
      const isWhole = /^\uE000\d+\uE001$/.test(node.value) && node.type === 'PLAIN';
      node.value = node.value.replace(mark, (_mark, index: string) => {
        const { name, fallback } = references[Number(index)] ?? { name: '', fallback: undefined };
        const value = env[name] || fallback;
        if (value === undefined)
          report(
            pathOf(ancestors, node).join('.'),
            node.range?.[0] ?? 0,
            `The environment variable ${name} is not set. Set it, or write \${${name}:-default}.`,
          );
        return value ?? `\${${name}}`;
      });
      if (isWhole) whole.add(pathOf(ancestors, node).join('.'));
    },
  });
  return whole;
}

function pathOf(ancestors: readonly unknown[], node: unknown): (string | number)[] {
  const path: (string | number)[] = [];
  const chain = [...ancestors, node];
  chain.forEach((ancestor, index) => {
    const child = chain[index + 1];
    if (isMap(ancestor)) {
      const pair = ancestor.items.find((item) => item === child);
      if (pair && isScalar(pair.key)) path.push(String(pair.key.value));
    } else if (ancestor && typeof ancestor === 'object' && 'items' in ancestor && Array.isArray(ancestor.items)) {
      const at = ancestor.items.indexOf(child);
      if (at >= 0) path.push(at);
    }
  });
  return path;
}

/** A variable is text; where a number or a yes is wanted, read it as one. Changes `input`; false when nothing could be done. */
function readNumbers(input: Record<string, unknown>, issues: z.core.$ZodIssue[], substituted: Set<string>): boolean {
  let changed = false;
  for (const { path } of issues.flatMap(flatten)) {
    if (!substituted.has(path.join('.'))) continue;
    let parent: unknown = input;
    for (const key of path.slice(0, -1)) parent = (parent as Record<PropertyKey, unknown> | undefined)?.[key];
    const last = path.at(-1);
    if (parent === null || typeof parent !== 'object' || last === undefined) continue;
    const fields = parent as Record<PropertyKey, unknown>;
    const text = fields[last];
    const value = text === 'true' ? true : text === 'false' ? false : Number(text);
    if (typeof text !== 'string' || text === '' || Number.isNaN(value)) continue;
    fields[last] = value;
    changed = true;
  }
  return changed;
}

type Problem = { path: PropertyKey[]; message: string };

/** Of a choice of forms only the one that was meant: the one whose complaint lies deepest. */
function flatten(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'There is no such setting.' }));
  if (issue.code !== 'invalid_union') return [{ path: issue.path, message: issue.message }];
  const branches = issue.errors.map((errors) => errors.flatMap(flatten));
  const depth = (problems: Problem[]) => Math.max(0, ...problems.map(({ path }) => path.length));
  const [first = [], ...others] = branches;
  const meant = others.reduce((best, branch) => (depth(branch) > depth(best) ? branch : best), first);
  return meant.map(({ path, message }) => ({ path: [...issue.path, ...path], message }));
}

/** Where in the text a path is, or the nearest thing above it that is there. */
function offsetOf(document: Document, path: PropertyKey[]): number | undefined {
  const parent = path.length > 1 ? document.getIn(path.slice(0, -1), true) : document.contents;
  if (isMap(parent)) {
    const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(path.at(-1)));
    if (pair && isScalar(pair.key)) return pair.key.range?.[0];
  }
  const node = path.length > 0 ? document.getIn(path, true) : document.contents;
  if (node !== null && typeof node === 'object' && 'range' in node && Array.isArray(node.range))
    return Number(node.range[0]);
  return path.length > 0 ? offsetOf(document, path.slice(0, -1)) : undefined;
}
