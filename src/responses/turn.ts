/** One response from request to last event: context, compaction or truncation where it is too long, answer, keeping. */
import type { ChatEvent } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { RelayReply } from '../core/provider.ts';
import type { Caller, ChatAnswer, ChatCall, Served } from '../gateway/gateway.ts';
import {
  chatRequest,
  createStreamEncoder,
  customToolNames,
  decodeItems,
  decodeSettings,
  type Item,
  newResource,
  type OpenReasoning,
  type ResponseEvent,
  type ResponseResource,
  refuseForeignItems,
  refuseForeignSettings,
  refuseHostedTools,
  type Settings,
  wantsSummary,
} from '../protocols/openai-responses.ts';
import { conversationOf, plain } from './compaction.ts';
import { type Context, type Memory, resolveContext, type Stores } from './context.ts';
import { askWithin, type Fitted } from './fit.ts';
import { newId } from './ids.ts';
import { compactsItself, isManagementUnknown, nativeBody, nativeEvents } from './native.ts';
import { openReasoning, type Sealer } from './seal.ts';
import { checkSeals, hasForeignCompaction } from './sealed-items.ts';
import { createToolFilter } from './tool-limits.ts';

export type TurnDeps = {
  stores: Stores;
  sealer: Sealer;
  now: () => number;
  /** Models whose provider turned out not to know `context_management`. */
  unmanaged: Set<string>;
};

export type TurnOptions = {
  /** Responses that the connection remembers. */
  memory?: Memory | undefined;
  /** Its turns continue each other: a local model keeps what it has read of them in one place. */
  session?: string | undefined;
  /** Sends `stream` to the model whatever the body says: background and WebSocket turns are always streamed. */
  stream?: boolean;
  /** Called with the finished turn, before its last event goes out. */
  keep?: ((turn: Turn) => Promise<void>) | undefined;
  /** The client's own body, where passing it through to a provider of this protocol loses nothing. */
  relay?: JsonObject | undefined;
};

export type Turn = {
  readonly id: string;
  readonly settings: Settings;
  readonly context: Context;
  /** The response object so far, as the client sees it. */
  readonly resource: ResponseResource;
  /** Its output as it is kept: with sealed thoughts. */
  readonly output: readonly Item[];
  /** Who answered; undefined before `begin` has resolved. */
  readonly served: Served | undefined;
  /** After `begin`: the provider's own reply, to be passed through instead of `events`. */
  readonly relay: RelayReply | undefined;
  /** Why it failed after it had begun. */
  readonly failure: ViaductError | undefined;
  /** Ask the model. Resolves when the answer begins; throws what the client must be told with an HTTP status. */
  begin(): Promise<void>;
  /** The events of a response that will run later. */
  queue(): ResponseEvent[];
  /** Instead of `events`: the response ends without the model having been asked; a later one may continue it. */
  skip(): AsyncGenerator<ResponseEvent[], void, void>;
  /**
   * The events, one batch per batch of the model's; starts what `begin` has not. After `queued` the response exists
   * already. A failure becomes events, nothing is thrown. When the reader stops early, or the caller has left, the turn
   * is cancelled.
   */
  events(options?: { queued?: boolean }): AsyncGenerator<ResponseEvent[], void, void>;
};

/** Throws what is wrong with the request: invalid_request, previous_response_not_found, not_found, invalid_encrypted_content. */
export async function prepareTurn(
  body: JsonObject,
  caller: Caller,
  { stores, sealer, now, unmanaged }: TurnDeps,
  { memory, session, stream, keep, relay }: TurnOptions = {},
): Promise<Turn> {
  const settings = decodeSettings(stream ? { ...body, stream } : body);
  const context = await resolveContext(body['input'], settings, caller.owner, stores, memory);
  await checkSeals(body['input'], context, settings, caller, sealer);
  const { owner } = caller;
  const openThought = openReasoning(sealer, owner);
  const conversation = conversationOf([...context.before, ...context.input], owner, sealer);
  // What a client can get wrong in its items is found here, before anything runs.
  checkItems(plain(conversation), openThought);
  let managedThere =
    settings.context_management != null &&
    !unmanaged.has(settings.model) &&
    (await compactsItself(conversation, settings, caller));
  const untouched = () => (settings.context_management == null || managedThere ? relay : undefined);

  const id = newId('resp');
  const encoder = createStreamEncoder({
    resource: newResource(settings, {
      id,
      createdAt: Math.floor(now() / 1000),
      conversationId: context.conversationId,
      store: settings.store ?? true,
    }),
    newId,
    customTools: customToolNames(settings),
    summary: wantsSummary(settings),
    seal: (thought) => sealer.seal('reasoning', owner, thought),
    showSealed: settings.include?.includes('reasoning.encrypted_content') ?? false,
  });

  const callOf = (fitting: readonly Item[]): ChatCall => ({
    protocol: 'openai-responses',
    model: settings.model,
    stream: settings.stream ?? false,
    body: untouched() ?? nativeBody(stream ? { ...body, stream } : body, settings, fitting, openThought, managedThere),
    decode() {
      refuseForeignSettings(settings);
      refuseHostedTools(settings);
      refuseForeignItems(context.input);
      const request = chatRequest(settings, fitting, openThought);
      return session === undefined ? request : { ...request, local: { ...request.local, session } };
    },
  });
  const ask = async (): Promise<Fitted> => {
    try {
      return await askWithin(conversation, { caller, settings, sealer, callOf, managedThere });
    } catch (thrown) {
      if (!managedThere || hasForeignCompaction(conversation.latest) || !isManagementUnknown(thrown)) throw thrown;
      unmanaged.add(settings.model);
      managedThere = false;
      return ask();
    }
  };
  let fitted: Fitted | undefined;
  let begun: Promise<void> | undefined;
  const begin = () => {
    begun ??= ask().then(
      (given) => {
        fitted = given;
      },
      (thrown) => {
        throw inOurWords(ViaductError.from(thrown));
      },
    );
    return begun;
  };
  let failure: ViaductError | undefined;
  const filter = createToolFilter(settings);
  const encode = (event: ChatEvent): ResponseEvent[] => {
    const kept = filter ? filter(event) : event;
    return kept ? encoder.push(kept, Math.floor(now() / 1000)) : [];
  };

  async function* outOf(answer: ChatAnswer | undefined): AsyncIterable<ResponseEvent[]> {
    if (!answer) return;
    if ('events' in answer) for await (const batch of answer.events) yield batch.flatMap(encode);
    else for await (const batch of nativeEvents(answer.relay)) yield batch.flatMap(encoder.adopt);
  }

  async function* say(): AsyncGenerator<ResponseEvent[], void, void> {
    await begin();
    if (fitted?.compaction) yield encoder.add(fitted.compaction);
    for await (const out of outOf(fitted?.answer)) {
      if (isOver(encoder.resource)) await keep?.(turn);
      if (out.length > 0) yield out;
    }
    if (!isOver(encoder.resource))
      throw new ViaductError('provider_invalid_response', 'The model stopped before it finished its answer.');
  }

  async function* events({ queued = false } = {}): AsyncGenerator<ResponseEvent[], void, void> {
    try {
      yield encoder.begin({ queued });
      yield* say();
    } catch (thrown) {
      if (isOver(encoder.resource)) throw thrown;
      const { signal } = caller;
      failure = ViaductError.from(signal.aborted ? signal.reason : thrown);
      if (signal.aborted && failure.code === 'client_closed_request') return;
      const failed = encoder.fail(failure);
      await keep?.(turn);
      yield failed;
    } finally {
      if (!isOver(encoder.resource)) {
        encoder.cancel();
        await keep?.(turn);
      }
    }
  }

  async function* skip(): AsyncGenerator<ResponseEvent[], void, void> {
    yield encoder.begin();
    const done = encoder.complete(Math.floor(now() / 1000));
    await keep?.(turn);
    yield done;
  }

  const turn: Turn = {
    id,
    settings,
    context,
    get resource() {
      return encoder.resource;
    },
    get output() {
      return encoder.output;
    },
    get served() {
      return fitted?.answer;
    },
    get relay() {
      return untouched() && fitted && 'relay' in fitted.answer ? fitted.answer.relay : undefined;
    },
    get failure() {
      return failure;
    },
    begin,
    queue: () => encoder.queued(),
    skip,
    events,
  };
  return turn;
}

/** Providers name fields of a chat; here what they mean is the input. */
function inOurWords(error: ViaductError): ViaductError {
  if (!error.param?.startsWith('messages')) return error;
  const { code, message, retryAfter, headers, cause } = error;
  return new ViaductError(code, message, { param: 'input', retryAfter, headers, cause });
}

/** Opens every seal and finds every output without its call; compactions of the provider's own are left to it. */
function checkItems(items: readonly Item[], open: OpenReasoning) {
  decodeItems(
    items.filter(({ type }) => type !== 'compaction'),
    open,
  );
}

export const isOver = ({ status }: { status: string }) => status !== 'queued' && status !== 'in_progress';
