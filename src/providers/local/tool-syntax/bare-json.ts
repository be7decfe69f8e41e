/** Calls as JSON without a mark of their own, or in a fenced block. */
import { callsOf, nameKeys } from './call-objects.ts';
import { judgeInvented } from './invented-call.ts';
import { scanJson, skipBlank, skipSeparator } from './json-text.ts';
import { pythonic } from './python-calls.ts';
import { broken, type Known, no, type Reading, type Syntax, undecided, unfinished, wait } from './reading.ts';

/**
 * `{"name": "f", "arguments": {…}}` without any mark, the commonest slip; later than at the beginning only when the
 * name is a tool's.
 */
export const bare: Syntax = {
  marker: '{',
  read(text, known, ended) {
    const judged = judgeBare(text, known);
    if (judged === 'no') return no;
    if (judged === 'wait') return undecided(ended);
    const end = scanJson(text, 0);
    if (end === 'wait') return unfinished(text, ended);
    return end === 'no' ? no : several(text, 0, end, known, ended);
  },
};

const otherKeys = 'type|id|arguments|parameters|args|input|tool_call|function_call|index';

function judgeBare(text: string, known: Known): 'call' | 'wait' | 'no' {
  const judged = judgeKnown(text, known);
  return judged === 'no' && known.opening ? judgeInvented(text) : judged;
}

/** Decides as early as it can, so that other JSON is not held back. */
function judgeKnown(text: string, known: Known): 'call' | 'wait' | 'no' {
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
  if (`|${nameKeys}|`.includes(`|${key}|`) && rest[0] === '"') return judgeName(rest, known);
  // The name comes later: hold until it shows.
  const later = new RegExp(`"(?:${nameKeys})"\\s*:\\s*"([^"]*)"`).exec(rest);
  if (later) return known.isTool(later[1] as string) ? 'call' : 'no';
  return scanJson(text, 0) === 'wait' ? 'wait' : 'no';
}

/** `text` begins with the quote before the name. */
function judgeName(text: string, known: Known): 'call' | 'wait' | 'no' {
  const [, name = '', quoteAfter] = /^"([^"]*)("?)/.exec(text) ?? [];
  if (quoteAfter) return known.isTool(name) ? 'call' : 'no';
  return known.couldBeTool(name) ? 'wait' : 'no';
}

/** One JSON value, then more of them directly after: `{…}\n{…}`. */
export function several(text: string, start: number, end: number, known: Known, ended: boolean): Reading {
  const first = callsOf(text.slice(start, end), end);
  if (first.state !== 'calls') return first;
  const next = skipSeparator(text, end);
  if (text[next] !== '{') return first;
  const more = bare.read(text.slice(next), known, ended);
  if (more.state === 'calls') return { state: 'calls', calls: [...first.calls, ...more.calls], end: next + more.end };
  return first;
}

/** `[{"name": …}, …]` or `[f(x=1), g()]`. */
export const list: Syntax = {
  marker: '[',
  read(text, known, ended) {
    const start = skipBlank(text, 1);
    if (start === text.length) return undecided(ended);
    if (text[start] === '{') return listOfObjects(text, start, known, ended);
    const name = /^[\w.]*/.exec(text.slice(start))?.[0] ?? '';
    if (start + name.length === text.length) return known.couldBeTool(name) && !ended ? wait : no;
    if (!known.isTool(name)) return no;
    return pythonic(text, start, known, ended, ']');
  },
};

function listOfObjects(text: string, start: number, known: Known, ended: boolean): Reading {
  const judged = judgeBare(text.slice(start), known);
  if (judged === 'no') return no;
  if (judged === 'wait') return undecided(ended);
  const end = scanJson(text, 0);
  if (end === 'wait') return unfinished(text, ended);
  return end === 'no' ? no : callsOf(text.slice(0, end), end, true);
}

/** A block that may hold calls, or anything else: fenced, or in a tag. */
export const block = (marker: string, close: string): Syntax => ({
  marker,
  read(text, known, ended) {
    const head = (/^```[\w-]*[ \t]*\r?\n?/.exec(text) ?? [marker])[0];
    const start = skipBlank(text, head.length);
    if (start === text.length) return undecided(ended);
    const reading = readBlock(text.slice(start), head, known, ended);
    if (reading.state !== 'calls') return reading.state === 'broken' ? broken(start + reading.end) : reading;
    const after = skipBlank(text, start + reading.end);
    if (text.startsWith(close, after)) return { ...reading, end: after + close.length };
    if (!ended && close.startsWith(text.slice(after))) return wait;
    return { ...reading, end: start + reading.end };
  },
});

function readBlock(body: string, head: string, known: Known, ended: boolean): Reading {
  if (body[0] === '{') return bare.read(body, known, ended);
  if (body[0] === '[') return list.read(body, known, ended);
  // Only in a block that says it is a tool call: elsewhere it is code.
  return /tool_(call|code)/.test(head) ? pythonic(body, 0, known, ended) : no;
}
