/**
 * Responses for a provider that speaks this protocol itself: nothing of its own kinds of items, tools and settings is
 * lost. It gets the whole context with every request and stores nothing; what it says becomes events of our response.
 */
import { ViaductError } from '../core/errors.ts';
import { isObject, type JsonObject } from '../core/json.ts';
import type { RelayReply } from '../core/provider.ts';
import type { Caller } from '../gateway/gateway.ts';
import { createSseParser, SseError } from '../lib/sse.ts';
import { encodeReasoning, type Item, type OpenReasoning, type Settings } from '../protocols/openai-responses.ts';
import type { Conversation } from './compaction.ts';
import { isSealedHere } from './seal.ts';
import { hasForeignCompaction } from './sealed-items.ts';

/**
 * True when nothing of this request is ours to know: nothing stored, nothing sealed here. Then a provider of this
 * protocol may get it as it is.
 */
export function standsAlone({ previous_response_id, conversation, input }: JsonObject): boolean {
  return previous_response_id == null && conversation == null && !(Array.isArray(input) && input.some(isOurs));
}

function isOurs(item: unknown): boolean {
  if (!isObject(item)) return false;
  const { type, encrypted_content: sealed } = item;
  return type === 'item_reference' || (typeof sealed === 'string' && isSealedHere(sealed));
}

/**
 * Whether compaction is left to the model's providers: all targets have their own, or a compaction of theirs is in the
 * conversation already. A route that mixes them with others is compacted here, so that every target can go on.
 */
export async function compactsItself({ latest }: Conversation, { model }: Settings, caller: Caller): Promise<boolean> {
  const able = await caller.speaks('openai-responses-compact', model);
  return able === 'all' || (able === 'some' && hasForeignCompaction(latest));
}

/** True for the refusal of a server that speaks this protocol, but an older one: it takes the field itself for a mistake. */
export function isManagementUnknown(thrown: unknown): boolean {
  const { status, param, message } = ViaductError.from(thrown);
  if (status !== 400) return false;
  return param === 'context_management' || (message.includes('context_management') && unknownWords.test(message));
}

const unknownWords = /unknown|unrecogni[sz]ed|unsupported|not supported|unexpected|extra|not permitted/i;

/** The client's body with the context in place of what only this server knows; `managed`: with its `context_management`. */
export function nativeBody(
  body: JsonObject,
  settings: Settings,
  context: readonly Item[],
  open: OpenReasoning,
  managed: boolean,
): JsonObject {
  const {
    previous_response_id: _previous,
    conversation: _conversation,
    background: _background,
    context_management,
    options: _options,
    keep_alive: _keepAlive,
    ...rest
  } = body;
  const include = new Set(settings.include ?? []);
  // A model that thinks gives its thoughts sealed, so that they can go back to it. Others refuse to be asked for them.
  if (settings.reasoning) include.add('reasoning.encrypted_content');
  return {
    ...rest,
    ...(managed && context_management !== undefined && { context_management }),
    store: false,
    input: context.flatMap((item) => encodeItem(item, open)),
    ...(include.size > 0 && { include: [...include] }),
  };
}

/** The body of POST /responses/compact: as the client sent it where it stands alone, else with the whole context. */
export function compactBody(body: JsonObject, context: readonly Item[], open: OpenReasoning): JsonObject {
  if (standsAlone(body)) return body;
  const { previous_response_id: _previous, conversation: _conversation, ...rest } = body;
  return { ...rest, input: context.flatMap((item) => encodeItem(item, open)) };
}

function encodeItem(item: Item, open: OpenReasoning): JsonObject[] {
  switch (item.type) {
    case 'reasoning': {
      if (!item.encrypted_content) return [];
      const thought = open(item.encrypted_content);
      if (thought.origin !== 'openai-responses') return [];
      return [encodeReasoning({ ...thought, id: thought.id ?? item.id, text: thought.text || textOf(item.summary) })];
    }
    case 'compaction':
      return [item as unknown as JsonObject];
    case 'message':
    case 'function_call':
    case 'function_call_output':
    case 'custom_tool_call':
    case 'custom_tool_call_output': {
      // The ids are ours; the provider has never seen them.
      const { id: _id, status: _status, ...rest } = item as unknown as JsonObject;
      return [rest];
    }
    default:
      return [item as JsonObject];
  }
}

const textOf = (parts: { text: string }[]) => parts.map(({ text }) => text).join('\n\n');

/**
 * The provider's reply as events of its stream, in batches; a reply in one piece as the last event of each item and of
 * the response.
 */
export async function* nativeEvents({ body, headers }: RelayReply): AsyncGenerator<JsonObject[], void, void> {
  if (!/event-stream/.test(headers['content-type'] ?? '')) {
    const chunks: Buffer[] = [];
    for await (const chunk of body) chunks.push(chunk);
    const response = parse(Buffer.concat(chunks).toString('utf8'));
    const items = Array.isArray(response['output']) ? response['output'] : [];
    yield [
      ...items.map((item, output_index): JsonObject => ({ type: 'response.output_item.done', output_index, item })),
      { type: `response.${String(response['status'] ?? 'completed')}`, response },
    ];
    return;
  }
  const parser = createSseParser();
  try {
    for await (const chunk of body) {
      const events = parser.push(chunk).flatMap(({ data }) => (data === '[DONE]' ? [] : [parse(data)]));
      if (events.length > 0) yield events;
    }
    const rest = parser.end().flatMap(({ data }) => (data === '[DONE]' ? [] : [parse(data)]));
    if (rest.length > 0) yield rest;
  } catch (error) {
    if (error instanceof SseError) throw invalid(error);
    throw error;
  }
}

function parse(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch (cause) {
    throw invalid(cause);
  }
  throw invalid(undefined);
}

const invalid = (cause: unknown) =>
  new ViaductError('provider_invalid_response', 'The provider sent something that is not an event of a response.', {
    cause,
  });
