import { z } from 'zod';
import { checkBody } from '../../../protocols/openai-body.ts';
import type { Endpoint } from '../../define.ts';
import { jsonBody } from '../../http.ts';
import { encodeStored, metadataField, storedChatOf } from './shared.ts';

const wireUpdate = z.object({ metadata: metadataField.nullable() });

/** POST /v1/chat/completions/ID — https://platform.openai.com/docs/api-reference/chat/update */
export const updateStoredChat: Endpoint = {
  method: 'POST',
  path: '/v1/chat/completions/:id',
  body: wireUpdate,
  async handle(exchange) {
    const { metadata } = checkBody(wireUpdate, jsonBody(exchange.request));
    const chat = { ...(await storedChatOf(exchange)), metadata: metadata ?? {} };
    await exchange.services.storedChats.setMetadata(chat.owner, chat.id, chat.metadata);
    return exchange.reply.send(encodeStored(chat));
  },
};
