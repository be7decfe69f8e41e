/** The pieces of a reply in OpenAI's shape, whole and streamed alike. Source: https://platform.openai.com/docs/api-reference/chat/object */
import type {
  ChatResult,
  Citation,
  FinishReason,
  ReasoningPart,
  Source,
  TokenLogprob,
  ToolCallPart,
} from '../../core/chat.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { encodeUrlCitation } from '../citations.ts';
import { pictureUrl } from '../picture.ts';
import { decodeFreeText } from './custom-tools.ts';
import { reasoningFormats } from './decode-reply.ts';
import type { ReplyContext } from './encode-reply.ts';

/** Sources without an address have no place here. `content` is OpenRouter's name for the source's own words. */
export const encodeAnnotations = (citations: Citation[]): JsonObject[] =>
  citations.flatMap((citation) => {
    const fields = encodeUrlCitation(citation);
    if (!fields) return [];
    const { quote } = citation;
    return [{ type: 'url_citation', url_citation: { ...fields, ...(quote && { content: quote }) } }];
  });

/** A picture that the model made, as OpenRouter and LiteLLM give it. Source: https://openrouter.ai/docs/features/multimodal/image-generation */
export const encodeImage = (source: Source, index: number): JsonObject => ({
  type: 'image_url',
  image_url: { url: pictureUrl(source) },
  index,
});

export function encodeCalls(calls: ToolCallPart[], { legacyFunctions, customTools }: ReplyContext): JsonObject {
  const [first] = calls;
  if (!first) return {};
  if (legacyFunctions) return { function_call: { name: first.name, arguments: first.arguments } };
  return {
    tool_calls: calls.map(({ id, name, arguments: json, signature }) =>
      customTools?.has(name)
        ? encodeCustomCall(id, name, json)
        : { id, type: 'function', function: { name, arguments: json }, ...encodeSignature(signature) },
    ),
  };
}

export const encodeCustomCall = (id: string, name: string, json: string): JsonObject => ({
  id,
  type: 'custom',
  custom: { name, input: decodeFreeText(json) },
});

export function encodeFinish(finish: ChatResult['finish'], { legacyFunctions }: ReplyContext): JsonObject {
  const ours = finishReasons[finish.reason];
  return {
    finish_reason: legacyFunctions && finish.reason === 'tool-calls' ? 'function_call' : ours,
    ...(finish.rawReason && finish.rawReason !== ours && { native_finish_reason: finish.rawReason }),
    ...(finish.toolError && { tool_error: finish.toolError }),
  };
}

/** A thought that must come back unchanged, in OpenRouter's shape; undefined when nothing of it is opaque. */
export function encodeReasoningDetail(part: ReasoningPart, index: number): JsonObject | undefined {
  const { id, text, signature, redacted, origin } = part;
  if (!signature && !redacted) return undefined;
  const format = reasoningFormats.find(([, protocol]) => protocol === origin)?.[0];
  return {
    type: redacted ? 'reasoning.encrypted' : 'reasoning.text',
    ...(text && { text }),
    ...(signature && { signature }),
    ...(redacted && { data: redacted }),
    ...(id && { id }),
    ...(format && { format }),
    index,
  };
}

export function encodeSignature(signature: string | undefined): JsonObject {
  return signature ? { extra_content: { google: { thought_signature: signature } } } : {};
}

export function encodeLogprobs(logprobs: TokenLogprob[]): Json {
  return {
    content: logprobs.map(({ token, logprob, bytes, top }) => ({ token, logprob, bytes, top_logprobs: top })),
    refusal: null,
  };
}

const finishReasons: Record<FinishReason, string> = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
  error: 'error',
};
