/**
 * What Bedrock's Converse answers → core events: whole replies, streams and errors. Pure.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html (read 2026-11)
 */
import type { ChatEvent, FinishReason } from '../../core/chat.ts';
import { type ErrorCode, ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { Usage } from '../../core/usage.ts';
import type { SseMessage } from '../../lib/sse.ts';
import { lacksAbility } from '../error-cause.ts';
import { count, isObject, list, object, parseObject, text, toolName } from '../read.ts';
import { createCitedBlocks } from './citations.ts';

/** A whole reply → events. Converse gives answers neither an id nor the model's name. */
export function decodeResponse(body: JsonObject): ChatEvent[] {
  const { message } = object(body['output']);
  if (!isObject(message))
    throw new ViaductError('provider_invalid_response', 'Bedrock answered with something that is not a message.');
  let calls = 0;
  const events: ChatEvent[] = [start];
  const blocks = createCitedBlocks();
  for (const block of list(message['content']).map(object)) {
    const { reasoningText, redactedContent } = object(block['reasoningContent']);
    const use = object(block['toolUse']);
    const cited = object(block['citationsContent']);
    const said = text(block['text']) || citedText(cited);
    if (said) events.push(blocks.say(said));
    for (const source of list(cited['citations'])) blocks.cite(object(source));
    events.push(...blocks.close());
    if (reasoningText) {
      const { text: thought, signature } = object(reasoningText);
      events.push({ type: 'reasoning', text: text(thought) }, reasoningEnd(text(signature)));
    } else if (redactedContent) events.push({ type: 'reasoning-end', redacted: text(redactedContent), origin });
    else if (isClientTool(use)) {
      const index = calls++;
      events.push(
        { type: 'tool-call', index, id: text(use['toolUseId']), name: toolName(use['name']) },
        { type: 'tool-input', index, json: JSON.stringify(use['input'] ?? {}) },
      );
    }
  }
  events.push(finish(body, decodeUsage(object(body['usage'])), calls > 0));
  return events;
}

/** Text that has citations stands in a block of its own. */
const citedText = ({ content }: JsonObject) =>
  list(content)
    .map((piece) => text(object(piece)['text']))
    .join('');

const origin = 'bedrock-converse';
const start: ChatEvent = { type: 'start', id: '', model: '' };
const reasoningEnd = (signature: string): ChatEvent => ({
  type: 'reasoning-end',
  ...(signature && { signature, origin }),
});
/** Tools that Bedrock runs itself say so in `type`; their steps are not calls for the client. */
const isClientTool = (use: JsonObject) => use['toolUseId'] !== undefined && use['type'] !== 'server_tool_use';

/** A stream's messages (`event` is the frame's type) → events. Throws what an exception frame says, or that the answer is not whole. */
export function createStreamDecoder() {
  /** Content block → index of its call among the calls. */
  const calls = new Map<number, number>();
  const blocks = createCitedBlocks();
  let thinking = false;
  let signature = '';
  let stopped: JsonObject = {};
  let usage: Usage = { input: 0, output: 0 };

  const endThought = (): ChatEvent[] => {
    if (!thinking) return [];
    const end = reasoningEnd(signature);
    thinking = false;
    signature = '';
    return [end];
  };

  const decodeDelta = ({ contentBlockIndex, delta }: JsonObject): ChatEvent[] => {
    const { text: said, toolUse, reasoningContent, citation } = object(delta);
    if (typeof said === 'string') return said ? [blocks.say(said)] : [];
    if (citation) {
      blocks.cite(object(citation));
      return [];
    }
    if (toolUse) {
      const index = calls.get(count(contentBlockIndex));
      return index === undefined ? [] : [{ type: 'tool-input', index, json: text(object(toolUse)['input']) }];
    }
    const { text: thought, signature: sign, redactedContent } = object(reasoningContent);
    if (redactedContent) return [{ type: 'reasoning-end', redacted: text(redactedContent), origin }];
    if (reasoningContent) thinking = true;
    signature += text(sign);
    return typeof thought === 'string' && thought ? [{ type: 'reasoning', text: thought }] : [];
  };

  return {
    push({ event, data }: SseMessage): ChatEvent[] {
      const body = parseObject(data) ?? {};
      switch (event) {
        case 'messageStart':
          return [start];
        case 'contentBlockStart': {
          const use = object(object(body['start'])['toolUse']);
          if (!isClientTool(use)) return [];
          const index = calls.size;
          calls.set(count(body['contentBlockIndex']), index);
          return [{ type: 'tool-call', index, id: text(use['toolUseId']), name: toolName(use['name']) }];
        }
        case 'contentBlockDelta':
          return decodeDelta(body);
        case 'contentBlockStop':
          return [...endThought(), ...blocks.close()];
        case 'messageStop':
          stopped = body;
          return [];
        case 'metadata':
          usage = decodeUsage(object(body['usage']));
          return [];
        default:
          if (event?.endsWith('Exception')) throw decodeException(event, text(body['message']));
          return [];
      }
    },
    end(): ChatEvent[] {
      if (!stopped['stopReason'])
        throw new ViaductError('provider_invalid_response', 'Bedrock ended its answer before it was complete.');
      return [...blocks.close(), finish(stopped, usage, calls.size > 0)];
    },
  };
}

const finishReasons: Record<string, FinishReason> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  refusal: 'content-filter',
  guardrail_intervened: 'content-filter',
  content_filtered: 'content-filter',
  malformed_model_output: 'error',
  malformed_tool_use: 'error',
};

/** `stopped`: what holds `stopReason`, and the sequence that did it where the model says so. */
function finish(stopped: JsonObject, usage: Usage, called: boolean): ChatEvent {
  const rawReason = text(stopped['stopReason']);
  const reason = finishReasons[rawReason] ?? 'stop';
  const fields = object(stopped['additionalModelResponseFields']);
  const stopSequence = text(fields['stop_sequence']) || text(object(fields['delta'])['stop_sequence']);
  return {
    type: 'finish',
    reason: reason === 'tool-calls' && !called ? 'stop' : reason,
    rawReason,
    ...(stopSequence && { stopSequence }),
    usage,
  };
}

/** Bedrock counts cached tokens beside `inputTokens`; our `input` is the total. */
function decodeUsage(wire: JsonObject): Usage {
  const cacheRead = count(wire['cacheReadInputTokens'] ?? wire['cacheReadInputTokenCount']);
  const cacheWrite = count(wire['cacheWriteInputTokens'] ?? wire['cacheWriteInputTokenCount']);
  return {
    input: count(wire['inputTokens']) + cacheRead + cacheWrite,
    output: count(wire['outputTokens']),
    ...(cacheRead > 0 && { cacheRead }),
    ...(cacheWrite > 0 && { cacheWrite }),
  };
}

/** A failed reply → our error. The exception's name is in a header, the reason in the body. */
export function decodeError(
  status: number,
  headers: Record<string, string | string[] | undefined>,
  bodyText: string,
): ViaductError {
  const body = parseObject(bodyText) ?? {};
  const named =
    text(headers['x-amzn-errortype'] as string | undefined) ||
    text(body['__type']) ||
    text(object(body['Output'])['__type']);
  const name = named.split(/[:#]/).find((word) => word.endsWith('Exception')) ?? '';
  return decodeException(name || (exceptionsByStatus[status] ?? ''), text(body['message'] ?? body['Message']));
}

const exceptionsByStatus: Record<number, string> = {
  400: 'ValidationException',
  403: 'AccessDeniedException',
  404: 'ResourceNotFoundException',
  408: 'ModelTimeoutException',
  424: 'ModelErrorException',
  429: 'ThrottlingException',
  503: 'ServiceUnavailableException',
};

const refusedCredentials: [ErrorCode, string] = [
  'provider_account',
  'Bedrock refused this server’s credentials; its administrator has to mend that.',
];

const exceptions: Record<string, [ErrorCode, string]> = {
  throttling: ['provider_rate_limited', 'Bedrock is limiting the rate of requests; try again later.'],
  servicequotaexceeded: ['provider_rate_limited', 'A quota of the Bedrock account is used up; try again later.'],
  serviceunavailable: ['provider_overloaded', 'Bedrock is overloaded; try again later.'],
  modelnotready: ['provider_overloaded', 'The model is not ready at Bedrock; try again later.'],
  modeltimeout: ['provider_timeout', 'The model took too long to answer.'],
  modelstreamerror: ['provider_unavailable', 'The model failed in the middle of its answer.'],
  modelerror: ['provider_unavailable', 'The model failed.'],
  internalserver: ['provider_unavailable', 'Bedrock failed.'],
  accessdenied: refusedCredentials,
  unrecognizedclient: refusedCredentials,
  expiredtoken: refusedCredentials,
  invalidsignature: refusedCredentials,
  incompletesignature: refusedCredentials,
  missingauthenticationtoken: refusedCredentials,
};

function decodeException(name: string, message: string): ViaductError {
  // Access is granted model by model: one that is missing is no reason to rest the account.
  if (/^AccessDenied/.test(name) && /access to the model/i.test(message))
    return new ViaductError('model_not_found', 'Bedrock has not granted this server’s account access to this model.', {
      param: 'model',
    });
  const known = exceptions[name.replace(/Exception$/, '').toLowerCase()];
  if (known) return new ViaductError(...known);
  if (/too many (input )?tokens|too long|context (length|window)|maximum context|exceeds the maximum/i.test(message))
    return new ViaductError('context_length_exceeded', message);
  if (
    /model identifier is invalid|on-demand throughput|could not resolve the foundation model|model.*not found/i.test(
      message,
    ) ||
    /^ResourceNotFound/.test(name)
  )
    return new ViaductError('model_not_found', message || 'Bedrock does not have this model.', { param: 'model' });
  if (lacksAbility(message))
    return new ViaductError('unsupported_capability', 'Bedrock cannot do this with this model.', { param: 'model' });
  if (/^Validation/.test(name)) return new ViaductError('provider_rejected', message || 'Bedrock refused the request.');
  return new ViaductError('provider_unavailable', 'Bedrock failed.');
}
