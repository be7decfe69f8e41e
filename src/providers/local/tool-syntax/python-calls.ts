/** Calls as Python writes them: Llama, LFM and code models. */
import type { Json, JsonObject } from '../../../core/json.ts';
import { readJson, skipBlank, skipSeparator } from './json-text.ts';
import { broken, type FoundCall, type Known, no, type Reading, unfinished, wait } from './reading.ts';

/** `f(x=1, y="a")`, one or several separated by commas, up to `close` when there is one. */
export function pythonic(text: string, from: number, known: Known, ended: boolean, close = ''): Reading {
  const calls: FoundCall[] = [];
  let at = from;
  for (;;) {
    const head = /^([\w.]+)\(/.exec(text.slice(at));
    if (!head) {
      if (!ended && couldBegin(text.slice(at), known)) return wait;
      return calls.length ? broken(text.length) : no;
    }
    const name = head[1] as string;
    if (!known.isTool(name)) return no;
    const read = readArguments(text, at + head[0].length);
    if (read === 'wait') return unfinished(text, ended);
    if (read === 'no') return broken(text.length);
    calls.push({ name, input: read.input });
    at = skipSeparator(text, read.end);
    if (at === skipBlank(text, read.end)) return closedBy(close, calls, text, read.end, ended);
  }
}

/** The calls end at `end`, and then comes `close`. */
function closedBy(close: string, calls: FoundCall[], text: string, end: number, ended: boolean): Reading {
  if (!close) return { state: 'calls', calls, end };
  const at = skipBlank(text, end);
  if (text[at] === close) return { state: 'calls', calls, end: at + 1 };
  if (at < text.length) return broken(text.length);
  return ended ? { state: 'calls', calls, end: at } : wait;
}

const couldBegin = (text: string, known: Known) => /^[\w.]*$/.test(text) && known.couldBeTool(text);

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
  for (let i = from; i < text.length; i++) {
    const c = text[i] as string;
    if (c === '"' || c === "'") i = closingQuote(text, i);
    else if ('([{'.includes(c)) depth++;
    else if (depth === 0 && (c === ',' || c === ')')) return i;
    else if (depth > 0 && ')]}'.includes(c)) depth--;
  }
  return 'wait';
}

/** Index of the quote that closes the one at `open`, or the end of the text. */
function closingQuote(text: string, open: number): number {
  for (let i = open + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === text[open]) return i;
  }
  return text.length;
}
