/** JSON as models write it: cut off, with white space around, or slightly broken. */
import { jsonrepair } from 'jsonrepair';
import type { Json } from '../../../core/json.ts';

/** JSON text parsed, mended where needed; the text itself where nothing helps. */
export function readJson(text: string): Json {
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

/** A value in XML: JSON where it is, else the text. */
export function looseValue(text: string): Json {
  try {
    return JSON.parse(text.trim());
  } catch {
    return text;
  }
}

/** All objects and lists that follow one another, separated or not. */
export function jsonValues(text: string): Json[] {
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
    at = skipSeparator(text, end);
  }
  return out;
}

export function skipBlank(text: string, from: number): number {
  let at = from;
  while (at < text.length && /\s/.test(text[at] as string)) at++;
  return at;
}

/** Skips the comma or semicolon between two values, with the white space around it. */
export function skipSeparator(text: string, from: number): number {
  const at = skipBlank(text, from);
  return text[at] === ',' || text[at] === ';' ? skipBlank(text, at + 1) : at;
}

/** Index after the object or list that begins at `from`. */
export function scanJson(text: string, from: number): number | 'wait' | 'no' {
  if (from >= text.length) return 'wait';
  if (text[from] !== '{' && text[from] !== '[') return 'no';
  return createJsonScanner()(text, from) ?? 'wait';
}

/**
 * Finds where an object or list ends, by brackets and quotes alone, so that broken JSON has an end too: the index after it
 * in the text of this call, or undefined when it goes on; then the next call goes on with it.
 */
export function createJsonScanner(): (text: string, from: number) => number | undefined {
  let depth = 0;
  let inString = false;
  let escaped = false;

  const endsWith = (c: string): boolean => {
    if (inString) {
      if (escaped) escaped = false;
      else if (c === '\\') escaped = true;
      else if (c === '"') inString = false;
      return false;
    }
    if (c === '"') inString = true;
    if (c === '{' || c === '[') depth++;
    return (c === '}' || c === ']') && --depth === 0;
  };

  return (text, from) => {
    for (let i = from; i < text.length; i++) if (endsWith(text[i] as string)) return i + 1;
    return undefined;
  };
}
