/** What an OpenAI-shaped upstream answers → events. Source: https://platform.openai.com/docs/api-reference/chat/object */
import type { ChatEvent, FinishReason, Protocol, TokenLogprob } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { Usage } from '../../core/usage.ts';
import type { SseMessage } from '../../lib/sse.ts';
import { decodeErrorBody, isError } from '../openai-error.ts';
import { pictureSource } from '../picture.ts';
import { isObject, toolName } from '../read.ts';
import { createSources } from './sources.ts';
import { decodeUsage } from './usage.ts';

export type StreamDecoder = {
  push(message: SseMessage): ChatEvent[];
  /** The stream has ended. Throws provider_invalid_response when the answer is not whole. */
  end(): ChatEvent[];
};

/**
 * Chunks → events, one message at a time. Takes what upstreams really send: no [DONE], tool deltas without id or index, repeated
 * starts, usage anywhere or never, empty `choices`, thoughts under three names. Throws what an error inside the stream says.
 * Of several choices only the first is read: `n` is several calls here.
 */
export function createStreamDecoder(): StreamDecoder {
  const answer = createAnswerDecoder();
  let ended = false;
  return {
    push({ event, data }) {
      if (ended || data === '') return [];
      if (data.trimEnd() === '[DONE]') {
        ended = true;
        return answer.finish();
      }
      if (!data.trimStart().startsWith('{')) return []; // a ping that is not JSON
      const chunk = parse(data);
      if (event === 'error' || isError(chunk)) throw decodeErrorBody(chunk);
      const choice = firstChoice(chunk);
      if (isObject(choice?.['error'])) throw decodeErrorBody({ error: choice['error'] });
      return answer.read(chunk, choice, objectOf(choice?.['delta']) ?? objectOf(choice?.['message']), false);
    },
    end() {
      if (ended) return [];
      ended = true;
      if (!answer.finishSeen())
        throw new ViaductError('provider_invalid_response', 'The provider ended its answer before it was complete.');
      return answer.finish();
    },
  };
}

/** A whole reply → the same events. Throws provider_invalid_response when it holds no answer. */
export function decodeResponse(body: Json): ChatEvent[] {
  if (!isObject(body))
    throw new ViaductError('provider_invalid_response', 'The provider answered with something that is not an answer.');
  if (isError(body)) throw decodeErrorBody(body);
  const choice = firstChoice(body);
  if (isObject(choice?.['error'])) throw decodeErrorBody({ error: choice['error'] });
  const answer = createAnswerDecoder();
  return [...answer.read(body, choice, objectOf(choice?.['message']), true), ...answer.finish()];
}

type Call = { index: number; id: string; name: string; held: string; announced: boolean; signature?: string };

/** The part that streams and whole replies share: deltas in, events out. */
function createAnswerDecoder() {
  let started = false;
  let responseId = '';
  let finish: string | undefined;
  let nativeFinish: string | undefined;
  let stopSequence: string | undefined;
  let usage: Usage | undefined;
  let said = '';
  const calls: Call[] = [];
  const byIndex = new Map<number, Call>();
  const sources = createSources();

  const callOf = (delta: JsonObject, position: number, whole: boolean): Call => {
    const id = textOf(delta['id']);
    const name = textOf(objectOf(delta['function'])?.['name']);
    // Some servers number every call of a whole reply 0, so there the position counts.
    const index = whole ? calls.length : numberOf(delta['index']);
    const known = index === undefined ? knownWithoutIndex(id, name, position) : byIndex.get(index);
    // One index for several calls: a new id together with a name begins another call.
    if (known && !(id && name && known.id !== id && known.name !== '')) {
      known.id ||= id;
      return known;
    }
    const call: Call = { index: calls.length, id, name: '', held: '', announced: false };
    calls.push(call);
    byIndex.set(index ?? call.index, call);
    return call;
  };

  const knownWithoutIndex = (id: string, name: string, position: number): Call | undefined => {
    if (id) return calls.find((call) => call.id === id);
    return name || position > 0 ? undefined : calls.at(-1);
  };

  const readCall = (delta: JsonObject, position: number, whole: boolean, out: ChatEvent[]) => {
    const call = callOf(delta, position, whole);
    const fn = objectOf(delta['function']) ?? objectOf(delta['custom']) ?? {};
    call.name ||= toolName(fn['name']);
    const signature = signatureOf(delta);
    if (signature) call.signature = signature;
    call.held += jsonText(fn['arguments'] ?? fn['input']);
    if (!call.name) return;
    if (!call.announced) {
      call.announced = true;
      call.id ||= `call_${responseId.slice(-24) || 'answer'}_${call.index}`;
      const { index, id, name } = call;
      out.push({ type: 'tool-call', index, id, name, ...(call.signature && { signature: call.signature }) });
    }
    if (call.held) out.push({ type: 'tool-input', index: call.index, json: call.held });
    call.held = '';
  };

  const readDelta = (delta: JsonObject, logprobs: TokenLogprob[] | undefined, whole: boolean, out: ChatEvent[]) => {
    readReasoning(delta, out);
    readContent(delta['content'], logprobs, out);
    // What a spoken answer says; its sound has no place in other protocols.
    const spoken = textOf(objectOf(delta['audio'])?.['transcript']);
    if (spoken) out.push({ type: 'text', text: spoken });
    const refusal = textOf(delta['refusal']);
    if (refusal) out.push({ type: 'refusal', text: refusal });
    readImages(delta['images'], out);
    if (delta['annotations']) out.push(...sources.annotations(delta['annotations']));
    const toolCalls = delta['tool_calls'];
    // TGI before 3.0 sends one object, not a list.
    const list = Array.isArray(toolCalls) ? toolCalls : toolCalls ? [toolCalls] : [];
    list.forEach((call, position) => {
      if (isObject(call)) readCall(call, position, whole, out);
    });
    const legacy = objectOf(delta['function_call']);
    if (legacy) readCall({ index: 0, function: legacy }, 0, false, out);
  };

  return {
    read(
      chunk: JsonObject,
      choice: JsonObject | undefined,
      delta: JsonObject | undefined,
      whole: boolean,
    ): ChatEvent[] {
      const out: ChatEvent[] = [];
      const wireUsage =
        objectOf(chunk['usage']) ?? objectOf(choice?.['usage']) ?? objectOf(objectOf(chunk['x_groq'])?.['usage']);
      if (wireUsage) usage = decodeUsage(wireUsage);
      if (chunk['citations'] || chunk['search_results']) sources.list(chunk['citations'], chunk['search_results']);
      if (!choice) return out;
      if (!started) {
        started = true;
        responseId = textOf(chunk['id']);
        out.push({ type: 'start', id: responseId, model: textOf(chunk['model']) });
      }
      if (delta) readDelta(delta, decodeLogprobs(choice['logprobs']), whole, out);
      for (const event of out) if (event.type === 'text') said += event.text;
      finish = textOf(choice['finish_reason']) || finish;
      nativeFinish = textOf(choice['native_finish_reason']) || nativeFinish;
      stopSequence = textOf(choice['stop_reason']) || stopSequence; // vLLM
      return out;
    },

    finishSeen: () => finish !== undefined,

    finish(): ChatEvent[] {
      if (!started) throw new ViaductError('provider_invalid_response', 'The provider gave an empty answer.');
      const called = calls.some((call) => call.announced);
      const reason = finishReasons[(finish ?? '').split(':', 1)[0]?.toLowerCase() ?? ''] ?? 'stop';
      const rawReason = nativeFinish ?? finish;
      return [
        ...sources.end(said),
        {
          type: 'finish',
          // A call with "stop" (forced calls at OpenAI, many other servers) is still a turn of the tools.
          reason: called && reason === 'stop' ? 'tool-calls' : reason,
          ...(rawReason && { rawReason }),
          ...(stopSequence && { stopSequence }),
          usage: usage ?? { input: 0, output: 0 },
        },
      ];
    },
  };
}

/** In small letters, without what stands after a colon: `content_filter: RECITATION` of Google's OpenAI-shaped endpoint. */
const finishReasons: Record<string, FinishReason> = {
  stop: 'stop',
  length: 'length',
  max_tokens: 'length',
  model_length: 'length',
  model_context_window_exceeded: 'length',
  tool_calls: 'tool-calls',
  function_call: 'tool-calls',
  content_filter: 'content-filter',
  sensitive: 'content-filter',
  error: 'error',
  malformed_function_call: 'error',
  function_call_filter: 'error',
  network_error: 'error',
  insufficient_system_resource: 'error',
};

/** `content` is text, or Mistral's list of text and thinking parts. */
function readContent(content: Json | undefined, logprobs: TokenLogprob[] | undefined, out: ChatEvent[]) {
  const push = (text: string) => {
    if (text || logprobs) out.push({ type: 'text', text, ...(logprobs && { logprobs }) });
    logprobs = undefined;
  };
  if (!Array.isArray(content)) return push(textOf(content));
  for (const part of content) {
    if (!isObject(part)) continue;
    if (part['type'] === 'thinking') {
      const text = Array.isArray(part['thinking'])
        ? part['thinking'].map((piece) => textOf(objectOf(piece)?.['text'])).join('')
        : textOf(part['thinking']);
      if (text) out.push({ type: 'reasoning', text });
    } else push(textOf(part['text']));
  }
}

/** Pictures that the model made, as OpenRouter gives them. */
function readImages(images: Json | undefined, out: ChatEvent[]) {
  if (!Array.isArray(images)) return;
  for (const image of images) {
    const url = textOf(objectOf(objectOf(image)?.['image_url'])?.['url']);
    if (url) out.push({ type: 'image', source: pictureSource(url) });
  }
}

/** `format` of OpenRouter's reasoning_details ↔ the protocol whose provider signed the thought. */
export const reasoningFormats: [format: string, protocol: Protocol][] = [
  ['anthropic-claude-v1', 'anthropic-messages'],
  ['openai-responses-v1', 'openai-responses'],
  ['google-gemini-v1', 'gemini'],
  ['bedrock-converse-v1', 'bedrock-converse'],
];

function readReasoning(delta: JsonObject, out: ChatEvent[]) {
  const details = (Array.isArray(delta['reasoning_details']) ? delta['reasoning_details'] : []).filter(isObject);
  const plain = textOf(delta['reasoning_content']) || textOf(delta['reasoning']);
  if (plain) out.push({ type: 'reasoning', text: plain });
  for (const detail of details) {
    const text = textOf(detail['text']) || textOf(detail['summary']);
    if (text && !plain) out.push({ type: 'reasoning', text });
    const signature = textOf(detail['signature']);
    const redacted = textOf(detail['data']);
    if (!signature && !redacted) continue;
    const id = textOf(detail['id']);
    const origin = reasoningFormats.find(([format]) => format === detail['format'])?.[1];
    out.push({
      type: 'reasoning-end',
      ...(id && { id }),
      ...(signature && { signature }),
      ...(redacted && { redacted }),
      ...(origin && { origin }),
    });
  }
}

/** Gemini's mark on a tool call, which must come back with it. */
export function signatureOf(call: JsonObject): string {
  const google = objectOf(objectOf(call['extra_content'])?.['google']);
  return textOf(google?.['thought_signature']) || textOf(call['thought_signature']);
}

function decodeLogprobs(wire: Json | undefined): TokenLogprob[] | undefined {
  const content = objectOf(wire)?.['content'];
  if (!Array.isArray(content) || content.length === 0) return undefined;
  return content.filter(isObject).map((entry) => ({
    ...decodeToken(entry),
    top: (Array.isArray(entry['top_logprobs']) ? entry['top_logprobs'] : []).filter(isObject).map(decodeToken),
  }));
}

function decodeToken(entry: JsonObject) {
  const bytes = entry['bytes'];
  return {
    token: textOf(entry['token']),
    logprob: numberOf(entry['logprob']) ?? 0,
    bytes: Array.isArray(bytes) ? bytes.filter((byte) => typeof byte === 'number') : null,
  };
}

function firstChoice(body: JsonObject): JsonObject | undefined {
  const { choices } = body;
  if (!Array.isArray(choices)) return undefined;
  return choices.filter(isObject).find((choice) => !choice['index']);
}

function parse(data: string): JsonObject {
  try {
    return JSON.parse(data) as JsonObject;
  } catch (cause) {
    throw new ViaductError('provider_invalid_response', 'The provider sent a broken piece of its answer.', { cause });
  }
}

const objectOf = (value: unknown) => (isObject(value) ? value : undefined);
const textOf = (value: unknown) => (typeof value === 'string' ? value : '');
const numberOf = (value: unknown) => (typeof value === 'number' ? value : undefined);
/** Some servers give a call's arguments as an object, not as text. */
const jsonText = (value: Json | undefined) => (isObject(value) ? JSON.stringify(value) : textOf(value));
