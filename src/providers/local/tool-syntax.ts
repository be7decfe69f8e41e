/**
 * The ways in which open models write tool calls, each as one reader. A model trained on one family's syntax often
 * writes another's, so all are tried whatever the template says.
 */
import { jsonrepair } from 'jsonrepair';
import type { Json, JsonObject } from '../../core/json.ts';

/** A call as written. `input` is what the arguments parsed to, or their text where they did not parse. */
export type FoundCall = { name: string; input: Json };

/**
 * What a reader makes of the text from its marker on: calls that end at `end`; `wait` for more; `no` when it is no call;
 * `broken` when it began as a call, up to `end`, and cannot be read.
 */
export type Reading =
  | { state: 'calls'; calls: FoundCall[]; end: number }
  | { state: 'wait' }
  | { state: 'no' }
  | { state: 'broken'; end: number };

export type Known = { isTool: (name: string) => boolean; couldBeTool: (prefix: string) => boolean };

export type Syntax = {
  /** What the call begins with. */
  marker: string;
  /** `text` begins with the marker; `ended` means that nothing will follow. */
  read(text: string, known: Known, ended: boolean): Reading;
};

const wait: Reading = { state: 'wait' };
const no: Reading = { state: 'no' };

/** Between an opening and a closing mark: JSON, one call or many, or XML within. */
const tagged = (marker: string, close: string): Syntax => ({
  marker,
  read(text, _known, ended) {
    const at = text.indexOf(close, marker.length);
    if (at < 0) {
      // Models forget the closing mark; a whole JSON value at the end of the text is a call all the same.
      const body = text.slice(marker.length);
      const value = scanJson(body, skipBlank(body, 0));
      const closed =
        ended ||
        (typeof value === 'number' && /\S/.test(body.slice(value)) && !close.startsWith(body.slice(value).trim()));
      if (typeof value === 'number' && closed) return callsOf(body.slice(0, value), marker.length + value);
      return ended ? { state: 'broken', end: text.length } : wait;
    }
    return callsOf(text.slice(marker.length, at), at + close.length);
  },
});

/** A marker, then one JSON value: `[TOOL_CALLS][…]`. */
const prefixed = (marker: string): Syntax => ({
  marker,
  read(text, known, ended) {
    const start = skipBlank(text, marker.length);
    if (start === text.length) return ended ? { state: 'broken', end: text.length } : wait;
    if (text[start] !== '{' && text[start] !== '[') return named(text, start, known, ended);
    const end = scanJson(text, start);
    if (end === 'wait') return ended ? { state: 'broken', end: text.length } : wait;
    return end === 'no' ? { state: 'broken', end: text.length } : several(text, start, end, known, ended);
  },
});

/** `name{…}` or `name[ARGS]{…}` after a marker, as newer Mistral models write. */
function named(text: string, start: number, known: Known, ended: boolean): Reading {
  const match = /^([\w.-]+)\s*(?:\[CALL_ID\][\w-]*\s*)?(?:\[ARGS\]\s*)?/.exec(text.slice(start));
  const name = match?.[1] ?? '';
  const open = start + (match?.[0].length ?? 0);
  if (open === text.length || /^\[[A-Z_]*\]?[\w-]*$/.test(text.slice(open))) return ended ? no : wait;
  if (text[open] !== '{' || !known.isTool(name)) return pythonic(text, start, known, ended);
  const end = scanJson(text, open);
  if (end === 'wait') return ended ? { state: 'broken', end: text.length } : wait;
  if (end === 'no') return { state: 'broken', end: text.length };
  return { state: 'calls', calls: [{ name, input: readJson(text.slice(open, end)) }], end };
}

/** `{"name": "f", "arguments": {…}}` without any mark, the commonest slip; only when the name is a tool's. */
const bare: Syntax = {
  marker: '{',
  read(text, known, ended) {
    const judged = judgeBare(text, known);
    if (judged === 'no') return no;
    if (judged === 'wait') return ended ? no : wait;
    const end = scanJson(text, 0);
    if (end === 'wait') return ended ? { state: 'broken', end: text.length } : wait;
    return end === 'no' ? no : several(text, 0, end, known, ended);
  },
};

const nameKeys = 'name|function|tool|tool_name|function_name|action|recipient_name';
const otherKeys = 'type|id|arguments|parameters|args|input|tool_call|function_call|index';

/** Decides as early as it can, so that other JSON is not held back. */
function judgeBare(text: string, known: Known): 'call' | 'wait' | 'no' {
  const open = /^\{\s*(?:"([\w-]*)("?)\s*(:?)\s*)?/.exec(text);
  if (!open) return 'no';
  const [head, key, quoteAfter, colon] = open;
  if (key === undefined) return head.length === text.length ? 'wait' : 'no';
  if (!quoteAfter)
    return `|${nameKeys}|${otherKeys}`.includes(`|${key}`) && head.length === text.length ? 'wait' : 'no';
  if (!`|${nameKeys}|${otherKeys}|`.includes(`|${key}|`)) return 'no';
  if (!colon) return head.length === text.length ? 'wait' : 'no';
  const rest = text.slice(head.length);
  if (rest === '') return 'wait';
  if (`|${nameKeys}|`.includes(`|${key}|`) && rest[0] === '"') {
    const value = /^"([^"]*)("?)/.exec(rest);
    const name = value?.[1] ?? '';
    if (value?.[2]) return known.isTool(name) ? 'call' : 'no';
    return known.couldBeTool(name) ? 'wait' : 'no';
  }
  // The name comes later: hold until it shows.
  const later = new RegExp(`"(?:${nameKeys})"\\s*:\\s*"([^"]*)"`).exec(rest);
  if (later) return known.isTool(later[1] as string) ? 'call' : 'no';
  return scanJson(text, 0) === 'wait' ? 'wait' : 'no';
}

/** `[{"name": …}, …]` or `[f(x=1), g()]`. */
const list: Syntax = {
  marker: '[',
  read(text, known, ended) {
    const start = skipBlank(text, 1);
    if (start === text.length) return ended ? no : wait;
    if (text[start] === '{') {
      const judged = judgeBare(text.slice(start), known);
      if (judged === 'no') return no;
      if (judged === 'wait') return ended ? no : wait;
      const end = scanJson(text, 0);
      if (end === 'wait') return ended ? { state: 'broken', end: text.length } : wait;
      return end === 'no' ? no : callsOf(text.slice(0, end), end, true);
    }
    const name = /^[\w.]*/.exec(text.slice(start))?.[0] ?? '';
    if (start + name.length === text.length) return known.couldBeTool(name) && !ended ? wait : no;
    if (!known.isTool(name)) return no;
    return pythonic(text, start, known, ended, ']');
  },
};

/** A fenced block that holds calls. */
const fence: Syntax = {
  marker: '```',
  read(text, known, ended) {
    const head = /^```[\w-]*[ \t]*\r?\n?/.exec(text) as RegExpExecArray;
    const start = skipBlank(text, head[0].length);
    if (start === text.length) return ended ? no : wait;
    const reading =
      text[start] === '{'
        ? bare.read(text.slice(start), known, ended)
        : text[start] === '['
          ? list.read(text.slice(start), known, ended)
          : pythonicLine(text.slice(start), head[0], known, ended);
    if (reading.state !== 'calls')
      return reading.state === 'broken' ? { state: 'broken', end: start + reading.end } : reading;
    const after = skipBlank(text, start + reading.end);
    if (text.startsWith('```', after)) return { ...reading, end: after + 3 };
    if (!ended && '```'.startsWith(text.slice(after))) return wait;
    return { ...reading, end: start + reading.end };
  },
};

/** Only in a block that says it is a tool call: elsewhere it is code. */
function pythonicLine(text: string, head: string, known: Known, ended: boolean): Reading {
  return /tool_(call|code)/.test(head) ? pythonic(text, 0, known, ended) : no;
}

/** `f(x=1, y="a")`, one or several separated by commas, up to `close` when there is one. */
function pythonic(text: string, from: number, known: Known, ended: boolean, close = ''): Reading {
  const calls: FoundCall[] = [];
  let at = from;
  for (;;) {
    const head = /^([\w.]+)\(/.exec(text.slice(at));
    if (!head) {
      const partial = /^[\w.]*$/.test(text.slice(at)) && known.couldBeTool(text.slice(at));
      return partial && !ended ? wait : calls.length ? { state: 'broken', end: text.length } : no;
    }
    const name = head[1] as string;
    if (!known.isTool(name)) return no;
    const read = readArguments(text, at + head[0].length);
    if (read === 'wait') return ended ? { state: 'broken', end: text.length } : wait;
    if (read === 'no') return { state: 'broken', end: text.length };
    calls.push({ name, input: read.input });
    at = skipBlank(text, read.end);
    if (text[at] === ',' || text[at] === ';') {
      at = skipBlank(text, at + 1);
      continue;
    }
    if (!close) return { state: 'calls', calls, end: read.end };
    if (text[at] === close) return { state: 'calls', calls, end: at + 1 };
    if (at === text.length) return ended ? { state: 'calls', calls, end: at } : wait;
    return { state: 'broken', end: text.length };
  }
}

const pythonWords: Record<string, Json> = { True: true, False: false, None: null };

/** Keyword arguments with Python's literals, which are JSON but for the quotes and three words. */
function readArguments(text: string, from: number): { input: JsonObject; end: number } | 'wait' | 'no' {
  const input: JsonObject = {};
  let at = skipBlank(text, from);
  for (;;) {
    if (at >= text.length) return 'wait';
    if (text[at] === ')') return { input, end: at + 1 };
    const key = /^(\w+)\s*=\s*/.exec(text.slice(at));
    if (!key) return /^\w*\s*$/.test(text.slice(at)) ? 'wait' : 'no';
    const start = at + key[0].length;
    const end = scanValue(text, start);
    if (end === 'wait') return 'wait';
    const literal = text.slice(start, end).trim();
    input[key[1] as string] = Object.hasOwn(pythonWords, literal) ? (pythonWords[literal] as Json) : readJson(literal);
    at = skipBlank(text, end);
    if (text[at] === ',') at = skipBlank(text, at + 1);
  }
}

/** Index of the comma or bracket that ends a Python value. */
function scanValue(text: string, from: number): number | 'wait' {
  let depth = 0;
  let quote = '';
  for (let i = from; i < text.length; i++) {
    const c = text[i] as string;
    if (quote) {
      if (c === '\\') i++;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === "'") quote = c;
    else if ('([{'.includes(c)) depth++;
    else if (depth > 0 && ')]}'.includes(c)) depth--;
    else if (depth === 0 && (c === ',' || c === ')')) return i;
  }
  return 'wait';
}

/** `<function=f><parameter=x>1</parameter></function>` (Qwen3-coder) and `<function=f>{…}</function>` (Llama). */
const functionTag: Syntax = {
  marker: '<function=',
  read(text, _known, ended) {
    const at = text.indexOf('</function>');
    if (at < 0) return ended ? { state: 'broken', end: text.length } : wait;
    const call = functionTagCall(text.slice(0, at));
    return call ? { state: 'calls', calls: [call], end: at + 11 } : { state: 'broken', end: at + 11 };
  },
};

function functionTagCall(text: string): FoundCall | undefined {
  const head = /^\s*<function=([^>\s]+)>/.exec(text);
  if (!head) return undefined;
  const body = text.slice(head[0].length);
  const parameters = [...body.matchAll(/<parameter=([^>\s]+)>\n?([\s\S]*?)\n?(?:<\/parameter>|(?=<parameter=)|$)/g)];
  if (parameters.length === 0) return { name: head[1] as string, input: body.trim() ? readJson(body.trim()) : {} };
  return {
    name: head[1] as string,
    input: Object.fromEntries(parameters.map(([, key, value]) => [key, looseValue(value as string)])),
  };
}

/** `<invoke name="f"><parameter name="x">1</parameter></invoke>`. */
const invoke: Syntax = {
  marker: '<invoke ',
  read(text, _known, ended) {
    const at = text.indexOf('</invoke>');
    if (at < 0) return ended ? { state: 'broken', end: text.length } : wait;
    const name = /^<invoke name="([^"]+)"/.exec(text)?.[1];
    if (!name) return no;
    const parameters = [...text.slice(0, at).matchAll(/<parameter name="([^"]+)"[^>]*>([\s\S]*?)<\/parameter>/g)];
    const input = Object.fromEntries(parameters.map(([, key, value]) => [key, looseValue(value as string)]));
    return { state: 'calls', calls: [{ name, input }], end: at + 9 };
  },
};

/** A mark around calls that says nothing by itself. */
const wrapper = (marker: string): Syntax => ({
  marker,
  read: () => ({ state: 'calls', calls: [], end: marker.length }),
});

/** `>>>f\n{…}` (functionary). */
const functionary: Syntax = {
  marker: '>>>',
  read(text, known, ended) {
    const head = /^>>>([\w.-]*)(\n?)/.exec(text) as RegExpExecArray;
    const name = head[1] as string;
    if (!head[2]) return known.couldBeTool(name) && head[0].length === text.length && !ended ? wait : no;
    if (!known.isTool(name)) return no;
    const end = scanJson(text, head[0].length);
    if (end === 'wait') return ended ? { state: 'broken', end: text.length } : wait;
    if (end === 'no') return { state: 'broken', end: text.length };
    return { state: 'calls', calls: [{ name, input: readJson(text.slice(head[0].length, end)) }], end };
  },
};

/** DeepSeek: the name, then the arguments in a fenced block or as they are, between its own marks. */
const deepSeek: Syntax = {
  marker: '<｜tool▁calls▁begin｜>',
  read(text, _known, ended) {
    const close = '<｜tool▁calls▁end｜>';
    const at = text.indexOf(close);
    if (at < 0 && !ended) return wait;
    const body = at < 0 ? text : text.slice(0, at);
    const calls = [
      ...body.matchAll(
        /<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([^\n<]+?)(?:<｜tool▁sep｜>|\n)(?:```json\n)?([\s\S]*?)(?:\n```)?<｜tool▁call▁end｜>/g,
      ),
    ].map(([, name, json]) => ({ name: (name as string).trim(), input: readJson(json as string) }));
    const end = at < 0 ? text.length : at + close.length;
    return calls.length ? { state: 'calls', calls, end } : { state: 'broken', end };
  },
};

/** Kimi K2. */
const kimi: Syntax = {
  marker: '<|tool_calls_section_begin|>',
  read(text, _known, ended) {
    const close = '<|tool_calls_section_end|>';
    const at = text.indexOf(close);
    if (at < 0 && !ended) return wait;
    const body = at < 0 ? text : text.slice(0, at);
    const calls = [
      ...body.matchAll(
        /<\|tool_call_begin\|>\s*([^\s<]+)\s*<\|tool_call_argument_begin\|>([\s\S]*?)<\|tool_call_end\|>/g,
      ),
    ].map(([, name, json]) => ({ name: name as string, input: readJson((json as string).trim()) }));
    const end = at < 0 ? text.length : at + close.length;
    return calls.length ? { state: 'calls', calls, end } : { state: 'broken', end };
  },
};

/** Longer markers come first where one begins like another. */
export const syntaxes: readonly Syntax[] = [
  tagged('<tool_call>', '</tool_call>'),
  tagged('<tool_calls>', '</tool_calls>'),
  tagged('<function_call>', '</function_call>'),
  tagged('<TOOLCALL>', '</TOOLCALL>'),
  tagged('<|tool_call_start|>', '<|tool_call_end|>'),
  tagged('<|tool_call|>', '<|/tool_call|>'),
  prefixed('<|python_tag|>'),
  prefixed('[TOOL_CALLS]'),
  prefixed('functools'),
  functionTag,
  wrapper('<function_calls>'),
  wrapper('</function_calls>'),
  invoke,
  functionary,
  deepSeek,
  kimi,
  fence,
  bare,
  list,
];

/** One JSON value, then more of them directly after: `{…}\n{…}`. */
function several(text: string, start: number, end: number, known: Known, ended: boolean): Reading {
  const first = callsOf(text.slice(start, end), end);
  if (first.state !== 'calls') return first;
  const next = skipBlank(text, end);
  const joined = text[next] === ';' || text[next] === ',' ? skipBlank(text, next + 1) : next;
  if (text[joined] !== '{') return first;
  const more = bare.read(text.slice(joined), known, ended);
  if (more.state === 'calls') return { state: 'calls', calls: [...first.calls, ...more.calls], end: joined + more.end };
  return first;
}

/** Calls in JSON text, or in the XML that stands for it. */
function callsOf(text: string, end: number, mustAll = false): Reading {
  const trimmed = text.trim();
  if (trimmed.startsWith('<function=')) {
    const calls = trimmed
      .split('</function>')
      .map(functionTagCall)
      .filter((call) => call !== undefined);
    return calls.length ? { state: 'calls', calls, end } : { state: 'broken', end };
  }
  const xml = argumentTags(trimmed);
  if (xml) return { state: 'calls', calls: [xml], end };
  const values = jsonValues(trimmed);
  const calls = values
    .flat()
    .map(callOf)
    .filter((call) => call !== undefined);
  if (calls.length === 0 || (mustAll && calls.length < values.flat().length)) return { state: 'broken', end };
  return { state: 'calls', calls, end };
}

/** `f\n<arg_key>x</arg_key>\n<arg_value>1</arg_value>` (GLM). */
function argumentTags(text: string): FoundCall | undefined {
  const name = /^([\w.-]+)\s*(?=<arg_key>|$)/.exec(text)?.[1];
  if (!name) return undefined;
  const pairs = [...text.matchAll(/<arg_key>([\s\S]*?)<\/arg_key>\s*<arg_value>([\s\S]*?)<\/arg_value>/g)];
  return {
    name,
    input: Object.fromEntries(pairs.map(([, key, value]) => [(key as string).trim(), looseValue(value as string)])),
  };
}

function jsonValues(text: string): Json[] {
  const out: Json[] = [];
  let at = skipBlank(text, 0);
  while (at < text.length) {
    const end = scanJson(text, at);
    if (typeof end !== 'number') {
      const repaired = readJson(text.slice(at));
      if (typeof repaired === 'object') out.push(repaired);
      break;
    }
    out.push(readJson(text.slice(at, end)));
    at = skipBlank(text, end);
    if (text[at] === ',' || text[at] === ';') at = skipBlank(text, at + 1);
  }
  return out;
}

/** The fields in which families put name and arguments. */
function callOf(value: Json): FoundCall | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  for (const wrapper of ['tool_call', 'function_call', 'function']) {
    const inner = value[wrapper];
    if (typeof inner === 'object' && inner !== null && !Array.isArray(inner)) return callOf(inner);
  }
  const name = nameKeys
    .split('|')
    .map((key) => value[key])
    .find((item) => typeof item === 'string');
  if (typeof name !== 'string') return undefined;
  const input = ['arguments', 'parameters', 'args', 'input', 'params', 'kwargs']
    .map((key) => value[key])
    .find((item) => item !== undefined);
  return { name, input: input ?? {} };
}

/** A value in XML: JSON where it is, else the text. */
function looseValue(text: string): Json {
  try {
    return JSON.parse(text.trim());
  } catch {
    return text;
  }
}

/** JSON text parsed, mended where needed; the text itself where nothing helps. */
function readJson(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    try {
      return JSON.parse(jsonrepair(text));
    } catch {
      return text;
    }
  }
}

function skipBlank(text: string, from: number): number {
  let at = from;
  while (at < text.length && /\s/.test(text[at] as string)) at++;
  return at;
}

/** Index after the object or list that begins at `from`; by brackets and quotes alone, so that broken JSON is found too. */
export function scanJson(text: string, from: number): number | 'wait' | 'no' {
  if (from >= text.length) return 'wait';
  if (text[from] !== '{' && text[from] !== '[') return 'no';
  let depth = 0;
  let inString = false;
  for (let i = from; i < text.length; i++) {
    const c = text[i];
    if (inString) {
      if (c === '\\') i++;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === '{' || c === '[') depth++;
    else if ((c === '}' || c === ']') && --depth === 0) return i + 1;
  }
  return 'wait';
}
