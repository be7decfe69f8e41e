/** Calls that a grammar has forced, read while they are written: the arguments stream on as they come. */

export type CallFragment = { kind: 'start'; name: string } | { kind: 'input'; json: string } | { kind: 'done' };

export type CallReader = { push(text: string): CallFragment[] };

const head = /^[[,\s]*\{"name": ("(?:[^"\\]|\\.)*"), "arguments": /;

/** Reads what `callsConstraint` lets through, and nothing else. */
export function createCallReader(): CallReader {
  let held = '';
  let inside = false;
  let depth = 0;
  let inString = false;
  let escaped = false;

  /** Index after the end of the arguments, or -1. */
  const scan = (text: string): number => {
    for (let i = 0; i < text.length; i++) {
      const c = text[i];
      if (escaped) escaped = false;
      else if (inString) {
        if (c === '\\') escaped = true;
        else if (c === '"') inString = false;
      } else if (c === '"') inString = true;
      else if (c === '{' || c === '[') depth++;
      else if ((c === '}' || c === ']') && --depth === 0) return i + 1;
    }
    return -1;
  };

  return {
    push(text) {
      const out: CallFragment[] = [];
      held += text;
      for (;;) {
        if (!inside) {
          const match = head.exec(held);
          if (!match) return out;
          out.push({ kind: 'start', name: JSON.parse(match[1] as string) });
          held = held.slice(match[0].length);
          inside = true;
        }
        const end = scan(held);
        const json = end < 0 ? held : held.slice(0, end);
        if (json) out.push({ kind: 'input', json });
        held = end < 0 ? '' : held.slice(end).replace(/^\}/, '');
        if (end < 0) return out;
        out.push({ kind: 'done' });
        inside = false;
      }
    },
  };
}
