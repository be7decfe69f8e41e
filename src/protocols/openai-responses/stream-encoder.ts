/**
 * Neutral events → the stream events of the Responses API, and the response object that they add up to. Pure: ids and times
 * come from outside. Here is the life of the response and whose turn it is; each kind of item has a writer of its own.
 * Order of events: https://www.openresponses.org/specification (items are state machines, items are streamable).
 */
import type { ChatEvent, Source } from '../../core/chat.ts';
import type { ViaductError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { pictureText } from '../picture.ts';
import { createAdopter } from './adopt.ts';
import { createCallWriter } from './call-writer.ts';
import { createMessageWriter } from './message-writer.ts';
import { createOutput } from './output.ts';
import { encodeFailure, encodeIncomplete, encodeUsage } from './resource.ts';
import { createThoughtWriter, type ThoughtOptions } from './thought-writer.ts';
import type { Item, NewId, ResponseEvent, ResponseResource, ResponseStatus } from './wire.ts';

export type StreamEncoderOptions = ThoughtOptions & {
  /** The object as it is before the model speaks. */
  resource: ResponseResource;
  newId: NewId;
  /** Tools whose calls become `custom_tool_call` items. */
  customTools?: ReadonlySet<string>;
  /** The client asked to see the seals; else only `output` has them. */
  showSealed?: boolean;
};

export type StreamEncoder = ReturnType<typeof createStreamEncoder>;

export function createStreamEncoder(options: StreamEncoderOptions) {
  let resource = options.resource;
  const output = createOutput(options.newId, options.showSealed ?? false);
  const message = createMessageWriter(output);
  const thought = createThoughtWriter(output, options);
  const calls = createCallWriter(output, options.customTools);
  const adopt = createAdopter(output);

  function become(status: ResponseStatus, changes: Partial<ResponseResource> = {}) {
    resource = { ...resource, ...changes, status, output: output.items.map(output.shown) };
  }

  /** The events that carry the whole object. */
  function tell(event: string, status: ResponseStatus, changes?: Partial<ResponseResource>) {
    become(status, changes);
    output.emit(`response.${event}`, { response: resource });
  }

  function closeAll(status: 'completed' | 'incomplete' = 'completed') {
    message.close(status);
    thought.close(status);
    calls.close(status);
  }

  /** One item is written at a time, calls aside: whoever begins ends the others. */
  function turnTo(writer: { isOpen(): boolean }) {
    if (!writer.isOpen()) closeAll();
  }

  /** A picture is an item of its own; one that lies elsewhere is named in the text. */
  function draw(source: Source) {
    if ('url' in source) {
      turnTo(message);
      message.draw(pictureText(source));
      return;
    }
    closeAll();
    const item = { type: 'image_generation_call' as const, id: options.newId('ig') };
    const index = output.add({ ...item, status: 'in_progress', result: null });
    output.finish(index, { ...item, status: 'completed', result: source.data });
  }

  function finish(end: Extract<ChatEvent, { type: 'finish' }>, completedAt: number) {
    const cut = encodeIncomplete(end.reason);
    // A model that says nothing has still answered.
    if (!cut && output.items.every((item) => item.type === 'compaction')) message.say('');
    const status = cut ? 'incomplete' : 'completed';
    closeAll(status);
    tell(status, status, {
      usage: encodeUsage(end.usage),
      completed_at: cut ? null : completedAt,
      incomplete_details: cut,
      ...(end.toolError && { tool_error: end.toolError }),
    });
  }

  /** What was being written stays, incomplete. */
  function interrupt() {
    message.interrupt();
    thought.interrupt();
    calls.interrupt();
    for (const [index, item] of output.items.entries())
      if ('status' in item && item.status === 'in_progress') output.items[index] = { ...item, status: 'incomplete' };
  }

  return {
    /** The response object so far; whole after `finish`, `fail` or `cancel`. */
    get resource() {
      return resource;
    },

    /** The items so far, seals included. */
    get output(): readonly Item[] {
      return output.items;
    },

    /** Waiting to run: background responses. */
    queued(): ResponseEvent[] {
      tell('created', 'queued');
      tell('queued', 'queued');
      return output.take();
    },

    /** The work begins. */
    begin({ queued = false } = {}): ResponseEvent[] {
      if (!queued) tell('created', 'in_progress');
      tell('in_progress', 'in_progress');
      return output.take();
    },

    /** The end of a response for which no model was asked. */
    complete(completedAt: number): ResponseEvent[] {
      tell('completed', 'completed', { usage: encodeUsage({ input: 0, output: 0 }), completed_at: completedAt });
      return output.take();
    },

    /** `completedAt` in seconds since 1970, read only for `finish`. */
    push(chat: ChatEvent, completedAt: number): ResponseEvent[] {
      switch (chat.type) {
        case 'start':
          break;
        case 'text':
          turnTo(message);
          message.say(chat.text, chat.logprobs);
          break;
        case 'citation':
          message.cite(chat.citation);
          break;
        case 'refusal':
          turnTo(message);
          message.refuse(chat.text);
          break;
        case 'image':
          draw(chat.source);
          break;
        case 'reasoning':
          turnTo(thought);
          thought.think(chat.text);
          break;
        case 'reasoning-end': {
          const { type: _type, ...end } = chat;
          turnTo(thought);
          thought.end(end);
          break;
        }
        case 'tool-call':
          message.close('completed');
          thought.close('completed');
          calls.begin(chat);
          break;
        case 'tool-input':
          calls.grow(chat);
          break;
        case 'finish':
          finish(chat, completedAt);
          break;
        default:
          chat satisfies never;
      }
      return output.take();
    },

    /**
     * An event of a provider that speaks this protocol itself, made one of this response; the object at the end is ours with the
     * provider's outcome. Throws what the provider says went wrong.
     */
    adopt(wire: { [field: string]: unknown }): ResponseEvent[] {
      const end = adopt(wire);
      if (end) tell(end.status, end.status, end.changes);
      return output.take();
    },

    /** An item that the server made itself: a compaction. */
    add(item: Item): ResponseEvent[] {
      closeAll();
      output.finish(output.add(item), item);
      return output.take();
    },

    /** A note on the text just said, already as this protocol has it. */
    annotate(annotation: Json): ResponseEvent[] {
      message.annotate(annotation);
      return output.take();
    },

    /** The answer broke off: an `error` event, then `response.failed`. Items that were being written stay, incomplete. */
    fail(error: ViaductError): ResponseEvent[] {
      interrupt();
      const failure = { code: error.code, message: error.message, param: error.param ?? null };
      output.emit('error', { ...failure, error: { type: error.type, ...failure } });
      tell('failed', 'failed', { error: encodeFailure(error), error_type: error.code });
      return output.take();
    },

    /** Stopped by the client: no event says so in this protocol, only the object. */
    cancel(): ResponseResource {
      interrupt();
      become('cancelled');
      return resource;
    },
  };
}
