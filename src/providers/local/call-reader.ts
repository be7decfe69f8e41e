/** Calls that a grammar has forced, read while they are written: the arguments stream on as they come. */
import { createJsonScanner } from './tool-syntax/json-text.ts';

export type CallFragment = { kind: 'start'; name: string } | { kind: 'input'; json: string } | { kind: 'done' };

export type CallReader = { push(text: string): CallFragment[] };

const head = /^[[,\s]*\{"name": ("(?:[^"\\]|\\.)*"), "arguments": /;

/** Reads what `callsConstraint` lets through, and nothing else. */
export function createCallReader(): CallReader {
  const argumentsEnd = createJsonScanner();
  let held = '';
  let inside = false;

  const readHead = (): CallFragment[] => {
    const match = head.exec(held);
    if (!match) return [];
    held = held.slice(match[0].length);
    inside = true;
    return [{ kind: 'start', name: JSON.parse(match[1] as string) }];
  };

  const readArguments = (): CallFragment[] => {
    const end = argumentsEnd(held, 0);
    const json = held.slice(0, end);
    held = end === undefined ? '' : held.slice(end).replace(/^\}/, '');
    inside = end === undefined;
    const fragments: CallFragment[] = json ? [{ kind: 'input', json }] : [];
    return inside ? fragments : [...fragments, { kind: 'done' }];
  };

  return {
    push(text) {
      held += text;
      const out: CallFragment[] = [];
      for (;;) {
        const fragments = inside ? readArguments() : readHead();
        if (fragments.length === 0) return out;
        out.push(...fragments);
      }
    },
  };
}
