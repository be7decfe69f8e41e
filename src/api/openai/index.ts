/** The OpenAI-compatible front door. Adding an endpoint = its file and its line here. */
import { encodeError } from '../../protocols/openai-error.ts';
import type { FrontDoor } from '../define.ts';
import { chatCompletions } from './chat-completions.ts';
import { completions } from './completions.ts';
import { deleteConversation, retrieveConversation, updateConversation } from './conversation.ts';
import { deleteConversationItem, retrieveConversationItem } from './conversation-item.ts';
import { createConversationItems, listConversationItems } from './conversation-items.ts';
import { createConversation } from './conversations.ts';
import { embeddings } from './embeddings.ts';
import { imagesGenerations } from './images-generations.ts';
import { model } from './model.ts';
import { models } from './models.ts';
import { rerank } from './rerank.ts';
import { deleteResponse, retrieveResponse } from './response.ts';
import { cancelResponse } from './response-cancel.ts';
import { responseInputItems } from './response-input-items.ts';
import { responses } from './responses.ts';
import { compactResponses } from './responses-compact.ts';
import { countResponseTokens } from './responses-input-tokens.ts';
import { getStoredChat } from './stored-chats/get.ts';
import { listStoredChats } from './stored-chats/list.ts';
import { listStoredMessages } from './stored-chats/messages.ts';
import { removeStoredChat } from './stored-chats/remove.ts';
import { updateStoredChat } from './stored-chats/update.ts';

export const openai: FrontDoor = {
  endpoints: [
    chatCompletions,
    listStoredChats,
    getStoredChat,
    updateStoredChat,
    removeStoredChat,
    listStoredMessages,
    completions,
    embeddings,
    models,
    model,
    rerank,
    imagesGenerations,
    responses,
    retrieveResponse,
    deleteResponse,
    cancelResponse,
    responseInputItems,
    compactResponses,
    countResponseTokens,
    createConversation,
    retrieveConversation,
    updateConversation,
    deleteConversation,
    listConversationItems,
    createConversationItems,
    retrieveConversationItem,
    deleteConversationItem,
  ],
  encodeError,
};
