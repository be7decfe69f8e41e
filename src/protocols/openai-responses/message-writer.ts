/** The message that is being written. Text and refusals are its parts; each opens, grows and closes. Citations lie on text. */
import type { Citation, TokenLogprob } from '../../core/chat.ts';
import type { Json } from '../../core/json.ts';
import { codePoints, encodeUrlCitation } from '../citations.ts';
import type { Output } from './output.ts';
import type { Item, ItemStatus, OutputContent, WireLogprob } from './wire.ts';

type OpenMessage = { id: string; index: number; content: OutputContent[] };

export function createMessageWriter(output: Output) {
  const { emit } = output;
  let open: OpenMessage | undefined;
  /** Characters of text in the parts that are closed: citations count from there. */
  let before = 0;
  /** Those of pictures' addresses in the open part: citations do not count them. */
  let drawn = 0;
  /** Sources named while no text was being said. */
  let held: Citation[] = [];

  function begin(): OpenMessage {
    const id = output.newId('msg');
    const index = output.add({ type: 'message', id, status: 'in_progress', role: 'assistant', content: [] });
    return { id, index, content: [] };
  }

  /** `shown` is the part once more: what an event says must not grow with it. */
  function addPart(message: OpenMessage, part: OutputContent, shown: OutputContent) {
    closePart(message);
    message.content.push(part);
    emit('response.content_part.added', { ...placeOf(message), part: shown });
  }

  function closePart(message: OpenMessage) {
    const part = message.content.at(-1);
    if (!part) return;
    const place = placeOf(message);
    if (part.type === 'output_text') {
      before += codePoints(part.text) - drawn;
      drawn = 0;
      emit('response.output_text.done', { ...place, text: part.text, logprobs: part.logprobs });
    } else emit('response.refusal.done', { ...place, refusal: part.refusal });
    emit('response.content_part.done', { ...place, part });
  }

  function say(delta: string, given: TokenLogprob[] = []) {
    open ??= begin();
    let part = open.content.at(-1);
    if (part?.type !== 'output_text') {
      part = emptyText();
      addPart(open, part, emptyText());
      citeHeld();
    }
    const logprobs = given.map(encodeLogprob);
    part.text += delta;
    part.logprobs.push(...logprobs);
    emit('response.output_text.delta', { ...placeOf(open), delta, logprobs });
  }

  function cite(citation: Citation) {
    if (open?.content.at(-1)?.type !== 'output_text') {
      held.push(citation);
      return;
    }
    const fields = encodeUrlCitation(citation, before - drawn);
    if (fields) annotate({ type: 'url_citation', ...fields });
  }

  function citeHeld() {
    const waiting = held;
    held = [];
    for (const citation of waiting) cite(citation);
  }

  function annotate(annotation: Json) {
    const part = open?.content.at(-1);
    if (!open || part?.type !== 'output_text') return;
    const annotation_index = part.annotations.push(annotation) - 1;
    emit('response.output_text.annotation.added', { ...placeOf(open), annotation_index, annotation });
  }

  return {
    isOpen: () => open !== undefined,
    say,

    refuse(delta: string) {
      open ??= begin();
      let part = open.content.at(-1);
      if (part?.type !== 'refusal') {
        part = { type: 'refusal', refusal: '' };
        addPart(open, part, { ...part });
      }
      part.refusal += delta;
      emit('response.refusal.delta', { ...placeOf(open), delta });
    },

    /** Text that names a picture: none that the model said, so citations do not count it. */
    draw(text: string) {
      say(text);
      drawn += codePoints(text);
    },

    /** A source of the text just said; of the text to come where none was. */
    cite,

    /** A note on the text just said, already as this protocol has it. */
    annotate,

    close(status: ItemStatus) {
      if (!open) return;
      closePart(open);
      output.finish(open.index, itemOf(open, status));
      open = undefined;
    },

    /** Left as it is: no event says so. */
    interrupt() {
      if (open) output.items[open.index] = itemOf(open, 'incomplete');
      open = undefined;
    },
  };
}

const placeOf = ({ id, index, content }: OpenMessage) => ({
  item_id: id,
  output_index: index,
  content_index: content.length - 1,
});

const itemOf = ({ id, content }: OpenMessage, status: ItemStatus): Item => ({
  type: 'message',
  id,
  status,
  role: 'assistant',
  content,
});

const emptyText = () => ({
  type: 'output_text' as const,
  text: '',
  annotations: [] as Json[],
  logprobs: [] as WireLogprob[],
});

function encodeLogprob({ token, logprob, bytes, top }: TokenLogprob): WireLogprob {
  return {
    token,
    logprob,
    bytes: bytes ?? [],
    top_logprobs: top.map((entry) => ({ token: entry.token, logprob: entry.logprob, bytes: entry.bytes ?? [] })),
  };
}
