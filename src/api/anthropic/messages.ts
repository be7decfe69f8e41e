import {
  createStreamEncoder,
  encodeResponse,
  encodeStreamError,
  wireRequest,
} from '../../protocols/anthropic-messages.ts';
import { type StreamDialect, sendChat, streamChat } from '../chat-answer.ts';
import type { Endpoint } from '../define.ts';
import { eventStream } from '../stream-writer.ts';
import { callOf } from './call.ts';

/** Answers come under the name that the client asked for. */
const streamOf = (model: string): StreamDialect => ({
  contentType: eventStream,
  keepAlive: 'event: ping\ndata: {"type":"ping"}\n\n',
  createEncoder: () => createStreamEncoder(model),
  encodeError: encodeStreamError,
});

/** POST /v1/messages — https://docs.anthropic.com/en/api/messages */
export const messages: Endpoint = {
  method: 'POST',
  path: '/v1/messages',
  body: wireRequest,
  async handle(exchange) {
    const call = callOf(exchange, { counting: false });
    if (call.stream) return streamChat(exchange, call, streamOf(call.model));
    return sendChat(exchange, call, (result) => encodeResponse({ ...result, model: call.model }));
  },
};
