import type { Endpoint } from '../../define.ts';
import { encodeStored, storedChatOf } from './shared.ts';

/** GET /v1/chat/completions/ID — https://platform.openai.com/docs/api-reference/chat/get */
export const getStoredChat: Endpoint = {
  method: 'GET',
  path: '/v1/chat/completions/:id',
  async handle(exchange) {
    return exchange.reply.send(encodeStored(await storedChatOf(exchange)));
  },
};
