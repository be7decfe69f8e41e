/**
 * Neutral events → the stream events of the Responses API, and the response object that they add up to. Pure: ids and times
 * come from outside.
 * Order of events: https://www.openresponses.org/specification (items are state machines, items are streamable).
 */
import type { ChatEvent, Citation, ReasoningPart, Source, TokenLogprob } from '../../core/chat.ts';
import type { ViaductError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { codePoints, encodeUrlCitation } from '../citations.ts';
import { pictureText } from '../picture.ts';
import { decodeUsage, encodeFailure, encodeUsage } from './resource.ts';
import { decodeFailure } from './stream-decoder.ts';
import type {
  CustomToolCallItem,
  FunctionCallItem,
  Item,
  ItemStatus,
  NewId,
  OutputContent,
  ReasoningItem,
  ResponseEvent,
  ResponseResource,
  ResponseStatus,
  WireLogprob,
} from './wire.ts';

export type StreamEncoderOptions = {
  /** The object as it is before the model speaks. */
  resource: ResponseResource;
  newId: NewId;
  /** Tools whose calls become `custom_tool_call` items. */
  customTools?: ReadonlySet<string>;
  /** The client asked for a summary of the thoughts: they are shown as one. */
  summary?: boolean;
  /** Seals a finished thought, so that it can come back with a later request. */
  seal?: (thought: ReasoningPart) => string;
  /** The client asked to see the seals; else only `output` has them. */
  showSealed?: boolean;
  /** Sequence number of the first event. */
  firstSequence?: number;
};

export type StreamEncoder = ReturnType<typeof createStreamEncoder>;

type OpenMessage = { kind: 'message'; index: number; id: string; content: OutputContent[] };
type OpenReasoning = { kind: 'reasoning'; index: number; id: string; text: string };
type OpenCall = { index: number; item: FunctionCallItem | CustomToolCallItem; json: string };

export function createStreamEncoder(options: StreamEncoderOptions) {
  const { newId, seal, showSealed = false, summary = false, customTools } = options;
  let resource = options.resource;
  let sequence = options.firstSequence ?? 0;
  const output: Item[] = [];
  let open: OpenMessage | OpenReasoning | undefined;
  const calls = new Map<number, OpenCall>();
  /** Characters of text in parts that are closed, and those of pictures' addresses in the open one: what citations do not count, or count from. */
  let before = 0;
  let drawn = 0;
  /** Sources named while no text was being said. */
  let heldCitations: Citation[] = [];
  /** Where the provider's own items begin, see `adopt`. */
  let adoptedFrom: number | undefined;

  const shown = (item: Item) => (showSealed ? item : withoutSeal(item));
  const event = (type: string, fields: object): ResponseEvent => ({ type, sequence_number: sequence++, ...fields });
  const lifecycle = (type: string, status: ResponseStatus, changes: Partial<ResponseResource> = {}) => {
    resource = { ...resource, ...changes, status, output: output.map(shown) };
    return event(type, { response: resource });
  };

  /** Text and refusals are parts of a message; each part opens, grows and closes. */
  function* speak(type: 'text' | 'refusal', delta: string, logprobs: TokenLogprob[] = []): Iterable<ResponseEvent> {
    if (open?.kind !== 'message') {
      yield* closeOpen('completed');
      yield* closeCalls();
      open = { kind: 'message', index: output.length, id: newId('msg'), content: [] };
      const item: Item = { type: 'message', id: open.id, status: 'in_progress', role: 'assistant', content: [] };
      output.push(item);
      yield event('response.output_item.added', { output_index: open.index, item });
    }
    const message = open;
    const wanted = type === 'text' ? 'output_text' : 'refusal';
    if (message.content.at(-1)?.type !== wanted) {
      yield* closePart(message);
      const part: OutputContent =
        type === 'text' ? { type: 'output_text', text: '', annotations: [], logprobs: [] } : { type, refusal: '' };
      message.content.push(part);
      const begun = type === 'text' ? { ...part, annotations: [], logprobs: [] } : { ...part };
      yield event('response.content_part.added', { ...partPlace(message), part: begun });
      if (type === 'text') yield* citeHeld();
    }
    const part = message.content.at(-1);
    if (part?.type === 'output_text') {
      const wire = logprobs.map(encodeLogprob);
      part.text += delta;
      part.logprobs.push(...wire);
      yield event('response.output_text.delta', { ...partPlace(message), delta, logprobs: wire });
    } else if (part?.type === 'refusal') {
      part.refusal += delta;
      yield event('response.refusal.delta', { ...partPlace(message), delta });
    }
  }

  function* cite(citation: Citation): Iterable<ResponseEvent> {
    if (open?.kind !== 'message' || open.content.at(-1)?.type !== 'output_text') {
      heldCitations.push(citation);
      return;
    }
    const fields = encodeUrlCitation(citation, before - drawn);
    if (fields) yield* annotate({ type: 'url_citation', ...fields });
  }

  function* citeHeld(): Iterable<ResponseEvent> {
    const held = heldCitations;
    heldCitations = [];
    for (const citation of held) yield* cite(citation);
  }

  function* annotate(annotation: Json): Iterable<ResponseEvent> {
    const part = open?.kind === 'message' ? open.content.at(-1) : undefined;
    if (open?.kind !== 'message' || part?.type !== 'output_text') return;
    const annotation_index = part.annotations.push(annotation) - 1;
    yield event('response.output_text.annotation.added', { ...partPlace(open), annotation_index, annotation });
  }

  const partPlace = ({ id, index, content }: OpenMessage) => ({
    item_id: id,
    output_index: index,
    content_index: content.length - 1,
  });

  function* closePart(message: OpenMessage): Iterable<ResponseEvent> {
    const part = message.content.at(-1);
    if (!part) return;
    const place = partPlace(message);
    if (part.type === 'output_text') {
      before += codePoints(part.text) - drawn;
      drawn = 0;
      yield event('response.output_text.done', { ...place, text: part.text, logprobs: part.logprobs });
    } else yield event('response.refusal.done', { ...place, refusal: part.refusal });
    yield event('response.content_part.done', { ...place, part });
  }

  /** A picture is an item of its own; one that lies elsewhere is named in the text. */
  function* draw(source: Source): Iterable<ResponseEvent> {
    if ('url' in source) {
      const text = pictureText(source);
      yield* speak('text', text);
      drawn += codePoints(text);
      return;
    }
    yield* closeOpen('completed');
    yield* closeCalls();
    const item: Item = { type: 'image_generation_call', id: newId('ig'), status: 'completed', result: source.data };
    const output_index = output.push(item) - 1;
    const begun = { ...item, status: 'in_progress', result: null };
    yield event('response.output_item.added', { output_index, item: begun });
    yield event('response.output_item.done', { output_index, item });
  }

  function* think(delta: string): Iterable<ResponseEvent> {
    if (open?.kind !== 'reasoning') yield* openReasoning();
    const thought = open as OpenReasoning;
    thought.text += delta;
    const place = { item_id: thought.id, output_index: thought.index };
    yield summary
      ? event('response.reasoning_summary_text.delta', { ...place, summary_index: 0, delta })
      : event('response.reasoning_text.delta', { ...place, content_index: 0, delta });
  }

  function* openReasoning(): Iterable<ResponseEvent> {
    yield* closeOpen('completed');
    yield* closeCalls();
    const thought: OpenReasoning = { kind: 'reasoning', index: output.length, id: newId('rs'), text: '' };
    open = thought;
    const item: Item = {
      type: 'reasoning',
      id: thought.id,
      status: 'in_progress',
      summary: [],
      ...(!summary && { content: [] }),
    };
    output.push(item);
    yield event('response.output_item.added', { output_index: thought.index, item });
    const place = { item_id: thought.id, output_index: thought.index };
    yield summary
      ? event('response.reasoning_summary_part.added', {
          ...place,
          summary_index: 0,
          part: { type: 'summary_text', text: '' },
        })
      : event('response.content_part.added', {
          ...place,
          content_index: 0,
          part: { type: 'reasoning_text', text: '' },
        });
  }

  function* closeReasoning(thought: OpenReasoning, status: ItemStatus, end: Omit<ReasoningPart, 'type' | 'text'> = {}) {
    const { id, index, text } = thought;
    const place = { item_id: id, output_index: index };
    if (summary) {
      const part = { type: 'summary_text' as const, text };
      yield event('response.reasoning_summary_text.done', { ...place, summary_index: 0, text });
      yield event('response.reasoning_summary_part.done', { ...place, summary_index: 0, part });
    } else {
      yield event('response.reasoning_text.done', { ...place, content_index: 0, text });
      yield event('response.content_part.done', { ...place, content_index: 0, part: { type: 'reasoning_text', text } });
    }
    const item: ReasoningItem = {
      type: 'reasoning',
      id,
      status,
      summary: summary ? [{ type: 'summary_text', text }] : [],
      ...(!summary && { content: [{ type: 'reasoning_text', text }] }),
      ...(seal && { encrypted_content: seal({ type: 'reasoning', text, ...end }) }),
    };
    output[index] = item;
    yield event('response.output_item.done', { output_index: index, item: shown(item) });
  }

  function* closeOpen(status: ItemStatus): Iterable<ResponseEvent> {
    const current = open;
    open = undefined;
    if (current?.kind === 'reasoning') yield* closeReasoning(current, status);
    else if (current) {
      yield* closePart(current);
      const item: Item = { type: 'message', id: current.id, status, role: 'assistant', content: current.content };
      output[current.index] = item;
      yield event('response.output_item.done', { output_index: current.index, item });
    }
  }

  function* beginCall(start: Extract<ChatEvent, { type: 'tool-call' }>): Iterable<ResponseEvent> {
    yield* closeOpen('completed');
    // A call whose JSON is whole is done; one that is not may still grow beside this one.
    yield* closeCalls(({ json }) => isJson(json));
    const base = { status: 'in_progress' as const, call_id: start.id, name: start.name };
    const item: OpenCall['item'] = customTools?.has(start.name)
      ? { type: 'custom_tool_call', id: newId('ctc'), ...base, input: '' }
      : { type: 'function_call', id: newId('fc'), ...base, arguments: '' };
    const index = output.length;
    calls.set(start.index, { index, item, json: '' });
    output.push(item);
    yield event('response.output_item.added', { output_index: index, item });
  }

  function* growCall({ index, json }: Extract<ChatEvent, { type: 'tool-input' }>): Iterable<ResponseEvent> {
    const call = calls.get(index);
    if (!call || json === '') return;
    call.json += json;
    if (call.item.type === 'function_call')
      yield event('response.function_call_arguments.delta', { ...callPlace(call), delta: json });
  }

  const callPlace = ({ item, index }: OpenCall) => ({ item_id: item.id, output_index: index });

  function* closeCalls(done: (call: OpenCall) => boolean = () => true, status: ItemStatus = 'completed') {
    for (const [key, call] of calls) {
      if (!done(call)) continue;
      calls.delete(key);
      let item: OpenCall['item'];
      if (call.item.type === 'function_call') {
        item = { ...call.item, status, arguments: call.json };
        const { name } = item;
        yield event('response.function_call_arguments.done', { ...callPlace(call), name, arguments: call.json });
      } else {
        item = { ...call.item, status, input: freeText(call.json) };
        yield event('response.custom_tool_call_input.delta', { ...callPlace(call), delta: item.input });
        yield event('response.custom_tool_call_input.done', { ...callPlace(call), input: item.input });
      }
      output[call.index] = item;
      yield event('response.output_item.done', { output_index: call.index, item });
    }
  }

  function* finish(end: Extract<ChatEvent, { type: 'finish' }>, completedAt: number): Iterable<ResponseEvent> {
    const reason =
      end.reason === 'length' ? 'max_output_tokens' : end.reason === 'content-filter' ? 'content_filter' : undefined;
    // A model that says nothing has still answered.
    if (output.every((item) => item.type === 'compaction') && !reason) yield* speak('text', '');
    const status = reason ? 'incomplete' : 'completed';
    yield* closeOpen(status);
    yield* closeCalls(undefined, status);
    yield lifecycle(`response.${status}`, status, {
      usage: encodeUsage(end.usage),
      completed_at: reason ? null : completedAt,
      incomplete_details: reason ? { reason } : null,
      ...(end.toolError && { tool_error: end.toolError }),
    });
  }

  function adoptItem(type: string, wire: { [field: string]: unknown }): ResponseEvent {
    const { type: _type, sequence_number: _number, ...fields } = wire;
    if (typeof fields['output_index'] !== 'number') return event(type, fields);
    const output_index = fields['output_index'] + (adoptedFrom ?? 0);
    if (!fields['item']) return event(type, { ...fields, output_index });
    const item = fields['item'] as Item;
    output[output_index] = item;
    return event(type, { ...fields, output_index, item: shown(item) });
  }

  return {
    /** The response object so far; whole after `finish`, `fail` or `cancel`. */
    get resource() {
      return resource;
    },

    /** The items so far, seals included. */
    get output(): readonly Item[] {
      return output;
    },

    /** Waiting to run: background responses. */
    queued(): ResponseEvent[] {
      return [lifecycle('response.created', 'queued'), lifecycle('response.queued', 'queued')];
    },

    /** The work begins. */
    begin({ queued = false } = {}): ResponseEvent[] {
      const created = queued ? [] : [lifecycle('response.created', 'in_progress')];
      return [...created, lifecycle('response.in_progress', 'in_progress')];
    },

    /** The end of a response for which no model was asked. */
    complete(completedAt: number): ResponseEvent[] {
      const usage = encodeUsage({ input: 0, output: 0 });
      return [lifecycle('response.completed', 'completed', { usage, completed_at: completedAt })];
    },

    /**
     * An event of a provider that speaks this protocol itself, made one of this response: numbers and places follow ours, and the
     * object at the end is ours with the provider's outcome. Throws what the provider says went wrong.
     */
    adopt(wire: { [field: string]: unknown }): ResponseEvent[] {
      const type = String(wire['type']);
      adoptedFrom ??= output.length;
      const response = (wire['response'] ?? {}) as Partial<ResponseResource>;
      switch (type) {
        case 'response.created':
        case 'response.queued':
        case 'response.in_progress':
          return [];
        case 'response.completed':
        case 'response.incomplete':
          return [lifecycle(type, type === 'response.completed' ? 'completed' : 'incomplete', outcomeOf(response))];
        case 'response.failed':
          throw decodeFailure({ ...response.error });
        case 'error':
          throw decodeFailure((wire['error'] ?? wire) as { [field: string]: unknown });
        default:
          return [adoptItem(type, wire)];
      }
    },

    /** An item that the server made itself: a compaction. */
    add(item: Item): ResponseEvent[] {
      const before = [...closeOpen('completed'), ...closeCalls()];
      const index = output.push(item) - 1;
      return [
        ...before,
        event('response.output_item.added', { output_index: index, item }),
        event('response.output_item.done', { output_index: index, item }),
      ];
    },

    /** A note on the text just said, already as this protocol has it. */
    annotate: (annotation: Json): ResponseEvent[] => [...annotate(annotation)],

    /** `completedAt` in seconds since 1970, read only for `finish`. */
    push(chat: ChatEvent, completedAt: number): ResponseEvent[] {
      switch (chat.type) {
        case 'start':
          return [];
        case 'text':
          return [...speak('text', chat.text, chat.logprobs)];
        case 'citation':
          return [...cite(chat.citation)];
        case 'refusal':
          return [...speak('refusal', chat.text)];
        case 'image':
          return [...draw(chat.source)];
        case 'reasoning':
          return [...think(chat.text)];
        case 'reasoning-end': {
          const { type: _type, ...end } = chat;
          const opened = open?.kind === 'reasoning' ? [] : [...openReasoning()];
          const thought = open as OpenReasoning;
          open = undefined;
          return [...opened, ...closeReasoning(thought, 'completed', end)];
        }
        case 'tool-call':
          return [...beginCall(chat)];
        case 'tool-input':
          return [...growCall(chat)];
        case 'finish':
          return [...finish(chat, completedAt)];
        default:
          return chat satisfies never;
      }
    },

    /** The answer broke off: an `error` event, then `response.failed`. Items that were being written stay, incomplete. */
    fail(error: ViaductError): ResponseEvent[] {
      interruptOpen();
      const failure = { code: error.code, message: error.message, param: error.param ?? null };
      return [
        event('error', { ...failure, error: { type: error.type, ...failure } }),
        lifecycle('response.failed', 'failed', { error: encodeFailure(error), error_type: error.code }),
      ];
    },

    /** Stopped by the client: no event says so in this protocol, only the object. */
    cancel(): ResponseResource {
      interruptOpen();
      resource = { ...resource, status: 'cancelled', output: output.map(shown) };
      return resource;
    },
  };

  function interruptOpen() {
    if (open?.kind === 'message')
      output[open.index] = {
        type: 'message',
        id: open.id,
        status: 'incomplete',
        role: 'assistant',
        content: open.content,
      };
    else if (open)
      output[open.index] = {
        type: 'reasoning',
        id: open.id,
        status: 'incomplete',
        summary: summary ? [{ type: 'summary_text', text: open.text }] : [],
        ...(!summary && { content: [{ type: 'reasoning_text' as const, text: open.text }] }),
      };
    for (const { index, item, json } of calls.values())
      output[index] =
        item.type === 'function_call'
          ? { ...item, status: 'incomplete', arguments: json }
          : { ...item, status: 'incomplete', input: freeText(json) };
    open = undefined;
    calls.clear();
    for (const [index, item] of output.entries())
      if ('status' in item && item.status === 'in_progress') output[index] = { ...item, status: 'incomplete' };
  }
}

/** What the provider alone knows of the response. */
function outcomeOf(response: Partial<ResponseResource>): Partial<ResponseResource> {
  const { usage, completed_at, incomplete_details, service_tier, reasoning } = response;
  return {
    usage: encodeUsage(decodeUsage(usage)),
    completed_at: completed_at ?? null,
    incomplete_details: incomplete_details ?? null,
    ...(service_tier && { service_tier }),
    ...(reasoning && { reasoning: { effort: reasoning.effort ?? null, summary: reasoning.summary ?? null } }),
  };
}

/** A thought without what only a later request needs. */
export function withoutSeal(item: Item): Item {
  if (item.type !== 'reasoning') return item;
  const { encrypted_content: _sealed, ...rest } = item;
  return rest;
}

function encodeLogprob({ token, logprob, bytes, top }: TokenLogprob): WireLogprob {
  return {
    token,
    logprob,
    bytes: bytes ?? [],
    top_logprobs: top.map((entry) => ({ token: entry.token, logprob: entry.logprob, bytes: entry.bytes ?? [] })),
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** `{"input":"…"}` → the text; what is not that is the text itself. */
function freeText(json: string): string {
  try {
    const parsed: unknown = JSON.parse(json);
    if (typeof parsed === 'object' && parsed !== null && 'input' in parsed && typeof parsed.input === 'string')
      return parsed.input;
  } catch {
    // The model did not keep to the frame.
  }
  return json;
}
