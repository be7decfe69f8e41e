/** One chat attempt: relayed where client and provider speak the same protocol, translated otherwise. */
import type { ModelSettings } from '../config/models.ts';
import type { ChatRequest, ChatStream, Protocol } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { RelayReply, RelayRequest, RelayScanner } from '../core/provider.ts';
import type { Attempt, Measured } from './attempt.ts';
import type { ChatCall } from './contract.ts';
import type { Needs } from './needs.ts';
import { watchRelay } from './relay.ts';
import { estimateUsage, type Seen, takeWhole, watchStream } from './stream.ts';

export type ChatTerms = {
  needs: Needs;
  settings: ModelSettings;
  /** No other target follows: an answer without content is better than none. */
  isLast: boolean;
};

/** Resolves when the answer has begun. Throws what the target said instead. */
export async function openChat(
  call: ChatCall,
  attempt: Attempt,
  terms: ChatTerms,
): Promise<{ relay: RelayReply } | { events: ChatStream }> {
  const { needs, settings, isLast } = terms;
  const { target, context } = attempt;
  const { provider, model } = target;
  // A time to the first token exists only in a stream: a route that bounds it is streamed, whatever the client wants.
  const mustStream = settings.timeout.first_token !== undefined && !call.stream && !notAsChats.has(call.protocol);
  if (call.body && provider.relay && provider.relays(call.protocol, model) && !(mustStream && provider.chat)) {
    const reply = await provider.relay(relayRequest(call, call.body, provider.kind, model), context);
    if ('events' in reply) return { events: await watchEvents(reply.events, call, attempt, terms) };
    const measure = (scanner: RelayScanner, bytes: number) => measureRelay(scanner, needs, bytes, call.stream);
    return { relay: await watchRelay(reply, attempt, isLast, measure) };
  }
  if (!provider.chat)
    throw new ViaductError('unsupported_capability', `"${target.name}" does not chat: ask for a model that does.`, {
      param: 'model',
    });
  const events = provider.chat(neutralRequest(call.decode(), provider.kind, model, mustStream), context);
  return { events: await watchEvents(events, call, attempt, terms) };
}

/** Resolves when the answer has begun. */
function watchEvents(
  events: ChatStream,
  { stream }: ChatCall,
  attempt: Attempt,
  { needs, settings, isLast }: ChatTerms,
): Promise<ChatStream> {
  const rules = { mayBeEmpty: isLast, contentFilterFails: settings.content_filter_fallback && !isLast };
  const measure = (seen: Seen): Measured => measured(seen.finish?.usage, needs, seen.characters);
  return stream ? watchStream(events, attempt, rules, measure) : takeWhole(events, attempt, rules, measure);
}

/** OpenRouter's own fields are for us; only a provider that is OpenRouter gets them as well. Others refuse what they do not know. */
const routingFields = ['models', 'provider', 'route', 'usage'];

/** Those that cannot always be put as a chat: a provider that speaks them gets them as they are. */
const notAsChats = new Set<Protocol>(['openai-responses-compact', 'openai-completions']);

function relayRequest(
  { protocol, stream, headers }: ChatCall,
  body: JsonObject,
  kind: string,
  model: string,
): RelayRequest {
  const relayed: JsonObject = { ...body, model };
  if (kind !== 'openrouter') dropRouting(relayed);
  return headers ? { protocol, body: relayed, stream, headers } : { protocol, body: relayed, stream };
}

function dropRouting(fields: JsonObject): void {
  for (const field of routingFields) if (field in fields) delete fields[field];
}

function neutralRequest(request: ChatRequest, kind: string, model: string, mustStream: boolean): ChatRequest {
  const neutral = { ...request, model };
  if (mustStream) neutral.stream = true;
  const chat = request.extras?.['openai-chat'];
  if (chat && kind !== 'openrouter' && routingFields.some((field) => field in chat)) {
    const rest = { ...chat };
    dropRouting(rest);
    neutral.extras = { ...request.extras, 'openai-chat': rest };
  }
  return neutral;
}

function measured(usage: Measured['usage'] | undefined, needs: Needs, characters: number): Measured {
  if (usage && usage.input + usage.output > 0) return { usage, estimated: false };
  return { usage: estimateUsage(needs.inputTokens, characters), estimated: true };
}

/** Bytes of a stream that one token takes: a chunk of JSON around each. */
const streamBytesPerToken = 220;
const charactersPerToken = 4;

const measureRelay = (scanner: RelayScanner, needs: Needs, bytes: number, stream: boolean): Measured =>
  measured(scanner.usage, needs, stream ? (bytes / streamBytesPerToken) * charactersPerToken : bytes);
