/** JSON between marks or after one: Hermes, Qwen, Mistral, Llama, LFM, Phi, Nemotron. */
import { several } from './bare-json.ts';
import { callsOf } from './call-objects.ts';
import { readJson, scanJson, skipBlank } from './json-text.ts';
import { pythonic } from './python-calls.ts';
import { broken, type Known, type Reading, type Syntax, undecided, unfinished } from './reading.ts';

/** Between an opening and a closing mark: JSON, one call or many, or XML within. */
export const tagged = (marker: string, close: string): Syntax => ({
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
      return unfinished(text, ended);
    }
    return callsOf(text.slice(marker.length, at), at + close.length);
  },
});

/** A marker, then one JSON value: `[TOOL_CALLS][…]`. */
export const prefixed = (marker: string): Syntax => ({
  marker,
  read(text, known, ended) {
    const start = skipBlank(text, marker.length);
    if (start === text.length) return unfinished(text, ended);
    if (text[start] !== '{' && text[start] !== '[') return named(text, start, known, ended);
    const end = scanJson(text, start);
    if (end === 'wait') return unfinished(text, ended);
    return end === 'no' ? broken(text.length) : several(text, start, end, known, ended);
  },
});

/** `name{…}` or `name[ARGS]{…}` after a marker, as newer Mistral models write. */
function named(text: string, start: number, known: Known, ended: boolean): Reading {
  const match = /^([\w.-]+)\s*(?:\[CALL_ID\][\w-]*\s*)?(?:\[ARGS\]\s*)?/.exec(text.slice(start));
  const name = match?.[1] ?? '';
  const open = start + (match?.[0].length ?? 0);
  if (open === text.length || /^\[[A-Z_]*\]?[\w-]*$/.test(text.slice(open))) return undecided(ended);
  if (text[open] !== '{' || !known.isTool(name)) return pythonic(text, start, known, ended);
  const end = scanJson(text, open);
  if (end === 'wait') return unfinished(text, ended);
  if (end === 'no') return broken(text.length);
  return { state: 'calls', calls: [{ name, input: readJson(text.slice(open, end)) }], end };
}
