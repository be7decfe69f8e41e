/** Values, truth, functions and printing of Go templates. */
import type { Command, Operand, Pipeline } from './pipeline.ts';
import { GoTemplateError } from './tokens.ts';

export type Functions = Record<string, (...values: unknown[]) => unknown>;
export type Scope = {
  dot: unknown;
  root: unknown;
  variables: Map<string, unknown>;
  parent: Scope | undefined;
  /** Functions besides the usual ones. */
  functions: Functions;
};

const fail = (message: string): never => {
  throw new GoTemplateError(message);
};

const root = (dot: unknown, functions: Functions): Scope => ({
  dot,
  root: dot,
  variables: new Map(),
  parent: undefined,
  functions,
});

const child = (scope: Scope): Scope => ({ ...scope, variables: new Map(), parent: scope });

function lookup(scope: Scope, name: string): unknown {
  if (name === '$') return scope.root;
  for (let s: Scope | undefined = scope; s; s = s.parent) if (s.variables.has(name)) return s.variables.get(name);
  return fail(`There is no variable "${name}"`);
}

function assign(scope: Scope, name: string, value: unknown): void {
  for (let s: Scope | undefined = scope; s; s = s.parent)
    if (s.variables.has(name)) {
      s.variables.set(name, value);
      return;
    }
  fail(`There is no variable "${name}"`);
}

function pipeline({ commands, assigns }: Pipeline, scope: Scope): unknown {
  let value: unknown;
  for (const [index, command] of commands.entries()) value = run(command, scope, index > 0 ? [value] : []);
  if (!assigns) return value;
  for (const name of assigns.names)
    if (assigns.declares) scope.variables.set(name, value);
    else assign(scope, name, value);
  return value;
}

function run(command: Command, scope: Scope, piped: unknown[]): unknown {
  const [first, ...rest] = command as [Operand, ...Operand[]];
  if (first.kind !== 'function') {
    if (rest.length || piped.length) return fail('Only a function can take arguments');
    return operand(first, scope);
  }
  // `and` and `or` stop early, as in Go.
  if (first.name === 'and' || first.name === 'or') {
    const stopsAt = first.name === 'or';
    let value: unknown;
    for (const argument of rest) {
      value = operand(argument, scope);
      if (truth(value) === stopsAt) return value;
    }
    return piped.length ? piped[0] : value;
  }
  const own = Object.hasOwn(scope.functions, first.name) ? scope.functions[first.name] : undefined;
  const work = own ?? (Object.hasOwn(functions, first.name) ? functions[first.name] : undefined);
  if (!work) return fail(`There is no function "${first.name}"`);
  return work(...rest.map((argument) => operand(argument, scope)), ...piped);
}

function operand(item: Operand, scope: Scope): unknown {
  switch (item.kind) {
    case 'dot':
      return scope.dot;
    case 'constant':
      return item.value;
    case 'field':
      return follow(scope.dot, item.path);
    case 'variable':
      return follow(lookup(scope, item.name), item.path);
    case 'group':
      return follow(pipeline(item.pipeline, scope), item.path);
    case 'function':
      return run([item], scope, []);
  }
}

function follow(value: unknown, path: string[]): unknown {
  let current = value;
  for (const name of path) {
    if (current === undefined || current === null || typeof current !== 'object') return undefined;
    current =
      current instanceof Map
        ? current.get(name)
        : Object.hasOwn(current, name)
          ? (current as Record<string, unknown>)[name]
          : undefined;
  }
  return current;
}

function truth(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function entries(value: unknown): [unknown, unknown][] {
  if (value === undefined || value === null || value === false) return [];
  if (Array.isArray(value)) return [...value.entries()];
  if (typeof value === 'number') return Array.from({ length: Math.min(Math.max(value, 0), 1e6) }, (_, i) => [i, i]);
  if (value instanceof Map) return [...value];
  if (typeof value === 'object') return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return fail('"range" needs a list or an object');
}

/** As Go's fmt prints it; objects as JSON, which is what templates for tools mean. */
function print(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? toJson(value) : String(value);
}

function toJson(value: unknown): string {
  return JSON.stringify(value instanceof Map ? Object.fromEntries(value) : (value ?? null));
}

function same(a: unknown, b: unknown): boolean {
  if (typeof a === 'object' || typeof b === 'object') return a === b;
  return a === b || (isEmpty(a) && isEmpty(b));
}

const isEmpty = (value: unknown) => value === undefined || value === null || value === '';

function compare(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [left, right] = [String(a), String(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function length(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (value === undefined || value === null) return 0;
  return typeof value === 'object' ? Object.keys(value).length : fail('"len" needs a text, a list or an object');
}

function slice(value: unknown, from: unknown = 0, to?: unknown): unknown {
  const start = Number(from);
  if (typeof value === 'string')
    return Buffer.from(value)
      .subarray(start, to as number | undefined)
      .toString('utf8');
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return fail('"slice" needs a list or a text');
  const end = to === undefined ? value.length : Number(to);
  if (start < 0 || start > end || end > value.length) return fail('"slice" reaches beyond the list');
  return value.slice(start, end);
}

function index(value: unknown, ...keys: unknown[]): unknown {
  let current = value;
  for (const key of keys) {
    if (Array.isArray(current)) {
      const at = Number(key);
      if (at < 0 || at >= current.length) return fail('"index" reaches beyond the list');
      current = current[at];
    } else current = follow(current, [String(key)]);
  }
  return current;
}

function printf(format: unknown, ...values: unknown[]): string {
  let next = 0;
  return String(format).replace(
    /%[-+# 0]*(\d*)(?:\.(\d+))?([a-zA-Z%])/g,
    (_, width: string, precision: string | undefined, verb: string) => {
      if (verb === '%') return '%';
      const value = values[next++];
      let text = print(value);
      if (verb === 'q') text = JSON.stringify(text);
      else if (verb === 'f') text = Number(value).toFixed(Number(precision ?? 6));
      else if (verb === 'd') text = String(Math.trunc(Number(value)));
      else if (verb === 'x') text = Number(value).toString(16);
      return text.padStart(Number(width || 0));
    },
  );
}

const functions: Functions = {
  not: (value: unknown) => !truth(value),
  eq: (first: unknown, ...others: unknown[]) => others.some((other) => same(first, other)),
  ne: (a: unknown, b: unknown) => !same(a, b),
  lt: (a: unknown, b: unknown) => compare(a, b) < 0,
  le: (a: unknown, b: unknown) => compare(a, b) <= 0,
  gt: (a: unknown, b: unknown) => compare(a, b) > 0,
  ge: (a: unknown, b: unknown) => compare(a, b) >= 0,
  len: length,
  slice,
  index,
  json: toJson,
  js: (value: unknown) => JSON.stringify(print(value)).slice(1, -1),
  html: (value: unknown) => print(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`),
  urlquery: (value: unknown) => encodeURIComponent(print(value)),
  print: (...values: unknown[]) => values.map(print).join(''),
  println: (...values: unknown[]) => `${values.map(print).join(' ')}\n`,
  printf,
  trim: (value: unknown) => print(value).trim(),
  contains: (value: unknown, part: unknown) => print(value).includes(print(part)),
};

export const evaluator = { fail, root, child, assign, pipeline, truth, entries, print };
