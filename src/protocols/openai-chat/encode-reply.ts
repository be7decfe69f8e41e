/** Events → what OpenAI's clients read. Source: https://platform.openai.com/docs/api-reference/chat/object and …/chat/streaming */
import type { ChatEvent, ChatResult, Citation } from '../../core/chat.ts';
import type { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { Usage } from '../../core/usage.ts';
import { encodeErrorObject } from '../openai-error.ts';
import {
  encodeAnnotations,
  encodeCalls,
  encodeCustomCall,
  encodeFinish,
  encodeImage,
  encodeLogprobs,
  encodeReasoningDetail,
  encodeSignature,
} from './reply-parts.ts';

export type ReplyContext = {
  /** Seconds since 1970. */
  created: number;
  /** `chatcmpl-…`, ours: providers' own ids are not unique together. */
  id: string;
  /** Model name as the client wrote it: what an upstream calls its own is for the headers. */
  model: string;
  systemFingerprint?: string;
  /** The request came with the deprecated `functions`: a call is answered as `function_call`. */
  legacyFunctions?: boolean;
  /** Tools whose calls are answered as free text. */
  customTools?: ReadonlySet<string>;
  /** OpenRouter's `reasoning.exclude`: think, and do not say it. */
  hideReasoning?: boolean;
};

export type StreamContext = ReplyContext & {
  /** `stream_options.include_usage`. */
  includeUsage?: boolean;
};

export type StreamEncoder = {
  /** SSE text of one event of choice `index`; may be empty. */
  push(event: ChatEvent, index?: number): string;
  /** The last SSE text: usage when it was asked for, then [DONE]. */
  end(): string;
  /** The last SSE text when the answer broke off. */
  fail(error: ViaductError): string;
};

/**
 * Events → SSE text, ready to write. Every chunk carries the same id and time; with `includeUsage` every chunk but the last says
 * `usage: null`, as OpenAI does. Several choices may be pushed in turn; their usage is summed, the prompt counted once.
 */
export function createStreamEncoder(context: StreamContext): StreamEncoder {
  let head = '';
  let usage: Usage | undefined;
  const tail = context.includeUsage ? '],"usage":null}\n\n' : ']}\n\n';
  const detailsSeen = new Map<number, number>();
  const imagesSeen = new Map<number, number>();

  const begin = () => {
    head ||= `data: ${openObject({
      id: context.id,
      object: 'chat.completion.chunk',
      created: context.created,
      model: context.model,
      ...(context.systemFingerprint && { system_fingerprint: context.systemFingerprint }),
    })},"choices":[`;
  };

  /** `delta` and `logprobs` are JSON text: this runs once per token. */
  const chunk = (index: number, delta: string, logprobs = 'null', finish = 'null', more = '') =>
    `${head}{"index":${index},"delta":${delta},"logprobs":${logprobs},"finish_reason":${finish}${more}}${tail}`;

  const reasoningEnd = (index: number, event: Extract<ChatEvent, { type: 'reasoning-end' }>) => {
    const { type: _type, ...end } = event;
    const at = detailsSeen.get(index) ?? 0;
    const detail = encodeReasoningDetail({ type: 'reasoning', text: '', ...end }, at);
    if (!detail) return '';
    detailsSeen.set(index, at + 1);
    return chunk(index, JSON.stringify({ reasoning_details: [detail] }));
  };

  /** Calls of custom tools whose text is not whole yet: it can only be taken out of whole JSON. */
  const customCalls = new Map<string, { index: number; at: number; id: string; name: string; json: string }>();

  const takeCustomCalls = (index: number) => {
    let text = '';
    for (const [key, call] of customCalls) {
      if (call.index !== index) continue;
      customCalls.delete(key);
      text += chunk(
        index,
        JSON.stringify({ tool_calls: [{ index: call.at, ...encodeCustomCall(call.id, call.name, call.json) }] }),
      );
    }
    return text;
  };

  /** All in one chunk, as OpenAI sends them: its SDKs replace a second list, or break on it. */
  const annotations = new Map<number, JsonObject[]>();

  const note = (index: number, citation: Citation) =>
    annotations.set(index, [...(annotations.get(index) ?? []), ...encodeAnnotations([citation])]);

  const takeAnnotations = (index: number) => {
    const noted = annotations.get(index);
    return noted?.length ? chunk(index, JSON.stringify({ annotations: noted })) : '';
  };

  const toolDelta = (at: number, delta: JsonObject) =>
    JSON.stringify(
      context.legacyFunctions ? { function_call: delta['function'] } : { tool_calls: [{ index: at, ...delta }] },
    );

  const finish = (index: number, event: ChatResult['finish']) => {
    usage = usage ? addChoice(usage, event.usage) : event.usage;
    const { finish_reason, ...more } = encodeFinish(event, context);
    const text = JSON.stringify(more);
    return chunk(index, '{}', 'null', JSON.stringify(finish_reason), text === '{}' ? '' : `,${text.slice(1, -1)}`);
  };

  return {
    push(event, index = 0) {
      switch (event.type) {
        case 'start':
          begin();
          return chunk(index, '{"role":"assistant","content":"","refusal":null}');
        case 'text':
          return chunk(
            index,
            `{"content":${JSON.stringify(event.text)}}`,
            event.logprobs && JSON.stringify(encodeLogprobs(event.logprobs)),
          );
        case 'citation':
          note(index, event.citation);
          return '';
        case 'refusal':
          return chunk(index, `{"refusal":${JSON.stringify(event.text)}}`);
        case 'image': {
          const at = imagesSeen.get(index) ?? 0;
          imagesSeen.set(index, at + 1);
          return chunk(index, JSON.stringify({ images: [encodeImage(event.source, at)] }));
        }
        case 'reasoning': {
          if (context.hideReasoning) return '';
          const text = JSON.stringify(event.text);
          return chunk(index, `{"reasoning_content":${text},"reasoning":${text}}`);
        }
        case 'reasoning-end':
          return context.hideReasoning ? '' : reasoningEnd(index, event);
        case 'tool-call': {
          const { id, name, signature } = event;
          if (context.customTools?.has(name)) {
            customCalls.set(`${index} ${event.index}`, { index, at: event.index, id, name, json: '' });
            return '';
          }
          const call = { id, type: 'function', function: { name, arguments: '' }, ...encodeSignature(signature) };
          return chunk(index, toolDelta(event.index, call));
        }
        case 'tool-input': {
          const custom = customCalls.get(`${index} ${event.index}`);
          if (custom) {
            custom.json += event.json;
            return '';
          }
          return chunk(index, toolDelta(event.index, { function: { arguments: event.json } }));
        }
        case 'finish':
          return takeCustomCalls(index) + takeAnnotations(index) + finish(index, event);
        default:
          return event satisfies never;
      }
    },

    end() {
      begin();
      const total = context.includeUsage && usage ? `${head}],"usage":${JSON.stringify(encodeUsage(usage))}}\n\n` : '';
      return `${total}data: [DONE]\n\n`;
    },

    fail: (error) => {
      begin();
      const broken = '{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"error"}';
      return `${head}${broken}],"error":${JSON.stringify(encodeErrorObject(error))}}\n\n`;
    },
  };
}

/** The last SSE text of a relayed stream that broke off: a chunk with `error`, at which OpenAI's SDKs throw. */
export function encodeStreamError(error: ViaductError, context: ReplyContext): string {
  return createStreamEncoder(context).fail(error);
}

/** One result, or one for each of `n` → the body of a unary reply. Usage is summed, the prompt counted once. */
export function encodeResponse(results: ChatResult | ChatResult[], context: ReplyContext): JsonObject {
  const all = Array.isArray(results) ? results : [results];
  const usage = all.map((result) => result.finish.usage).reduce(addChoice);
  return {
    id: context.id,
    object: 'chat.completion',
    created: context.created,
    model: context.model,
    choices: all.map((result, index) => ({
      index,
      message: encodeMessage(result, context),
      logprobs: result.logprobs ? encodeLogprobs(result.logprobs) : null,
      ...encodeFinish(result.finish, context),
    })),
    usage: encodeUsage(usage),
    ...(context.systemFingerprint && { system_fingerprint: context.systemFingerprint }),
  };
}

function encodeMessage({ parts, citations = [] }: ChatResult, context: ReplyContext): JsonObject {
  const text = parts.flatMap((part) => (part.type === 'text' ? [part.text] : []));
  const refusal = parts.flatMap((part) => (part.type === 'refusal' ? [part.text] : [])).join('');
  const thoughts = context.hideReasoning ? [] : parts.filter((part) => part.type === 'reasoning');
  const reasoning = thoughts.map((part) => part.text).join('');
  const details = thoughts.flatMap((part, index) => encodeReasoningDetail(part, index) ?? []);
  const calls = parts.filter((part) => part.type === 'tool-call');
  const images = parts.filter((part) => part.type === 'image');
  const annotations = encodeAnnotations(citations);
  return {
    role: 'assistant',
    content: text.length > 0 ? text.join('') : calls.length > 0 || refusal ? null : '',
    refusal: refusal || null,
    ...(annotations.length > 0 && { annotations }),
    ...(reasoning && { reasoning_content: reasoning, reasoning }),
    ...(details.length > 0 && { reasoning_details: details }),
    ...encodeCalls(calls, context),
    ...(images.length > 0 && { images: images.map(({ source }, index) => encodeImage(source, index)) }),
  };
}

/** Usage of several choices of one prompt: the prompt counts once. */
export function addChoice(sum: Usage, choice: Usage): Usage {
  const reasoning = (sum.reasoning ?? 0) + (choice.reasoning ?? 0);
  return { ...sum, output: sum.output + choice.output, ...(reasoning > 0 && { reasoning }) };
}

/** Counts → `usage`. */
export function encodeUsage({ input, output, cacheRead, cacheWrite, reasoning, image }: Usage): JsonObject {
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: {
      cached_tokens: cacheRead ?? 0,
      ...(cacheWrite && { cache_write_tokens: cacheWrite }),
      ...(image && { image_tokens: image }),
    },
    completion_tokens_details: { reasoning_tokens: reasoning ?? 0 },
  };
}

/** JSON of an object without its closing brace. */
const openObject = (value: JsonObject) => JSON.stringify(value).slice(0, -1);
