/** Thoughts that a model writes between tags, told from what it says, across any cut of the stream. */

export type Said = { kind: 'text' | 'reasoning'; text: string };

export type ThinkSplitter = {
  push(text: string): Said[];
  /** What was held back because it might have become a tag. */
  end(): Said[];
  /** The tag that would end the thought that is being written. */
  readonly closing: string | undefined;
};

/** Tags that open models write. Text after the closing one begins on a new line, which is not part of the answer. */
const tags = new Map([
  ['<think>', '</think>'],
  ['<thinking>', '</thinking>'],
  ['<thought>', '</thought>'],
  ['[THINK]', '[/THINK]'],
  ['<|START_THINKING|>', '<|END_THINKING|>'],
  ['<seed:think>', '</seed:think>'],
]);

/** The opening tag at the end of a rendered prompt, when the template has begun a thought for the model. */
export function openedByPrompt(prompt: string): string | undefined {
  const tail = prompt.slice(-40).trimEnd();
  return [...tags.keys()].find((tag) => tail.endsWith(tag));
}

/** Thoughts are looked for only at the beginning of the answer: later, a tag is a word like any other. */
export function createThinkSplitter(opened?: string): ThinkSplitter {
  let close = opened ? tags.get(opened) : undefined;
  let state: 'before' | 'thinking' | 'after' | 'saying' = close ? 'thinking' : 'before';
  let held = '';
  let begun = false;

  const thinking = (ended: boolean): Said[] => {
    const tag = close as string;
    if (!begun) held = held.trimStart();
    const at = held.indexOf(tag);
    const cut = at >= 0 ? at : ended ? held.length : held.length - overlap(held, tag);
    let thought = held.slice(0, cut);
    // White space at the end of a thought belongs to the tag.
    const keep = at < 0 && !ended ? thought.trimEnd().length : thought.trimEnd().length;
    const rest = at >= 0 || ended ? '' : thought.slice(keep);
    thought = thought.slice(0, keep);
    held = at >= 0 ? held.slice(at + tag.length) : rest + held.slice(cut);
    if (ended && at < 0) held = '';
    if (thought) begun = true;
    const said: Said[] = thought ? [{ kind: 'reasoning', text: thought }] : [];
    if (at >= 0) {
      state = 'after';
      return [...said, ...step(ended)];
    }
    return said;
  };

  const step = (ended: boolean): Said[] => {
    if (state === 'thinking') return thinking(ended);
    if (state === 'after') {
      held = held.trimStart();
      if (held) state = 'saying';
    }
    if (state === 'before') {
      const start = held.trimStart();
      const open = [...tags.keys()].find((tag) => start.startsWith(tag));
      if (open) {
        close = tags.get(open) as string;
        state = 'thinking';
        held = start.slice(open.length);
        return thinking(ended);
      }
      if (!ended && (start === '' || [...tags.keys()].some((tag) => tag.startsWith(start)))) return [];
      state = 'saying';
    }
    const text = held;
    held = '';
    return text ? [{ kind: 'text', text }] : [];
  };

  return {
    push(text) {
      // The common case, once the answer has begun: nothing to look for.
      if (state === 'saying') return [{ kind: 'text', text }];
      held += text;
      return step(false);
    },
    end: () => step(true),
    get closing() {
      return state === 'thinking' ? close : undefined;
    },
  };
}

/** Characters at the end of `text` that may be the beginning of `tag`. */
function overlap(text: string, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length--)
    if (text.endsWith(tag.slice(0, length))) return length;
  return 0;
}
