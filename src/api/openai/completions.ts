import { randomUUID } from 'node:crypto';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { ChatCall } from '../../gateway/gateway.ts';
import {
  type CompletionContext,
  type CompletionRequest,
  createStreamEncoder,
  decodeRequest,
  encodeResponse,
  pickBest,
  sumUsage,
  wireRequest,
} from '../../protocols/openai-completions.ts';
import { sendChat, streamChat } from '../chat-answer.ts';
import type { Endpoint, Exchange } from '../define.ts';
import { jsonBody, servedHeaders } from '../http.ts';
import { eventStream, keepAlive } from '../stream-writer.ts';
import { collectMany, streamMany } from './side-by-side.ts';

/** POST /v1/completions — https://platform.openai.com/docs/api-reference/completions/create */
export const completions: Endpoint = {
  method: 'POST',
  path: '/v1/completions',
  body: wireRequest,
  async handle(exchange) {
    const body = jsonBody(exchange.request);
    const context = {
      id: `cmpl-${randomUUID().replaceAll('-', '')}`,
      created: Math.floor(exchange.services.now() / 1000),
    };
    const { model: named } = body;
    if (typeof named === 'string' && (await exchange.caller.speaks('openai-completions', named)) === 'all')
      return relay(exchange, body, { ...context, model: named });
    const request = decodeRequest(body);
    const model = request.calls[0]?.model ?? '';
    const calls = request.calls.map(
      (call): ChatCall => ({ protocol: 'openai-completions', model, stream: request.stream, decode: () => call }),
    );
    const [first] = calls;
    if (first && calls.length === 1) return answerOne(exchange, { ...first, body }, request, { ...context, model });
    if (request.stream) return streamMany(exchange, calls, () => createStreamEncoder(request, { ...context, model }));
    const { results, served } = await collectMany(exchange, calls);
    const usage = sumUsage(
      results.map((result) => result.finish.usage),
      request.candidates,
    );
    return exchange.reply
      .headers(servedHeaders(served))
      .send(encodeResponse(pickBest(results, request), usage, request, { ...context, model }));
  },
};

/** The provider has this endpoint: whatever the body asks of it is its to judge, several prompts and answers included. */
function relay(exchange: Exchange, body: JsonObject, context: CompletionContext) {
  const stream = body['stream'] === true;
  const request = { calls: [], candidates: 1, n: 1, echo: [''], logprobs: false, stream, includeUsage: false };
  // For a canary or a shadow that has no such endpoint.
  const decode = () => {
    const [first, second] = decodeRequest(body).calls;
    if (first && !second) return first;
    throw new ViaductError('unsupported_capability', 'Only one prompt with one answer can be asked as a chat.');
  };
  return answerOne(
    exchange,
    { protocol: 'openai-completions', model: context.model, stream, body, decode },
    request,
    context,
  );
}

/** One prompt with one answer, which a provider that has the same endpoint may give itself. */
function answerOne(exchange: Exchange, call: ChatCall, request: CompletionRequest, context: CompletionContext) {
  if (!call.stream)
    return sendChat(exchange, call, (result) => encodeResponse([result], result.finish.usage, request, context));
  const encoder = createStreamEncoder(request, context);
  return streamChat(exchange, call, {
    contentType: eventStream,
    keepAlive,
    createEncoder: () => ({ push: (event) => encoder.push(event, 0), end: encoder.end }),
    encodeError: encoder.fail,
  });
}
