import { randomUUID } from 'node:crypto';
import { createFolder } from '../../core/collect.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { ChatCall, Served } from '../../gateway/gateway.ts';
import {
  createStreamEncoder,
  customToolNames,
  decodeRequest,
  encodeResponse,
  encodeStreamError,
  type StreamContext,
  wireRequest,
} from '../../protocols/openai-chat.ts';
import { sendChat, streamChat } from '../chat-answer.ts';
import type { Endpoint, Exchange } from '../define.ts';
import { jsonBody, servedHeaders } from '../http.ts';
import { eventStream, keepAlive } from '../stream-writer.ts';
import { collectMany, streamMany } from './side-by-side.ts';

/** POST /v1/chat/completions — https://platform.openai.com/docs/api-reference/chat/create */
export const chatCompletions: Endpoint = {
  method: 'POST',
  path: '/v1/chat/completions',
  body: wireRequest,
  handle(exchange) {
    const given = withModel(jsonBody(exchange.request));
    const body = withUsage(given, exchange.request.headers['x-viaduct-usage'] === 'always');
    const call = callOf(body);
    const context = contextOf(exchange, body);
    const many = typeof body['n'] === 'number' && body['n'] !== 1;
    if (many || body['store'] === true) return answerOurselves(exchange, call, body, context);
    if (!call.stream) return sendChat(exchange, call, (result, served) => encodeResponse(result, context(served)));
    return streamChat(exchange, call, {
      contentType: eventStream,
      keepAlive,
      createEncoder: (served) => createStreamEncoder(context(served)),
      encodeError: (error) => encodeStreamError(error, context()),
    });
  },
};

/** OpenRouter's clients may give a list of models only. Source: https://openrouter.ai/docs/features/model-routing */
function withModel(body: JsonObject): JsonObject {
  const { model, models } = body;
  return model === undefined && Array.isArray(models) && typeof models[0] === 'string'
    ? { ...body, model: models[0] }
    : body;
}

/** `x-viaduct-usage: always` is for clients that cannot set stream_options. */
function withUsage(body: JsonObject, always: boolean): JsonObject {
  if (!always || body['stream'] !== true) return body;
  return { ...body, stream_options: { ...(body['stream_options'] as JsonObject | null), include_usage: true } };
}

/** The body as a call. Only what every request needs is checked: a relayed one is checked by its provider. */
function callOf(body: JsonObject): ChatCall {
  const { model, messages, stream } = body;
  if (typeof model !== 'string' || model === '') throw invalid('model', model, 'a string');
  if (!Array.isArray(messages)) throw invalid('messages', messages, 'an array');
  if (stream != null && typeof stream !== 'boolean') throw invalid('stream', stream, 'a boolean');
  return {
    protocol: 'openai-chat',
    model,
    stream: stream ?? false,
    body,
    decode: () => decodeRequest(body),
  };
}

function invalid(param: string, value: unknown, expected: string) {
  const message =
    value === undefined
      ? `Missing required parameter: '${param}'.`
      : `Invalid type for '${param}': expected ${expected} that is not empty.`;
  return new ViaductError('invalid_request', message, { param });
}

/**
 * What every piece of the answer says of itself: made when it is needed, for a relayed answer never. The fingerprint of
 * a local model is that of its weights.
 */
function contextOf({ services }: Exchange, body: JsonObject): (served?: Served) => StreamContext {
  let context: StreamContext | undefined;
  return (served) => {
    context ??= newContext(body, services.now());
    const digest = served?.report.digest;
    return digest ? { ...context, systemFingerprint: `fp_${digest.replace('sha256:', '').slice(0, 12)}` } : context;
  };
}

const newContext = (
  { stream_options, reasoning, functions, tools, model }: JsonObject,
  now: number,
): StreamContext => ({
  id: `chatcmpl-${randomUUID().replaceAll('-', '')}`,
  created: Math.floor(now / 1000),
  model: String(model),
  includeUsage: field(stream_options, 'include_usage') === true,
  hideReasoning: field(reasoning, 'exclude') === true,
  legacyFunctions: Array.isArray(functions),
  customTools: customToolNames(tools),
});

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;

/**
 * Several answers, or one that is to be kept: never relayed, as no provider's answer is the whole of ours. `n` answers
 * are `n` calls side by side; with a seed each has its own, counted up from it.
 */
async function answerOurselves(
  exchange: Exchange,
  call: ChatCall,
  body: JsonObject,
  context: (served?: Served) => StreamContext,
) {
  const { n = 1, ...request } = call.decode();
  const calls = Array.from({ length: n }, (_, at): ChatCall => {
    const { body: _body, ...rest } = call;
    const own = request.seed === undefined ? request : { ...request, seed: request.seed + at };
    return { ...rest, decode: () => own };
  });
  const keep = body['store'] === true ? keeper(exchange, body, request.metadata) : undefined;

  if (call.stream)
    return streamMany(exchange, calls, (served) => {
      const encoder = createStreamEncoder(context(served));
      if (!keep) return encoder;
      const folders = calls.map(createFolder);
      return {
        ...encoder,
        push(event, index) {
          folders[index]?.push(event);
          return encoder.push(event, index);
        },
        beforeEnd: () =>
          keep(
            encodeResponse(
              folders.map((folder) => folder.result()),
              context(served),
            ),
          ),
      };
    });

  const { results, served } = await collectMany(exchange, calls);
  const completion = encodeResponse(results, context(served));
  await keep?.(completion);
  return exchange.reply
    .headers(servedHeaders(served))
    .send({ ...completion, ...(keep && { metadata: request.metadata ?? {} }) });
}

/** Keeps a completion together with what led to it. */
function keeper({ caller, services }: Exchange, body: JsonObject, metadata: Record<string, string> = {}) {
  return (completion: JsonObject) =>
    services.storedChats.insert({
      id: String(completion['id']),
      owner: caller.owner,
      model: String(body['model']),
      metadata,
      messages: body['messages'] as Json[],
      completion,
      createdAt: services.now(),
    });
}
