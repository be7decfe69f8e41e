/**
 * Modelfiles, read and written.
 * Source: https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx
 */
import { ViaductError } from '../core/errors.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { StoredMessage } from './model.ts';
import { parameterFromText } from './parameters.ts';

export type Modelfile = {
  /** Names of models or paths of files: the weights, then projectors. */
  from: string[];
  adapters: string[];
  template?: string;
  system?: string;
  params: JsonObject;
  messages: StoredMessage[];
  licenses: string[];
};

/** What only Ollama's own runtime reads: accepted, without effect. */
const withoutEffect = ['RENDERER', 'PARSER', 'REQUIRES'];
const needValue = ['FROM', 'ADAPTER', 'PARAMETER', 'MESSAGE', 'LICENSE'];
const roles = ['system', 'user', 'assistant'];

/** Text → Modelfile. Throws invalid_modelfile naming the line. */
export function parseModelfile(text: string): Modelfile {
  const file: Modelfile = { from: [], adapters: [], params: {}, messages: [], licenses: [] };
  for (const { line, command, value } of instructions(text)) {
    const fail = (why: string) => {
      throw new ViaductError('invalid_modelfile', `Modelfile line ${line}: ${why}.`, { param: 'modelfile' });
    };
    if (value === '' && needValue.includes(command)) fail(`${command} needs a value`);
    switch (command) {
      case 'FROM':
        file.from.push(value);
        break;
      case 'ADAPTER':
        file.adapters.push(value);
        break;
      case 'TEMPLATE':
        file.template = value;
        break;
      case 'SYSTEM':
        file.system = value;
        break;
      case 'LICENSE':
        file.licenses.push(value);
        break;
      case 'PARAMETER':
        addParameter(file.params, value, fail);
        break;
      case 'MESSAGE': {
        const [role, content] = firstWord(value);
        if (!roles.includes(role)) fail(`a MESSAGE is from system, user or assistant, not from "${role}"`);
        file.messages.push({ role, content: unquote(content) });
        break;
      }
      default:
        if (!withoutEffect.includes(command))
          fail(
            `"${command}" is not an instruction; there are FROM, PARAMETER, TEMPLATE, SYSTEM, ADAPTER, MESSAGE, LICENSE`,
          );
    }
  }
  if (file.from.length === 0)
    throw new ViaductError(
      'invalid_modelfile',
      'The Modelfile has no FROM line: say which model or file it starts from.',
      {
        param: 'modelfile',
      },
    );
  return file;
}

function addParameter(params: JsonObject, text: string, fail: (why: string) => void) {
  const [name, value] = firstWord(text);
  let parsed: Json = null;
  try {
    parsed = parameterFromText(name.toLowerCase(), unquote(value));
  } catch (thrown) {
    fail(ViaductError.from(thrown).message.replace(/\.$/, ''));
  }
  const key = name.toLowerCase();
  const before = params[key];
  params[key] = key === 'stop' ? [...(Array.isArray(before) ? before : []), parsed] : parsed;
}

function firstWord(text: string): [string, string] {
  const [, word = '', rest = ''] = /^(\S*)\s*([\s\S]*)$/.exec(text) ?? [];
  return [word, rest];
}

type Instruction = { line: number; command: string; value: string };

/** Instructions in order; the value of MESSAGE and PARAMETER keeps its own quotes. */
function* instructions(text: string): Generator<Instruction> {
  const source = text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');
  let at = 0;
  let line = 1;
  while (at < source.length) {
    const end = endOfLine(source, at);
    const start = line;
    const [, indent = '', command = '', gap = ''] = /^(\s*)(\S*)([ \t]*)/.exec(source.slice(at, end)) ?? [];
    if (command === '' || command.startsWith('#')) {
      at = end + 1;
      line += 1;
      continue;
    }
    const from = at + indent.length + command.length + gap.length;
    const name = command.toUpperCase();
    const named = name === 'MESSAGE' || name === 'PARAMETER';
    const stop = endOfValue(source, from, named, start);
    const value = source.slice(from, stop).trim();
    yield { line: start, command: name, value: named ? value : unquote(value) };
    line += source.slice(at, stop).split('\n').length;
    at = stop + 1;
  }
}

const endOfLine = (source: string, from: number) => {
  const end = source.indexOf('\n', from);
  return end < 0 ? source.length : end;
};

/** A value ends with its line, or, when a quoted text begins in it, with the line where that ends. */
function endOfValue(source: string, from: number, named: boolean, line: number): number {
  const end = endOfLine(source, from);
  const quote = (named ? /^\S+[ \t]+("""|")/ : /^("""|")/).exec(source.slice(from, end));
  if (!quote?.[1]) return end;
  const open = from + quote[0].length;
  const close = source.indexOf(quote[1], open);
  if (close >= 0) return endOfLine(source, close + quote[1].length);
  if (quote[1] === '"') return end;
  throw new ViaductError('invalid_modelfile', `Modelfile line ${line}: the text that begins with """ does not end.`, {
    param: 'modelfile',
  });
}

function unquote(text: string): string {
  if (text.length >= 6 && text.startsWith('"""') && text.endsWith('"""')) return text.slice(3, -3);
  return /^"[^"]*"$/.test(text) ? text.slice(1, -1) : text;
}

/** Modelfile → text that reads back as the same, as long as no text in it holds three quotes. */
export function printModelfile({ from, adapters, template, system, params, messages, licenses }: Modelfile): string {
  return [
    ...from.map((value) => `FROM ${value}`),
    ...adapters.map((value) => `ADAPTER ${value}`),
    ...(template === undefined ? [] : [`TEMPLATE ${quoted(template)}`]),
    ...(system === undefined ? [] : [`SYSTEM ${quoted(system)}`]),
    ...parameterLines(params).map(([name, value]) => `PARAMETER ${name} ${value}`),
    ...messages.map(({ role, content }) => `MESSAGE ${role} ${quoted(content)}`),
    ...licenses.map((value) => `LICENSE ${quoted(value)}`),
  ]
    .join('\n')
    .concat('\n');
}

const quoted = (text: string) => `"""${text}"""`;

/** One entry a line: what `show --parameters` prints. */
export function parameterLines(params: JsonObject): [name: string, value: string][] {
  return Object.entries(params).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one): [string, string] => [
      name,
      typeof one === 'string' ? (one.includes('"') ? quoted(one) : `"${one}"`) : String(one),
    ]),
  );
}
