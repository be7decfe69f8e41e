/** The thought that is being written: one part, which opens, grows and closes, and a seal with which it can come back. */
import type { ReasoningPart } from '../../core/chat.ts';
import type { Output } from './output.ts';
import type { ItemStatus, ReasoningItem } from './wire.ts';

export type ThoughtOptions = {
  /** The client asked for a summary of the thoughts: they are shown as one. */
  summary?: boolean;
  /** Seals a finished thought, so that it can come back with a later request. */
  seal?: (thought: ReasoningPart) => string;
};

type OpenThought = { id: string; index: number; text: string };
/** What must come back with a thought, and to whom. */
type ThoughtEnd = Omit<ReasoningPart, 'type' | 'text'>;

export function createThoughtWriter(output: Output, { summary = false, seal }: ThoughtOptions) {
  const { emit } = output;
  const form = summary ? asSummary : asContent;
  let open: OpenThought | undefined;

  function begin(): OpenThought {
    const id = output.newId('rs');
    const index = output.add({
      type: 'reasoning',
      id,
      status: 'in_progress',
      summary: [],
      ...(!summary && { content: [] }),
    });
    const thought = { id, index, text: '' };
    emit(form.partAdded, { ...placeOf(thought), part: { type: form.part, text: '' } });
    return thought;
  }

  const placeOf = ({ id, index }: OpenThought) => ({ item_id: id, output_index: index, ...form.place });

  const itemOf = ({ id, text }: OpenThought, status: ItemStatus): ReasoningItem => ({
    type: 'reasoning',
    id,
    status,
    summary: summary ? [{ type: 'summary_text', text }] : [],
    ...(!summary && { content: [{ type: 'reasoning_text', text }] }),
  });

  function close(status: ItemStatus, end: ThoughtEnd = {}) {
    if (!open) return;
    const { index, text } = open;
    const place = placeOf(open);
    emit(form.textDone, { ...place, text });
    emit(form.partDone, { ...place, part: { type: form.part, text } });
    const item = itemOf(open, status);
    output.finish(index, seal ? { ...item, encrypted_content: seal({ type: 'reasoning', text, ...end }) } : item);
    open = undefined;
  }

  return {
    isOpen: () => open !== undefined,

    think(delta: string) {
      open ??= begin();
      open.text += delta;
      emit(form.textDelta, { ...placeOf(open), delta });
    },

    /** The provider says that the thought is whole; one that it keeps to itself was never begun. */
    end(end: ThoughtEnd) {
      open ??= begin();
      close('completed', end);
    },

    close: (status: ItemStatus) => close(status),

    /** Left as it is: no event says so, and it is not sealed. */
    interrupt() {
      if (open) output.items[open.index] = itemOf(open, 'incomplete');
      open = undefined;
    },
  };
}

/** A thought is told the same way in both forms, under other names. */
const asSummary = {
  part: 'summary_text',
  place: { summary_index: 0 },
  partAdded: 'response.reasoning_summary_part.added',
  textDelta: 'response.reasoning_summary_text.delta',
  textDone: 'response.reasoning_summary_text.done',
  partDone: 'response.reasoning_summary_part.done',
};
const asContent = {
  part: 'reasoning_text',
  place: { content_index: 0 },
  partAdded: 'response.content_part.added',
  textDelta: 'response.reasoning_text.delta',
  textDone: 'response.reasoning_text.done',
  partDone: 'response.content_part.done',
};
