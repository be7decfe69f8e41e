/**
 * What a provider of this protocol answers → neutral events. Incremental and tolerant: unknown events are skipped, deltas that
 * never came are taken from the finished item.
 */
import type { ChatEvent, TokenLogprob } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { SseMessage } from '../../lib/sse.ts';
import { codePoints, decodeUrlCitation } from '../citations.ts';
import { decodeUsage } from './resource.ts';

type Wire = { [field: string]: unknown };

export type StreamDecoder = {
  /** Throws a ViaductError when the provider says that it failed, or sends what is not this protocol. */
  push(message: SseMessage): ChatEvent[];
  /** The stream has ended. Throws provider_invalid_response when the answer had not. */
  end(): ChatEvent[];
};

/** Events of a streamed reply → neutral events. */
export function createStreamDecoder(): StreamDecoder {
  let started = false;
  let finished = false;
  const callIndex = new Map<string, number>();
  /** Items of which text, thoughts or arguments have come as deltas. */
  const grown = new Set<string>();
  /** Items of which citations have come as events. */
  const annotated = new Set<string>();
  /** Characters of text so far, and where each item's parts begin in it: annotations count from the start of their part. */
  let spoken = 0;
  const starts = new Map<string, number[]>();
  let part: { id: string; at: number } | undefined;

  const say = (id: string, at: number, text: string, wireLogprobs: unknown): ChatEvent => {
    if (part?.id !== id || part.at !== at) {
      part = { id, at };
      const begun = starts.get(id) ?? [];
      begun[at] = spoken;
      starts.set(id, begun);
    }
    spoken += codePoints(text);
    const logprobs = listOf(wireLogprobs).map(decodeLogprob);
    return { type: 'text', text, ...(logprobs.length > 0 && { logprobs }) };
  };

  const cite = (id: string, at: number, annotation: Wire): ChatEvent[] => {
    const citation =
      annotation['type'] === 'url_citation'
        ? decodeUrlCitation(annotation as JsonObject, starts.get(id)?.[at] ?? spoken)
        : undefined;
    return citation ? [{ type: 'citation', citation }] : [];
  };

  /** What of a finished message has not come as events. */
  const messageDone = (id: string, content: Wire[]): ChatEvent[] => {
    const known = grown.has(id);
    part = undefined;
    return content.flatMap((part, at): ChatEvent[] => {
      if (part['type'] === 'refusal') return known ? [] : [{ type: 'refusal', text: textOf(part['refusal']) }];
      if (part['type'] !== 'output_text') return [];
      const said = known ? [] : [say(id, at, textOf(part['text']), part['logprobs'])];
      const citations = annotated.has(id) ? [] : listOf(part['annotations']);
      return [...said, ...citations.flatMap((annotation) => cite(id, at, annotation))];
    });
  };

  const start = (response: Wire): ChatEvent[] => {
    if (started) return [];
    started = true;
    return [{ type: 'start', id: textOf(response['id']), model: textOf(response['model']) }];
  };

  const itemAdded = (item: Wire): ChatEvent[] => {
    if (item['type'] !== 'function_call') return [];
    const key = textOf(item['id']) || textOf(item['call_id']);
    if (callIndex.has(key)) return [];
    const index = callIndex.size;
    callIndex.set(key, index);
    return [{ type: 'tool-call', index, id: textOf(item['call_id']), name: textOf(item['name']) }];
  };

  const thoughtDone = (id: string, item: Wire): ChatEvent[] => {
    const text = grown.has(id) ? '' : thoughtOf(item);
    const signature = textOf(item['encrypted_content']);
    if (!text && !signature && !grown.has(id)) return [];
    return [
      ...(text ? [{ type: 'reasoning' as const, text }] : []),
      { type: 'reasoning-end', ...(id && { id }), ...(signature && { signature }), origin: 'openai-responses' },
    ];
  };

  const itemDone = (item: Wire): ChatEvent[] => {
    const id = textOf(item['id']);
    switch (item['type']) {
      case 'function_call': {
        const begun = itemAdded(item);
        const index = callIndex.get(id || textOf(item['call_id'])) ?? 0;
        const json = grown.has(id) ? '' : textOf(item['arguments']);
        return json ? [...begun, { type: 'tool-input', index, json }] : begun;
      }
      case 'message':
        return messageDone(id, listOf(item['content']));
      case 'reasoning':
        return thoughtDone(id, item);
      default:
        return [];
    }
  };

  const finish = (response: Wire): ChatEvent[] => {
    if (finished) return [];
    finished = true;
    const incomplete = (response['incomplete_details'] as Wire | null)?.['reason'];
    const rawReason = textOf(incomplete) || textOf(response['status']);
    const reason =
      incomplete === 'content_filter'
        ? 'content-filter'
        : incomplete
          ? 'length'
          : callIndex.size > 0
            ? 'tool-calls'
            : 'stop';
    return [...start(response), { type: 'finish', reason, rawReason, usage: decodeUsage(response['usage']) }];
  };

  return {
    push({ data }) {
      if (data === '[DONE]') return [];
      const event = parse(data);
      const id = textOf(event['item_id']);
      switch (event['type']) {
        case 'response.created':
        case 'response.in_progress':
          return start(wireOf(event['response']));
        case 'response.output_item.added':
          return itemAdded(wireOf(event['item']));
        case 'response.output_item.done':
          return itemDone(wireOf(event['item']));
        case 'response.output_text.delta':
          grown.add(id);
          return [say(id, Number(event['content_index'] ?? 0), textOf(event['delta']), event['logprobs'])];
        case 'response.output_text.annotation.added':
          annotated.add(id);
          return cite(id, Number(event['content_index'] ?? 0), wireOf(event['annotation']));
        case 'response.refusal.delta':
          grown.add(id);
          return [{ type: 'refusal', text: textOf(event['delta']) }];
        case 'response.reasoning_text.delta':
        case 'response.reasoning.delta':
        case 'response.reasoning_summary_text.delta':
          grown.add(id);
          return [{ type: 'reasoning', text: textOf(event['delta']) }];
        case 'response.reasoning_summary_part.added':
          return Number(event['summary_index']) > 0 ? [{ type: 'reasoning', text: '\n\n' }] : [];
        case 'response.function_call_arguments.delta': {
          const index = callIndex.get(id);
          if (index === undefined) return [];
          grown.add(id);
          return [{ type: 'tool-input', index, json: textOf(event['delta']) }];
        }
        case 'response.completed':
        case 'response.incomplete':
          return finish(wireOf(event['response']));
        case 'response.failed':
          throw decodeFailure(wireOf(wireOf(event['response'])['error']));
        case 'error':
          throw decodeFailure(event['error'] ? wireOf(event['error']) : event);
        default:
          // An error that some servers send without a type.
          if (event['error']) throw decodeFailure(wireOf(event['error']));
          return [];
      }
    },
    end() {
      if (!finished)
        throw new ViaductError('provider_invalid_response', 'The provider stopped before it finished its answer.');
      return [];
    },
  };
}

/** A whole reply → neutral events. Throws a ViaductError when it says that it failed. */
export function decodeResponse(body: JsonObject): ChatEvent[] {
  if (body['status'] === 'failed' || (body['error'] && body['object'] !== 'response'))
    throw decodeFailure(wireOf(body['error']));
  if (!Array.isArray(body['output']))
    throw new ViaductError('provider_invalid_response', 'The provider answered something that is not a response.');
  const decoder = createStreamDecoder();
  const send = (event: object) => decoder.push({ data: JSON.stringify(event) });
  return [
    ...send({ type: 'response.created', response: { id: body['id'] ?? '', model: body['model'] ?? '' } }),
    ...body['output'].flatMap((item) => send({ type: 'response.output_item.done', item })),
    ...send({ type: 'response.completed', response: { ...body, output: [] } }),
  ];
}

/** What a provider says about its failure, inside a 200 → error. Its words are shown only where they are about the request. */
export function decodeFailure(error: Wire): ViaductError {
  const code = textOf(error['code']);
  const message = textOf(error['message']);
  if (/rate_limit/.test(code)) return new ViaductError('provider_rate_limited', 'The provider is limiting requests.');
  if (code === 'context_length_exceeded')
    return new ViaductError('context_length_exceeded', 'The input is longer than the context of the model.', {
      param: 'input',
    });
  if (/^(invalid_prompt|invalid_image|image_|invalid_base64|unsupported_image|bio_policy)/.test(code))
    return new ViaductError('provider_rejected', message || 'The provider refused the request.', { param: 'input' });
  return new ViaductError('provider_unavailable', 'The provider failed while it answered.', {
    cause: new Error(`${code}: ${message}`),
  });
}

function thoughtOf(item: Wire): string {
  const content = listOf(item['content']);
  return (content.length > 0 ? content : listOf(item['summary'])).map((part) => textOf(part['text'])).join('\n\n');
}

function decodeLogprob(wire: Wire): TokenLogprob {
  const entry = ({ token, logprob, bytes }: Wire) => ({
    token: textOf(token),
    logprob: Number(logprob ?? 0),
    bytes: Array.isArray(bytes) ? (bytes as number[]) : null,
  });
  return { ...entry(wire), top: listOf(wire['top_logprobs']).map(entry) };
}

function parse(data: string): Wire {
  try {
    return wireOf(JSON.parse(data));
  } catch (cause) {
    throw new ViaductError('provider_invalid_response', 'The provider sent an event that is not JSON.', { cause });
  }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const listOf = (value: unknown): Wire[] => (Array.isArray(value) ? value.map(wireOf) : []);
const wireOf = (value: unknown): Wire => (typeof value === 'object' && value !== null ? (value as Wire) : {});
