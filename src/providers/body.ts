/** Small changes to a body on its way out: what providers' quirks are made of. None changes what it was given. */
import type { Json, JsonObject } from '../core/json.ts';

export function without(body: JsonObject, ...names: string[]): JsonObject {
  return Object.fromEntries(Object.entries(body).filter(([name]) => !names.includes(name)));
}

export function renamed(body: JsonObject, from: string, to: string): JsonObject {
  if (!(from in body)) return body;
  const { [from]: value, ...rest } = body;
  return { ...rest, [to]: value ?? null };
}

/** Each of `messages`, as `change` makes it. */
export function withMessages(
  body: JsonObject,
  change: (message: JsonObject, index: number, all: Json[]) => JsonObject,
) {
  const { messages } = body;
  if (!Array.isArray(messages)) return body;
  return { ...body, messages: messages.map((message, index, all) => change(message as JsonObject, index, all)) };
}
