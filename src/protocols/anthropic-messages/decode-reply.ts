/** What Anthropic answers → core events. Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming */
import type { ChatEvent } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { SseMessage } from '../../lib/sse.ts';
import { codePoints } from '../citations.ts';
import { list, object, parseObject, text } from '../read.ts';
import { decodeCitation } from './citations.ts';
import { decodeErrorBody } from './errors.ts';
import { decodeReason } from './stop-reason.ts';
import { decodeUsage, mergeUsage } from './usage.ts';

const origin = 'anthropic-messages';

/** What is known of the block that is open. `call` is our index of a tool call, `from` where a text begins in the whole answer. */
type OpenBlock =
  | { kind: 'text'; from: number; sources: JsonObject[] }
  | { kind: 'thinking'; signature: string }
  | { kind: 'call'; call: number; given: string; streamed: boolean }
  | { kind: 'other' };

/**
 * Messages of a stream → events, as they come. Blocks and events newer than this file, and what tools that run at Anthropic
 * do, are passed over.
 * Throws what an `error` event says, provider_invalid_response for broken JSON and for a stream that ends too early.
 */
export function createStreamDecoder(): { push(message: SseMessage): ChatEvent[]; end(): ChatEvent[] } {
  const { push, end } = createDecoder();
  return { push, end };
}

function createDecoder() {
  const blocks = new Map<number, OpenBlock>();
  /** Characters of text so far. */
  let spoken = 0;
  let calls = 0;
  let usage: JsonObject = {};
  let started = false;
  let stop: { reason: string; sequence: string } | undefined;
  let finished = false;

  const noteStop = ({ stop_reason, stop_sequence }: JsonObject) => {
    if (typeof stop_reason === 'string') stop = { reason: stop_reason, sequence: text(stop_sequence) };
  };

  const start = (message: JsonObject): ChatEvent[] => {
    usage = mergeUsage(usage, object(message['usage']));
    // Some proxies repeat or splice in the start of a message.
    if (started) return [];
    started = true;
    noteStop(message);
    // A turn that the model's own program goes on with is there as a whole.
    const given = list(message['content']).flatMap((block, index) => [
      ...openBlock(index, object(block)),
      ...closeBlock(index),
    ]);
    return [{ type: 'start', id: text(message['id']), model: text(message['model']) }, ...given];
  };

  const say = (said: string, block: OpenBlock | undefined): ChatEvent[] => {
    if (said === '') return [];
    const begins = spoken > 0 && block?.kind === 'text' && block.from === spoken;
    spoken += codePoints(said);
    return [begins ? { type: 'text', text: said, begins } : { type: 'text', text: said }];
  };

  const openBlock = (index: number, block: JsonObject): ChatEvent[] => {
    switch (block['type']) {
      case 'text': {
        const opened: OpenBlock = { kind: 'text', from: spoken, sources: list(block['citations']).map(object) };
        blocks.set(index, opened);
        return say(text(block['text']), opened);
      }
      case 'thinking':
        blocks.set(index, { kind: 'thinking', signature: text(block['signature']) });
        return thoughtEvents(text(block['thinking']));
      case 'redacted_thinking':
        blocks.set(index, { kind: 'other' });
        return [{ type: 'reasoning-end', redacted: text(block['data']), origin }];
      case 'tool_use': {
        const call = calls++;
        blocks.set(index, { kind: 'call', call, given: JSON.stringify(object(block['input'])), streamed: false });
        return [
          { type: 'tool-call', index: call, id: text(block['id']) || `toolu_${call}`, name: text(block['name']) },
        ];
      }
      default:
        blocks.set(index, { kind: 'other' });
        return [];
    }
  };

  const grow = (index: number, delta: JsonObject): ChatEvent[] => {
    const block = blocks.get(index);
    switch (delta['type']) {
      case 'text_delta':
        return say(text(delta['text']), block);
      case 'citations_delta':
        // Comes before the words that it is for, or after them: those of the whole block.
        if (block?.kind === 'text') block.sources.push(object(delta['citation']));
        return [];
      case 'thinking_delta':
        return thoughtEvents(text(delta['thinking']));
      case 'signature_delta':
        if (block?.kind === 'thinking') block.signature += text(delta['signature']);
        return [];
      case 'input_json_delta': {
        const json = text(delta['partial_json']);
        if (block?.kind !== 'call' || json === '') return [];
        block.streamed = true;
        return [{ type: 'tool-input', index: block.call, json }];
      }
      default:
        return [];
    }
  };

  const closeBlock = (index: number): ChatEvent[] => {
    const block = blocks.get(index);
    blocks.delete(index);
    if (block?.kind === 'text') {
      const span = block.from < spoken ? { start: block.from, end: spoken } : undefined;
      return block.sources.flatMap((source): ChatEvent[] => {
        const citation = decodeCitation(source, span);
        return citation ? [{ type: 'citation', citation }] : [];
      });
    }
    if (block?.kind === 'thinking')
      return [{ type: 'reasoning-end', ...(block.signature && { signature: block.signature, origin }) }];
    // Servers that only speak Anthropic's protocol give the whole input at the start.
    if (block?.kind === 'call' && !block.streamed)
      return [{ type: 'tool-input', index: block.call, json: block.given }];
    return [];
  };

  const finish = (): ChatEvent[] => {
    if (finished) return [];
    finished = true;
    const reason = stop?.reason ?? '';
    const open = [...blocks.keys()].flatMap(closeBlock);
    return [...open, finishEvent(reason, stop?.sequence ?? '', usage)];
  };

  return {
    start,
    finish,
    push({ data }: SseMessage): ChatEvent[] {
      if (finished) return [];
      const event = parseObject(data);
      if (!event) throw new ViaductError('provider_invalid_response', 'The provider sent an event that is not JSON.');
      const index = Number(event['index'] ?? 0);
      switch (event['type']) {
        case 'message_start':
          return start(object(event['message']));
        case 'content_block_start':
          return [...(started ? [] : start({})), ...openBlock(index, object(event['content_block']))];
        case 'content_block_delta':
          return [...(started ? [] : start({})), ...grow(index, object(event['delta']))];
        case 'content_block_stop':
          return closeBlock(index);
        case 'message_delta': {
          usage = mergeUsage(usage, object(event['usage']));
          noteStop(object(event['delta']));
          return [];
        }
        case 'message_stop':
          return finish();
        case 'error':
          throw decodeErrorBody(event);
        default:
          if (event['error']) throw decodeErrorBody(event);
          return [];
      }
    },

    end(): ChatEvent[] {
      if (finished) return [];
      if (stop) return finish();
      throw new ViaductError('provider_invalid_response', 'The provider ended its answer before it was complete.');
    },
  };
}

/**
 * Body of a unary reply → events.
 * Throws what an error body says, provider_invalid_response when it is no message.
 */
export function decodeResponse(body: JsonObject): ChatEvent[] {
  if (body['type'] === 'error' || body['error']) throw decodeErrorBody(body);
  if (!Array.isArray(body['content']))
    throw new ViaductError('provider_invalid_response', 'The provider answered with something that is not a message.');
  const decoder = createDecoder();
  return [...decoder.start(body), ...decoder.finish()];
}

const thoughtEvents = (thought: string): ChatEvent[] => (thought === '' ? [] : [{ type: 'reasoning', text: thought }]);

function finishEvent(rawReason: string, stopSequence: string, usage: JsonObject): ChatEvent {
  return {
    type: 'finish',
    reason: decodeReason(rawReason),
    ...(rawReason && { rawReason }),
    ...(stopSequence && { stopSequence }),
    usage: decodeUsage(usage),
  };
}
