/** Tool calls in what a model says, across any cut of the stream: nothing that may be part of a call leaves as text. */
import { type FoundCall, type Known, type Syntax, syntaxes } from './tool-syntax.ts';

export type Found =
  | { kind: 'text'; text: string }
  | { kind: 'calls'; calls: FoundCall[] }
  /** It began as a call and could not be read. */
  | { kind: 'broken'; text: string };

export type ToolFinder = {
  push(text: string): Found[];
  /** The model has finished: what is held back is judged as it stands. */
  end(): Found[];
};

/**
 * `names` are the tools that may be called. Calls of others are found where a mark says that they are calls, and where the
 * answer begins with one, unless it is to be a `document`.
 */
export function createToolFinder(names: readonly string[], document = false): ToolFinder {
  const plain = (name: string) => name.replace(/^functions?\./, '').toLowerCase();
  const lower = names.map((name) => name.toLowerCase());
  const known: Known = {
    isTool: (name) => lower.includes(plain(name)),
    couldBeTool: (prefix) =>
      lower.some((name) => name.startsWith(plain(prefix)) || `functions.${name}`.startsWith(prefix.toLowerCase())),
    get opening() {
      return opening;
    },
  };
  let opening = !document;
  let held = '';
  let found = false;

  const step = (ended: boolean): Found[] => {
    const out: Found[] = [];
    let from = 0;
    const say = (text: string) => {
      // White space around calls is not text.
      if (text === '' || (found && text.trim() === '')) return;
      opening &&= text.trim() === '';
      const last = out.at(-1);
      if (last?.kind === 'text') last.text += text;
      else out.push({ kind: 'text', text });
    };
    for (let at = nextMarker(held, 0); at >= 0; at = nextMarker(held, at)) {
      const rest = held.slice(at);
      const partial = !ended && syntaxes.some(({ marker }) => marker.length > rest.length && marker.startsWith(rest));
      opening &&= held.slice(from, at).trim() === '';
      const syntax: Syntax | undefined = syntaxes.find(({ marker }) => rest.startsWith(marker));
      const reading = syntax?.read(rest, known, ended) ?? { state: 'no' as const };
      if (partial || reading.state === 'wait') {
        // Blanks before a possible call wait with it.
        const before = held.slice(from, at);
        const kept = before.trimEnd().length;
        say(before.slice(0, kept));
        held = held.slice(from + kept);
        return out;
      }
      if (reading.state === 'no') {
        at++;
        continue;
      }
      say(held.slice(from, at).trimEnd());
      if (reading.state === 'calls') {
        out.push({ kind: 'calls', calls: reading.calls });
        found = true;
      } else out.push({ kind: 'broken', text: rest.slice(0, reading.end) });
      at += reading.end;
      from = at;
    }
    const tail = held.slice(from);
    // Blanks at the end may turn out to stand before a call.
    const kept = ended ? tail.length : tail.trimEnd().length;
    say(ended ? tail : tail.slice(0, kept));
    held = tail.slice(kept);
    return out;
  };

  return {
    push(text) {
      held += text;
      return step(false);
    },
    end: () => step(true),
  };
}

const firsts = new Set(syntaxes.map(({ marker }) => marker[0] as string));

function nextMarker(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    if (!firsts.has(text[i] as string)) continue;
    const rest = text.slice(i, i + 32);
    if (syntaxes.some(({ marker }) => rest.startsWith(marker) || marker.startsWith(rest))) return i;
  }
  return -1;
}
