/** Replies of OpenAI's legacy Completions → core: chat replies whose content is called `text`. Source: https://platform.openai.com/docs/api-reference/completions */
import type { ChatEvent } from '../core/chat.ts';
import type { JsonObject } from '../core/json.ts';
import type { SseMessage } from '../lib/sse.ts';
import * as chat from './openai-chat.ts';
import { isObject } from './read.ts';

/** JSON body → events. Only the first choice, as with chats. */
export const decodeResponse = (body: JsonObject): ChatEvent[] => chat.decodeResponse(asChat(body, 'message'));

/** A stream's messages → events. */
export function createStreamDecoder(): ReturnType<typeof chat.createStreamDecoder> {
  const decoder = chat.createStreamDecoder();
  return {
    push(message: SseMessage) {
      return decoder.push({ ...message, data: asChatChunk(message.data) });
    },
    end: decoder.end,
  };
}

/** What is no JSON is left to the decoder of chats, which knows what to think of it. */
function asChatChunk(data: string): string {
  if (!data.trimStart().startsWith('{')) return data;
  try {
    return JSON.stringify(asChat(JSON.parse(data) as JsonObject, 'delta'));
  } catch {
    return data;
  }
}

function asChat(body: JsonObject, content: 'message' | 'delta'): JsonObject {
  const { choices } = body;
  if (!Array.isArray(choices)) return body;
  return {
    ...body,
    choices: choices.map((choice) => {
      if (!isObject(choice)) return choice;
      const { text = '', logprobs: _logprobs, ...rest } = choice;
      return { ...rest, [content]: { role: 'assistant', content: text } };
    }),
  };
}
