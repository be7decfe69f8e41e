/** Which models are loaded, who may use them now, and who must wait. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ViaductError } from '../core/errors.ts';
import type { CallReport } from '../core/provider.ts';
import type { ResolvedModel } from '../models/store.ts';
import type { AcquireOptions, Lease, LoadedModel, Scheduler, SchedulerOptions, SchedulerSettings } from './contract.ts';
import { availableMemory } from './memory.ts';
import { checkContext, engineFlags, type Purpose } from './plan.ts';
import { createQueue } from './queue.ts';
import { readJson } from './reply.ts';
import { createResidents, isIdle, type Resident, staysForEver } from './residents.ts';
import { aborted, createRoom, trainedContext } from './room.ts';
import { type Runner, startRunner } from './runner.ts';
import { createSlots } from './slots.ts';

export type * from './contract.ts';

const defaultKeepAlive = 300;
const defaultMaxQueue = 512;

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { log } = options;
  let settings: SchedulerSettings = options;
  const keepAliveDefault = () => settings.keepAlive ?? defaultKeepAlive;
  const memoryNow = options.available ?? availableMemory;
  const residents = createResidents(log);
  const room = createRoom(residents, () => settings, memoryNow);
  let closing = false;

  /** Tokens of context that a request wants; undefined when neither it, nor the Modelfile, nor the configuration says. */
  const wanted = (model: ResolvedModel, numCtx: number | undefined): number | undefined => {
    if (numCtx !== undefined) checkContext(numCtx);
    const fromFile = model.params['num_ctx'];
    const context = numCtx ?? (typeof fromFile === 'number' && fromFile >= 2 ? fromFile : settings.context);
    return context === undefined ? undefined : Math.min(context, trainedContext(model));
  };

  const load = async (resident: Resident): Promise<void> => {
    const { model } = resident;
    const started = performance.now();
    const { signal } = resident.abort;
    const engine = await Promise.race([options.engine(), aborted(signal).then(() => Promise.reject(signal.reason))]);
    const plan = await room.book(resident);
    const { contextLength, parallel, purpose, bytes } = plan;
    log?.info({ model: model.name, contextLength, parallel, purpose, bytes }, 'loading model');
    const progress = setInterval(() => {
      const seconds = Math.round((performance.now() - started) / 1000);
      log?.info({ model: model.name, seconds }, `still loading ${model.name} (${seconds} s)`);
    }, 5000);
    progress.unref();
    try {
      const process = await startRunner({
        command: [...engine.command, ...engineFlags(model, plan, engine, options.threads)],
        ...(engine.env && { env: engine.env }),
        model: model.name,
        file: model.modelPath,
        signal,
        onLine: (line) => log?.debug({ model: model.name }, line),
      });
      const loadMs = performance.now() - started;
      // A stranger's older build forgets the prompt of a slot that is named, where another one takes it.
      const slots = engine.from === 'installed' && purpose === 'chat' ? createSlots(parallel) : undefined;
      resident.loaded = { plan, process, slots, loadMs };
      log?.info({ model: model.name, ms: Math.round(loadMs), contextLength, parallel }, 'model loaded');
      void process.ended.then(() => {
        if (resident.leaving) return;
        log?.warn({ model: model.name }, 'the engine of this model ended unexpectedly');
        residents.remove(resident);
        resident.queue.close();
      });
      resident.queue.open(parallel);
      residents.rest(resident);
    } finally {
      clearInterval(progress);
      resident.booked = 0;
      residents.changed();
    }
  };

  const create = (model: ResolvedModel, purpose: Purpose, asked: number | undefined): Resident => {
    const resident: Resident = {
      model,
      purpose,
      asked,
      queue: createQueue(settings.maxQueue ?? defaultMaxQueue),
      loading: Promise.resolve(),
      booked: 0,
      keepAlive: keepAliveDefault(),
      lastUsed: performance.now(),
      expiresAt: undefined,
      leaving: false,
      abort: new AbortController(),
    };
    residents.all.add(resident);
    resident.loading = load(resident);
    resident.loading.catch((error: unknown) => {
      residents.remove(resident);
      resident.queue.close(error);
    });
    return resident;
  };

  const lease = async (
    resident: Resident,
    { slot = true, wish, signal }: AcquireOptions,
  ): Promise<Lease | undefined> => {
    const ticket = await resident.queue.enter(slot, signal);
    if (!ticket) return undefined;
    const { loaded } = resident;
    if (!loaded) throw new ViaductError('internal_error', 'A slot was given before its model was loaded.');
    residents.work(resident);
    const { plan, process, slots } = loaded;
    const chosen = slot ? slots?.take(wish ?? { prompt: [] }) : undefined;
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      // Before the ticket: whoever enters next may get it.
      if (chosen) slots?.give(chosen);
      if (ticket.leave()) residents.rest(resident);
    };
    if (chosen?.copies) await warm(process, chosen.id, signal);
    return {
      runner: process,
      contextLength: plan.contextLength,
      parallel: plan.parallel,
      slot: chosen?.id,
      release,
    };
  };

  return {
    async acquire(model, acquireOptions) {
      const { purpose = 'chat', keepAlive, signal, report } = acquireOptions;
      const asked = wanted(model, acquireOptions.numCtx);
      const started = performance.now();
      for (;;) {
        signal.throwIfAborted();
        if (closing) throw shuttingDown();
        const resident = residents.find(model, purpose, asked) ?? create(model, purpose, asked);
        // The name that it was last asked by is the one that is shown.
        resident.model = model;
        const cold = resident.loaded === undefined;
        resident.keepAlive = keepAlive ?? keepAliveDefault();
        const held = await lease(resident, acquireOptions).finally(() => {
          if (isIdle(resident)) residents.rest(resident);
        });
        // None when the runner ended while we waited: another one is loaded.
        if (!held) continue;
        if (report) fillReport(report, model.digest, performance.now() - started, cold ? resident.loaded?.loadMs : 0);
        return held;
      }
    },

    loaded() {
      const lines: LoadedModel[] = [];
      for (const resident of [...residents.all].sort((a, b) => b.lastUsed - a.lastUsed)) {
        if (!resident.loaded) continue;
        const { plan, process } = resident.loaded;
        const forever = staysForEver(resident);
        lines.push({
          name: resident.model.name,
          digest: resident.model.digest,
          purpose: resident.purpose,
          size: plan.bytes,
          sizeVram: Math.round(plan.bytes * process.gpuShare),
          expiresAt: forever ? undefined : (resident.expiresAt ?? Date.now() + resident.keepAlive * 1000),
          contextLength: plan.contextLength,
          parallel: plan.parallel,
          busy: resident.queue.busy(),
          queued: resident.queue.waiting(),
          url: process.url,
          model: resident.model,
        });
      }
      return lines;
    },

    unload(name) {
      const found = [...residents.all].filter(({ model }) => model.name === name || model.digest === name);
      for (const resident of found) {
        resident.keepAlive = 0;
        if (isIdle(resident)) void residents.end(resident);
      }
      return found.length > 0;
    },

    load(name) {
      let queued = 0;
      let expectedWaitMs = 0;
      for (const resident of residents.all) {
        if (resident.model.name !== name) continue;
        queued += resident.queue.waiting();
        expectedWaitMs = Math.max(expectedWaitMs, resident.queue.expectedWaitMs());
      }
      return { queued, expectedWaitMs };
    },

    configure(next) {
      settings = next;
      residents.changed();
    },

    async contextOf(model) {
      const asked = wanted(model, undefined);
      const inForce = residents.find(model, 'chat', asked)?.loaded?.plan.contextLength;
      if (inForce !== undefined) return inForce;
      const planned = room.plan(model, 'chat', asked, await memoryNow());
      return planned?.contextLength ?? asked ?? trainedContext(model);
    },

    async close(graceMs = 0) {
      closing = true;
      for (const resident of residents.all) {
        resident.queue.close(shuttingDown());
        if (!resident.loaded) resident.abort.abort(shuttingDown());
      }
      const deadline = Date.now() + graceMs;
      while ([...residents.all].some((resident) => resident.queue.busy() > 0) && Date.now() < deadline)
        await Promise.race([residents.nextChange(), sleep(Math.min(100, graceMs))]);
      await Promise.allSettled([...residents.all].map((resident) => resident.loading));
      for (const resident of [...residents.all]) if (resident.loaded) void residents.end(resident);
      await Promise.allSettled([...residents.ending]);
    },
  };
}

/** One token, see Slot.copies. A failure shows itself in the request that follows. */
async function warm(runner: Runner, slot: number, signal: AbortSignal): Promise<void> {
  const body = { prompt: ' ', n_predict: 0, id_slot: slot };
  await runner
    .request('/completion', body, signal)
    .then(readJson)
    .catch(() => {});
}

const shuttingDown = () => new ViaductError('shutting_down', 'The server is shutting down.');

/** A call that came while the model was loading waited for the rest of the load; the rest of its wait was the queue. */
function fillReport(report: CallReport, digest: string, waitedMs: number, loadMs: number | undefined) {
  report.digest = digest;
  const loading = Math.min(loadMs ?? 0, waitedMs);
  if (loading > 0) report.loadMs = loading;
  report.queueMs = waitedMs - loading;
}
