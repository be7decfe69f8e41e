import {
  createChatEncoder,
  decodeRequest,
  encodeChatLoad,
  encodeChatResponse,
  wireChat,
} from '../../protocols/ollama.ts';
import { sendChat, streamChat } from '../chat-answer.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody } from '../http.ts';
import { headOf, streamOf } from './call.ts';
import { checkThink } from './think.ts';

/** POST /api/chat — https://docs.ollama.com/api/chat */
export const chat: Endpoint = {
  method: 'POST',
  path: '/api/chat',
  body: wireChat,
  async handle(exchange) {
    const { now } = exchange.services;
    const body = jsonBody(exchange.request);
    const head = headOf(body);
    const { model } = head;
    const { messages } = body;
    if (messages == null || (Array.isArray(messages) && messages.length === 0)) {
      const request = decodeRequest(body);
      const call = { ...head, stream: false, decode: () => request };
      return sendChat(exchange, call, () => encodeChatLoad(model, now(), request.local?.keepAlive === 0));
    }
    await checkThink(exchange.services, body);
    const call = { ...head, body, decode: () => decodeRequest(body) };
    const context = { model, now, startedAt: now() };
    if (call.stream) return streamChat(exchange, call, streamOf(createChatEncoder, context));
    return sendChat(exchange, call, (result, { report }) =>
      encodeChatResponse(result, { ...context, loadMs: () => report.loadMs }),
    );
  },
};
