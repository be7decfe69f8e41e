/**
 * What Gemini answers → core events: whole replies, streams and errors. Pure.
 * Source: https://ai.google.dev/api/generate-content#generatecontentresponse (read 2026-11)
 */
import type { ChatEvent, FinishReason, TokenLogprob } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { Usage } from '../../core/usage.ts';
import type { SseMessage } from '../../lib/sse.ts';
import { decodeError, decodeErrorBody } from '../openai-error.ts';
import { count, isObject, list, object, parseObject, text } from '../read.ts';
import { createGrounding } from './grounding.ts';
import { addPiece, noArguments } from './partial-args.ts';

/** Google's errors carry the same words in other places; the table for OpenAI-shaped upstreams reads them too. */
export { decodeError };

/** A whole reply → events. Throws content_policy_violation when the prompt was refused, or what an error inside says. */
export function decodeResponse(body: JsonObject): ChatEvent[] {
  const decoder = createDecoder();
  return [...decoder.push(body), ...decoder.end()];
}

/**
 * A stream's messages → events; `finish` comes with `end`, as usage grows until then.
 * Both throw what an error inside says, and provider_invalid_response when the answer is not whole.
 */
export function createStreamDecoder() {
  const decoder = createDecoder();
  return {
    push({ data }: SseMessage): ChatEvent[] {
      const body = parseObject(data);
      if (!body) throw new ViaductError('provider_invalid_response', 'Gemini sent an event that is not JSON.');
      return decoder.push(body);
    },
    end: decoder.end,
  };
}

function createDecoder() {
  let started = false;
  let calls = 0;
  /** The call whose arguments come in pieces. */
  let open: { index: number; args: JsonObject } | undefined;
  /** Thoughts have been said that nothing has signed yet. */
  let thinking = false;
  let finishReason = '';
  let usage: Usage = { input: 0, output: 0 };
  let answer = '';
  const grounding = createGrounding();

  /** A signature goes with the thoughts just said; where none were, with an empty one that follows what it signs. */
  const signed = (signature: string, events: ChatEvent[]): ChatEvent[] => {
    if (!signature) return events;
    const end = { type: 'reasoning-end', signature, origin: 'gemini' } as const;
    const before = thinking;
    thinking = false;
    return before ? [end, ...events] : [...events, end];
  };

  const closeCall = (): ChatEvent[] => {
    if (!open) return [];
    const { index, args } = open;
    open = undefined;
    return [{ type: 'tool-input', index, json: JSON.stringify(args) }];
  };

  /** A call has a name, and all of its arguments or the promise of pieces; pieces have no name, and the last makes no promise. */
  const decodeCall = (call: JsonObject, responseId: string, signature: string): ChatEvent[] => {
    const { id, name, args, partialArgs, willContinue } = call;
    const before = name ? closeCall() : [];
    const begun: ChatEvent[] = [];
    if (name) {
      const index = calls++;
      open = { index, args: isObject(args) ? args : noArguments() };
      // Older models give calls no id; clients need one that is theirs alone.
      const ownId = text(id) || `call_${responseId || 'gemini'}_${index}`;
      begun.push({ type: 'tool-call', index, id: ownId, name: text(name), ...(signature && { signature }) });
    }
    for (const piece of list(partialArgs)) if (open) addPiece(open.args, object(piece));
    return [...before, ...signed(signature, [...begun, ...(willContinue ? [] : closeCall())])];
  };

  const decodePart = (part: JsonObject, responseId: string, logprobs: TokenLogprob[]): ChatEvent[] => {
    const signature = text(part['thoughtSignature']);
    const said = text(part['text']);
    if (part['functionCall']) return decodeCall(object(part['functionCall']), responseId, signature);
    const { mimeType, data } = object(part['inlineData']);
    // Pictures among the thoughts are drafts.
    if (text(mimeType).startsWith('image/') && !part['thought'])
      return signed(signature, [{ type: 'image', source: { data: text(data), mediaType: text(mimeType) } }]);
    // Steps of Google's own tools (code, search) are theirs to show, not part of the answer.
    if (typeof part['text'] !== 'string') return [];
    if (part['thought']) {
      thinking ||= said !== '';
      return said ? [{ type: 'reasoning', text: said }] : [];
    }
    const tokens = said ? logprobs.splice(0) : [];
    answer += said;
    return signed(
      signature,
      said ? [{ type: 'text', text: said, ...(tokens.length > 0 && { logprobs: tokens }) }] : [],
    );
  };

  return {
    push(body: JsonObject): ChatEvent[] {
      if (body['error']) throw decodeErrorBody(body);
      const candidate = object(list(body['candidates'])[0]);
      const blocked = text(object(body['promptFeedback'])['blockReason']);
      if (blocked && list(body['candidates']).length === 0)
        throw new ViaductError('content_policy_violation', `Gemini refused the prompt (${blocked}).`);
      const events: ChatEvent[] = [];
      const responseId = text(body['responseId']);
      if (!started) {
        started = true;
        events.push({ type: 'start', id: responseId, model: text(body['modelVersion']) });
      }
      if (body['usageMetadata']) usage = decodeUsage(object(body['usageMetadata']));
      finishReason = text(candidate['finishReason']) || finishReason;
      const logprobs = decodeLogprobs(object(candidate['logprobsResult']));
      for (const part of list(object(candidate['content'])['parts']))
        events.push(...decodePart(object(part), responseId, logprobs));
      if (candidate['groundingMetadata'] || candidate['citationMetadata'])
        addAfterText(events, grounding.read(candidate, answer));
      return events;
    },
    end(): ChatEvent[] {
      if (!finishReason)
        throw new ViaductError('provider_invalid_response', 'Gemini ended its answer before it was complete.');
      return [
        ...grounding.end(),
        ...closeCall(),
        { type: 'finish', reason: finishOf(finishReason, calls > 0), rawReason: finishReason, usage },
      ];
    },
  };
}

/** Sources stand with the text, not after a call that followed it. */
function addAfterText(events: ChatEvent[], sources: ChatEvent[]) {
  const at = events.findLastIndex(({ type }) => type === 'text');
  events.splice(at === -1 ? events.length : at + 1, 0, ...sources);
}

const finishReasons: Record<string, FinishReason> = {
  STOP: 'stop',
  MAX_TOKENS: 'length',
  SAFETY: 'content-filter',
  RECITATION: 'content-filter',
  BLOCKLIST: 'content-filter',
  PROHIBITED_CONTENT: 'content-filter',
  SPII: 'content-filter',
  MODEL_ARMOR: 'content-filter',
  IMAGE_SAFETY: 'content-filter',
  IMAGE_PROHIBITED_CONTENT: 'content-filter',
  IMAGE_RECITATION: 'content-filter',
  IMAGE_OTHER: 'error',
  NO_IMAGE: 'error',
  MALFORMED_FUNCTION_CALL: 'error',
  UNEXPECTED_TOOL_CALL: 'error',
  TOO_MANY_TOOL_CALLS: 'error',
  MISSING_THOUGHT_SIGNATURE: 'error',
  MALFORMED_RESPONSE: 'error',
};

function finishOf(word: string, called: boolean): FinishReason {
  const reason = finishReasons[word] ?? 'stop';
  return reason === 'stop' && called ? 'tool-calls' : reason;
}

/** Source: https://ai.google.dev/api/generate-content#LogprobsResult */
function decodeLogprobs({ chosenCandidates, topCandidates }: JsonObject): TokenLogprob[] {
  const token = (wire: Json | undefined) => {
    const { token, logProbability } = object(wire);
    const bytes = [...Buffer.from(text(token))];
    return { token: text(token), logprob: typeof logProbability === 'number' ? logProbability : 0, bytes };
  };
  return list(chosenCandidates).map((chosen, at) => ({
    ...token(chosen),
    top: list(object(list(topCandidates)[at])['candidates']).map(token),
  }));
}

/** Gemini counts thoughts beside the answer, and what hosted tools read beside the prompt; ours are totals. */
function decodeUsage(wire: JsonObject): Usage {
  const thoughts = count(wire['thoughtsTokenCount']);
  const cached = count(wire['cachedContentTokenCount']);
  const image = tokensOf(wire['promptTokensDetails'], 'IMAGE');
  return {
    input: count(wire['promptTokenCount']) + count(wire['toolUsePromptTokenCount']),
    output: count(wire['candidatesTokenCount']) + thoughts,
    ...(thoughts > 0 && { reasoning: thoughts }),
    ...(cached > 0 && { cacheRead: cached }),
    ...(image > 0 && { image }),
  };
}

function tokensOf(details: Json | undefined, modality: string): number {
  const entry = list(details)
    .map(object)
    .find((detail) => detail['modality'] === modality);
  return count(entry?.['tokenCount']);
}
