import { wireRequest } from '../../protocols/anthropic-messages.ts';
import type { Endpoint } from '../define.ts';
import { servedHeaders } from '../http.ts';
import { callOf } from './call.ts';

/** POST /v1/messages/count_tokens — https://docs.anthropic.com/en/api/messages-count-tokens */
export const countTokens: Endpoint = {
  method: 'POST',
  path: '/v1/messages/count_tokens',
  body: wireRequest,
  async handle(exchange) {
    const answer = await exchange.caller.countTokens(callOf(exchange, { counting: true }));
    exchange.reply.headers(servedHeaders(answer)).send({ input_tokens: answer.result });
  },
};
