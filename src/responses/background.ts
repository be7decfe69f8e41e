/**
 * Responses that run without their client. The store says who works on each: a lease that the worker renews. A worker that died
 * leaves a lease that runs out, and the response becomes `failed` with a reason.
 */
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { Caller } from '../gateway/gateway.ts';
import {
  encodeFailure,
  type Item,
  type ResponseEvent,
  type ResponseResource,
  refuseForeignItems,
  refuseForeignSettings,
  refuseHostedTools,
} from '../protocols/openai-responses.ts';
import { asStored } from './context.ts';
import type { EventLog } from './event-log.ts';
import { isOver, prepareTurn, type Turn, type TurnDeps } from './turn.ts';

const leaseMs = 20_000;
const renewMs = 5_000;

export function createBackground(
  deps: TurnDeps,
  log: EventLog,
  afterwards: (turn: Turn, owner: string) => Promise<void>,
) {
  const { stores, now } = deps;
  const { responses } = stores;
  const running = new Map<string, { controller: AbortController; ended: Promise<void> }>();

  const heartbeat = setInterval(() => void renew().catch(() => {}), renewMs);
  heartbeat.unref();

  async function renew() {
    for (const [id, { controller }] of running)
      if (!(await responses.renewLease(id, now() + leaseMs))) controller.abort(cancelled());
    await giveUpAbandoned(now());
  }

  const cancelled = () => new ViaductError('client_closed_request', 'The response was cancelled.');

  async function run(turn: Turn, owner: string, controller: AbortController) {
    let begun = false;
    try {
      for await (const events of turn.events({ queued: true })) {
        log.append(turn.id, events);
        if (begun) continue;
        begun = true;
        await responses.update(turn.id, { status: 'in_progress', resource: asJson(turn.resource) });
      }
    } finally {
      await finish(turn, owner);
      running.delete(turn.id);
      controller.abort(cancelled());
    }
  }

  async function finish(turn: Turn, owner: string) {
    await log.flush(turn.id);
    const kept = await responses.update(turn.id, {
      status: turn.resource.status,
      resource: asJson(turn.resource),
      output: asStored(turn.output),
      compacted: turn.output.some(({ type }) => type === 'compaction'),
      done: true,
    });
    if (kept) await afterwards(turn, owner);
    log.wake(turn.id);
  }

  async function eventsOf(id: string): Promise<ResponseEvent[]> {
    const events: ResponseEvent[] = [];
    for (let after = -1; ; ) {
      const rows = await responses.events(id, after, 1000);
      const last = rows.at(-1);
      if (!last) return events;
      for (const { event } of rows) events.push(JSON.parse(event) as ResponseEvent);
      after = last.sequence;
    }
  }

  /** Responses whose worker has died get their end. What they had said so far stays. */
  async function giveUpAbandoned(before: number) {
    for (const { id, owner } of await responses.abandoned(before)) {
      const found = await responses.find(owner, id);
      if (!found) continue;
      const { resource, output, more } = endOf(found.resource as unknown as ResponseResource, await eventsOf(id));
      const rows = more.map((event) => ({ sequence: event.sequence_number, event: JSON.stringify(event) }));
      await responses.appendEvents(id, rows);
      await responses.update(id, {
        status: resource.status,
        resource: asJson(resource),
        output: asStored(output),
        done: true,
      });
      log.wake(id);
    }
  }

  return {
    /**
     * Throws what is wrong with the request, an unknown model included; the response itself then runs on its own and
     * fails on its own.
     */
    async start(body: JsonObject, enter: (signal: AbortSignal) => Promise<Caller>): Promise<ResponseResource> {
      const controller = new AbortController();
      const caller = await enter(controller.signal);
      const turn = await prepareTurn(body, caller, deps, { stream: true });
      await refuseNow(turn, caller);
      const queued = turn.queue();
      const { resource } = turn;
      await responses.insert({
        id: turn.id,
        owner: caller.owner,
        previousId: turn.context.previousId ?? null,
        compacted: turn.context.input.some(({ type }) => type === 'compaction'),
        status: resource.status,
        background: true,
        resource: asJson(resource),
        input: asStored(turn.context.input),
        output: [],
        createdAt: now(),
        leaseUntil: now() + leaseMs,
      });
      log.append(turn.id, queued);
      const ended = run(turn, caller.owner, controller).catch(() => {});
      running.set(turn.id, { controller, ended });
      return resource;
    },

    /** Stop working on it, wherever it runs. True when it was running. */
    async cancel(id: string, resource: JsonObject): Promise<boolean> {
      const mine = running.get(id);
      if (mine) {
        mine.controller.abort(cancelled());
        await mine.ended;
        return true;
      }
      return responses.update(id, { status: 'cancelled', resource: { ...resource, status: 'cancelled' }, done: true });
    },

    giveUpAbandoned,

    /** Stop everything; what runs fails with a reason. */
    async close(): Promise<void> {
      clearInterval(heartbeat);
      const stopped = new ViaductError('shutting_down', 'The server was shut down while it worked on this response.');
      for (const { controller } of running.values()) controller.abort(stopped);
      await Promise.all([...running.values()].map(({ ended }) => ended));
    },
  };
}

/** What no target could do is told at once, as it would be in the foreground. */
async function refuseNow({ settings, context }: Turn, caller: Caller): Promise<void> {
  if ((await caller.speaks('openai-responses', settings.model)) !== 'none') return;
  refuseForeignSettings(settings);
  refuseHostedTools(settings);
  refuseForeignItems(context.input);
}

const asJson = (resource: ResponseResource) => resource as unknown as JsonObject;

/** How a response ends whose worker is gone: as its last event says, else failed. */
function endOf(
  resource: ResponseResource,
  events: ResponseEvent[],
): { resource: ResponseResource; output: Item[]; more: ResponseEvent[] } {
  const last = events.at(-1);
  const said = last?.['response'] as ResponseResource | undefined;
  if (said && isOver(said)) return { resource: said, output: said.output, more: [] };
  const output = events.flatMap((event) => (event.type === 'response.output_item.done' ? [event['item'] as Item] : []));
  const error = new ViaductError('internal_error', 'The server was stopped while it worked on this response.');
  const failed: ResponseResource = {
    ...resource,
    status: 'failed',
    error: encodeFailure(error),
    error_type: error.code,
    output,
  };
  const sequence_number = (last?.sequence_number ?? -1) + 1;
  return { resource: failed, output, more: [{ type: 'response.failed', sequence_number, response: failed }] };
}
