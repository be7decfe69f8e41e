/** The Responses API's state on this server: what endpoints call. Made once, in parts.ts. */
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { RelayReply } from '../core/provider.ts';
import type { Caller, Served } from '../gateway/gateway.ts';
import { chatRequest, decodeSettings, type ResponseResource, type Settings } from '../protocols/openai-responses.ts';
import { conversationStore } from '../store/conversations.ts';
import type { Store } from '../store/open.ts';
import { responseStore } from '../store/responses.ts';
import { createBackground } from './background.ts';
import { type Compaction, type Conversation, compact, conversationOf, plain } from './compaction.ts';
import { asStored, resolveContext, type Stores } from './context.ts';
import { createEventLog } from './event-log.ts';
import { compactBody, compactsItself } from './native.ts';
import { createSealer, openReasoning } from './seal.ts';
import { checkSeals, hasForeignCompaction } from './sealed-items.ts';
import { estimateTokens } from './size.ts';
import { prepareTurn, type Turn, type TurnOptions } from './turn.ts';

export type ResponsesOptions = {
  db: Store;
  /** The server's own secret; instances that share a database share it. */
  secret: Buffer;
  /** Milliseconds since 1970. */
  now: () => number;
  /** No other process works on this database: whatever was running is over. */
  exclusive: boolean;
};

export type Responses = Awaited<ReturnType<typeof createResponses>>;

const dayMs = 24 * 3600 * 1000;
/** Stored responses are kept this long, as OpenAI keeps them. */
const retentionMs = 30 * dayMs;
/** Tokens below which a conversation compacted on request stays, however long it was. */
const mostCompacted = 8000;

export async function createResponses({ db, secret, now, exclusive }: ResponsesOptions) {
  const stores: Stores = { responses: responseStore(db), conversations: conversationStore(db) };
  const sealer = createSealer(secret);
  const deps = { stores, sealer, now, unmanaged: new Set<string>() };
  const log = createEventLog(stores.responses);
  const addToConversation = async (turn: Turn, owner: string) => {
    const { conversationId, input } = turn.context;
    if (conversationId !== undefined && turn.resource.status !== 'failed')
      await stores.conversations.append(owner, conversationId, asStored([...input, ...turn.output]));
  };
  const keep = async (turn: Turn, owner: string) => {
    const { resource, context, output } = turn;
    if (resource.store)
      await stores.responses.insert({
        id: turn.id,
        owner,
        previousId: context.previousId ?? null,
        compacted: [...context.input, ...output].some(({ type }) => type === 'compaction'),
        status: resource.status,
        background: false,
        resource: resource as unknown as JsonObject,
        // A response that only a connection remembers is no link of a stored chain: its items come along.
        input: asStored(
          context.previousId === undefined && resource.previous_response_id !== null
            ? [...context.before, ...context.input]
            : context.input,
        ),
        output: asStored(output),
        createdAt: now(),
        leaseUntil: null,
      });
    await addToConversation(turn, owner);
  };

  const contextOf = async (body: JsonObject, caller: Caller) => {
    const settings = decodeSettings(body);
    const context = await resolveContext(body['input'], settings, caller.owner, stores);
    await checkSeals(body['input'], context, settings, caller, sealer);
    return { settings, conversation: conversationOf([...context.before, ...context.input], caller.owner, sealer) };
  };

  /** The provider's own compaction; undefined where there is none after all: behind its address may be another server. */
  const compactThere = async (body: JsonObject, settings: Settings, conversation: Conversation, caller: Caller) => {
    const open = openReasoning(sealer, caller.owner);
    const items = plain(conversation);
    try {
      const answer = await caller.chat({
        protocol: 'openai-responses-compact',
        model: settings.model,
        stream: false,
        body: compactBody(body, items, open),
        decode: () => chatRequest(settings, items, open),
      });
      if ('relay' in answer) return answer;
      throw new ViaductError(
        'provider_invalid_response',
        'The provider answered with something else than a compaction.',
      );
    } catch (thrown) {
      const error = ViaductError.from(thrown);
      if (error.code === 'unsupported_capability' && !hasForeignCompaction(conversation.latest)) return undefined;
      throw error;
    }
  };

  const background = createBackground(deps, log, addToConversation);
  await background.giveUpAbandoned(exclusive ? Number.MAX_SAFE_INTEGER : now());
  const removeOld = () => stores.responses.removeOlderThan(now() - retentionMs);
  await removeOld();
  const sweep = setInterval(() => void removeOld().catch(() => {}), dayMs / 4);
  sweep.unref();

  return {
    stores,
    sealer,

    /** A response that its client waits for. Kept before its last event, unless `store` is false. Throws as prepareTurn does. */
    prepare(
      body: JsonObject,
      caller: Caller,
      options: Pick<TurnOptions, 'memory' | 'session' | 'stream' | 'relay'> = {},
    ): Promise<Turn> {
      return prepareTurn(body, caller, deps, { ...options, keep: (turn) => keep(turn, caller.owner) });
    },

    /**
     * A response that runs on without its client: as it is while it is queued. `enter` lets the caller in once more,
     * with a signal that is ours.
     */
    async startBackground(
      body: JsonObject,
      enter: (signal: AbortSignal) => Promise<Caller>,
    ): Promise<ResponseResource> {
      if (body['store'] === false)
        throw new ViaductError(
          'invalid_request',
          "'background' needs 'store': a response that is not kept cannot be asked for.",
          {
            param: 'store',
          },
        );
      return background.start(body, enter);
    },

    /** Throws not_found, also for another owner's. */
    async find(owner: string, id: string) {
      const found = await stores.responses.find(owner, id);
      if (!found) throw responseNotFound(id);
      return { ...found, resource: found.resource as unknown as ResponseResource };
    },

    async remove(owner: string, id: string): Promise<void> {
      const found = await stores.responses.find(owner, id);
      if (!found) throw responseNotFound(id);
      if (found.leaseUntil !== null) await background.cancel(id, found.resource);
      await stores.responses.remove(owner, id);
    },

    /** Throws invalid_request when the response never ran in the background. One that is over stays as it is. */
    async cancel(owner: string, id: string): Promise<void> {
      const found = await stores.responses.find(owner, id);
      if (!found) throw responseNotFound(id);
      if (!found.background)
        throw new ViaductError('invalid_request', 'Only a response created with background: true can be cancelled.', {
          param: 'response_id',
        });
      if (found.leaseUntil !== null) await background.cancel(id, found.resource);
    },

    /**
     * A conversation → the one item that stands for it, and what making it took; where the model's providers have their
     * own compaction, their reply. Throws as `prepare` does.
     */
    async compact(body: JsonObject, caller: Caller): Promise<Compaction | (Served & { relay: RelayReply })> {
      const { settings, conversation } = await contextOf(body, caller);
      if (await compactsItself(conversation, settings, caller)) {
        const theirs = await compactThere(body, settings, conversation, caller);
        if (theirs) return theirs;
      }
      const limit = Math.min(Math.max(estimateTokens(plain(conversation)), 1000), mostCompacted);
      return compact(conversation, { caller, settings, sealer, limit, focus: settings.instructions ?? undefined });
    },

    /** How many tokens the request would take as input. */
    async countInput(body: JsonObject, caller: Caller): Promise<number> {
      const { settings, conversation } = await contextOf(body, caller);
      // What a provider sealed is a closed book: everything else is counted.
      const items = plain(conversation).filter(({ type }) => type !== 'compaction');
      const decode = () => chatRequest(settings, items, openReasoning(sealer, caller.owner));
      const call = { protocol: 'openai-responses', model: settings.model, stream: false, decode } as const;
      return (await caller.countTokens(call)).result;
    },

    /** Events of a background response after a sequence number, as JSON texts in batches, until it is over. */
    follow(owner: string, id: string, after: number, signal: AbortSignal) {
      const isOver = async () => {
        const found = await stores.responses.find(owner, id);
        return !found || found.leaseUntil === null;
      };
      return log.follow(id, after, isOver, signal);
    },

    async close(): Promise<void> {
      clearInterval(sweep);
      await background.close();
    },
  };
}

const responseNotFound = (id: string) =>
  new ViaductError('not_found', `Response with id '${id}' not found.`, { param: 'response_id' });
