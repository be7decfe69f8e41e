/** What this door told of other providers' answers and Anthropic would refuse when a client sends it back: thoughts and sources with our mark. */
import type { Json, JsonObject } from '../../core/json.ts';
import { isObject, list } from '../read.ts';
import { isForeignCitation } from './citations.ts';
import { isForeignSignature } from './signature.ts';

/** A body as a client sent it → one that Anthropic takes: the same where nothing is foreign in it, as nearly always. */
export function withoutForeign(body: JsonObject): JsonObject {
  const messages = list(body['messages']);
  if (!messages.some((message) => contentOf(message).some(isMarked))) return body;
  return {
    ...body,
    messages: messages.flatMap((message): Json[] => {
      const content = contentOf(message);
      if (!isObject(message) || !content.some(isMarked)) return [message];
      const kept = content.filter((block) => !isForeignThought(block)).map(withoutSources);
      // A turn that was nothing but a thought.
      return kept.length > 0 ? [{ ...message, content: kept }] : [];
    }),
  };
}

const contentOf = (message: Json): Json[] =>
  isObject(message) && message['role'] === 'assistant' ? list(message['content']) : [];

const isForeignThought = (block: Json) => isObject(block) && isForeignSignature(block['signature']);

const isMarked = (block: Json) =>
  isForeignThought(block) || (isObject(block) && list(block['citations']).some(isForeignCitation));

function withoutSources(block: Json): Json {
  if (!isObject(block) || !Array.isArray(block['citations'])) return block;
  const { citations, ...rest } = block;
  const kept = list(citations).filter((citation) => !isForeignCitation(citation));
  return kept.length > 0 ? { ...rest, citations: kept } : rest;
}
