/** Small changes to a body on its way out: what providers' quirks are made of. None changes what it was given. */
import type { Json, JsonObject } from '../core/json.ts';
import { list, object, parseObject, text } from '../protocols/read.ts';
import { toldFormat } from '../protocols/told-format.ts';

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

/** Calls whose arguments the model left broken, without any: some servers refuse a conversation that holds one. */
export function withWholeArguments(body: JsonObject): JsonObject {
  const isBroken = (call: Json) => !parseObject(text(object(object(call)['function'])['arguments']));
  if (!list(body['messages']).some((message) => list(object(message)['tool_calls']).some(isBroken))) return body;
  const mended = (call: Json) =>
    isBroken(call) ? { ...object(call), function: { ...object(object(call)['function']), arguments: '{}' } } : call;
  return withMessages(body, (message) =>
    message['tool_calls'] ? { ...message, tool_calls: list(message['tool_calls']).map(mended) } : message,
  );
}

/** The format of the answer as an instruction, where tools are offered beside it and the server takes only one of the two. */
export function withToldFormat(body: JsonObject): JsonObject {
  const { response_format, ...rest } = body;
  const { type, json_schema } = object(response_format);
  if ((type !== 'json_object' && type !== 'json_schema') || list(body['tools']).length === 0) return body;
  const schema = object(object(json_schema)['schema']);
  const content =
    type === 'json_object'
      ? toldFormat({ type: 'json' }, true)
      : toldFormat({ type: 'json-schema', name: '', schema }, true);
  return { ...rest, messages: [{ role: 'system', content }, ...list(body['messages'])] };
}

/**
 * A user who speaks right after a tool, with a word of the model between them: Mistral's models refuse the conversation
 * otherwise.
 */
export function withAnswersAfterTools(body: JsonObject): JsonObject {
  const messages = list(body['messages']);
  const follows = (message: Json, at: number) =>
    object(message)['role'] === 'user' && object(messages[at - 1])['role'] === 'tool';
  if (!messages.some(follows)) return body;
  const answer = { role: 'assistant', content: 'Understood.' };
  return {
    ...body,
    messages: messages.flatMap((message, at) => (follows(message, at) ? [answer, message] : [message])),
  };
}

/** Whether the body makes the model call a tool, any or a certain one. */
export const forcesCall = ({ tool_choice: choice }: JsonObject): boolean =>
  choice === 'required' ||
  object(choice)['type'] === 'function' ||
  object(object(choice)['allowed_tools'])['mode'] === 'required';
