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

const openings = [...tags.keys()];

/** The opening tag at the end of a rendered prompt, when the template has begun a thought for the model. */
export function openedByPrompt(prompt: string): string | undefined {
  const tail = prompt.slice(-40).trimEnd();
  return openings.find((tag) => tail.endsWith(tag));
}

/** Thoughts are looked for only at the beginning of the answer: later, a tag is a word like any other. */
export function createThinkSplitter(opened?: string): ThinkSplitter {
  let close = opened ? tags.get(opened) : undefined;
  let state: 'before' | 'thinking' | 'after' | 'saying' = close ? 'thinking' : 'before';
  let held = '';
  let begun = false;

  /** The opening tag, or an answer without a thought. */
  const before = (ended: boolean): Said[] => {
    const start = held.trimStart();
    const open = openings.find((tag) => start.startsWith(tag));
    if (open) {
      close = tags.get(open);
      held = start.slice(open.length);
      state = 'thinking';
      return thinking(ended);
    }
    const mayBecomeTag = start === '' || openings.some((tag) => tag.startsWith(start));
    return mayBecomeTag && !ended ? [] : saying();
  };

  const thinking = (ended: boolean): Said[] => {
    const tag = close as string;
    if (!begun) held = held.trimStart();
    const at = held.indexOf(tag);
    if (at >= 0) {
      const last = held.slice(0, at).trimEnd();
      held = held.slice(at + tag.length);
      state = 'after';
      return [...said('reasoning', last), ...after()];
    }
    // White space at the end belongs to the tag that may follow.
    const thought = held.slice(0, ended ? undefined : held.length - overlap(held, tag)).trimEnd();
    held = ended ? '' : held.slice(thought.length);
    begun ||= thought !== '';
    return said('reasoning', thought);
  };

  /** White space between the thought and the answer. */
  const after = (): Said[] => {
    held = held.trimStart();
    return held ? saying() : [];
  };

  const saying = (): Said[] => {
    const text = held;
    held = '';
    state = 'saying';
    return said('text', text);
  };

  const steps = { before, thinking, after, saying };

  return {
    push(text) {
      // The common case, once the answer has begun: nothing to look for.
      if (state === 'saying') return [{ kind: 'text', text }];
      held += text;
      return steps[state](false);
    },
    end: () => steps[state](true),
    get closing() {
      return state === 'thinking' ? close : undefined;
    },
  };
}

const said = (kind: Said['kind'], text: string): Said[] => (text ? [{ kind, text }] : []);

/** Characters at the end of `text` that may be the beginning of `tag`. */
function overlap(text: string, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length--)
    if (text.endsWith(tag.slice(0, length))) return length;
  return 0;
}
