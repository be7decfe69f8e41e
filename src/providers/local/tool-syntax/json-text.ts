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
    at = skipBlank(text, end);
    if (text[at] === ',' || text[at] === ';') at = skipBlank(text, at + 1);
  }
  return out;
}

export function skipBlank(text: string, from: number): number {
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
