import {
  createGenerateEncoder,
  decodeGenerate,
  encodeGenerateLoad,
  encodeGenerateResponse,
  wireGenerate,
} from '../../protocols/ollama.ts';
import { sendChat, streamChat } from '../chat-answer.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody } from '../http.ts';
import { headOf, streamOf } from './call.ts';
import { checkThink } from './think.ts';

/** POST /api/generate — https://docs.ollama.com/api/generate */
export const generate: Endpoint = {
  method: 'POST',
  path: '/api/generate',
  body: wireGenerate,
  async handle(exchange) {
    const { now } = exchange.services;
    const body = jsonBody(exchange.request);
    const head = headOf(body);
    const { model } = head;
    const request = decodeGenerate(body);
    // No body: a relay is for chats, and this is one only to us.
    const call = { ...head, decode: () => request };
    if (request.messages.length === 0)
      return sendChat(exchange, { ...call, stream: false }, () =>
        encodeGenerateLoad(model, now(), request.local?.keepAlive === 0),
      );
    await checkThink(exchange.services, body);
    const context = { model, now, startedAt: now(), ...(!request.local?.raw && { history: request.messages }) };
    if (call.stream) return streamChat(exchange, call, streamOf(createGenerateEncoder, context));
    return sendChat(exchange, call, (result, { report }) =>
      encodeGenerateResponse(result, { ...context, loadMs: () => report.loadMs }),
    );
  },
};
