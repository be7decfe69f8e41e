import { randomUUID } from 'node:crypto';
import type { ChatCall } from '../../gateway/gateway.ts';
import {
  createStreamEncoder,
  decodeRequest,
  encodeResponse,
  pickBest,
  sumUsage,
} from '../../protocols/openai-completions.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody, servedHeaders } from '../http.ts';
import { collectMany, streamMany } from './side-by-side.ts';

/** POST /v1/completions — https://platform.openai.com/docs/api-reference/completions/create */
export const completions: Endpoint = {
  method: 'POST',
  path: '/v1/completions',
  async handle(exchange) {
    const request = decodeRequest(jsonBody(exchange.request));
    const model = request.calls[0]?.model ?? '';
    const context = {
      id: `cmpl-${randomUUID().replaceAll('-', '')}`,
      created: Math.floor(exchange.services.now() / 1000),
      model,
    };
    const calls = request.calls.map(
      (call): ChatCall => ({ protocol: 'openai-completions', model, stream: request.stream, decode: () => call }),
    );
    if (request.stream) return streamMany(exchange, calls, () => createStreamEncoder(request, context));
    const { results, served } = await collectMany(exchange, calls);
    const usage = sumUsage(
      results.map((result) => result.finish.usage),
      request.candidates,
    );
    const body = encodeResponse(pickBest(results, request), usage, request, context);
    return exchange.reply.headers(servedHeaders(served)).send(body);
  },
};
