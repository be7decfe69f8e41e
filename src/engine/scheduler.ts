/** Which models are loaded, who may use them now, and who must wait. */
import { ViaductError } from '../core/errors.ts';
import type { CallReport } from '../core/provider.ts';
import type { ResolvedModel } from '../models/store.ts';
import type { AcquireOptions, Lease, LoadedModel, Scheduler, SchedulerOptions, SchedulerSettings } from './contract.ts';
import { availableMemory, modelMemory } from './memory.ts';
import { checkContext, defaultContext, engineFlags, type LoadPlan, type Purpose, planLoad } from './plan.ts';
import { createQueue, type Queue } from './queue.ts';
import { readJson } from './reply.ts';
import { type Runner, type RunnerProcess, startRunner } from './runner.ts';
import { createSlots, type Slots } from './slots.ts';

export type * from './contract.ts';

const defaultKeepAlive = 300;
const defaultMaxQueue = 512;

type Entry = {
  model: ResolvedModel;
  purpose: Purpose;
  /** The context that was asked for; undefined when none was. */
  asked: number | undefined;
  queue: Queue;
  loading: Promise<void>;
  /** Set once the load is complete. */
  loaded?: { plan: LoadPlan; process: RunnerProcess; slots: Slots | undefined; loadMs: number };
  /** Bytes booked while it loads. */
  booked: number;
  keepAlive: number;
  /** Reading of the monotonic clock, milliseconds. */
  lastUsed: number;
  timer?: NodeJS.Timeout;
  expiresAt: number | undefined;
  /** True from the moment nobody new may have it. */
  leaving: boolean;
  abort: AbortController;
};

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { log } = options;
  let settings: SchedulerSettings = options;
  const keepAliveDefault = () => settings.keepAlive ?? defaultKeepAlive;
  const memoryNow = options.available ?? availableMemory;
  const entries = new Set<Entry>();
  /** Runners on their way out: they still hold memory. */
  const ending = new Set<Promise<void>>();
  /** Called whenever memory may have become free or a runner idle. */
  let wake = Promise.withResolvers<void>();
  let closing = false;
  /** One decision about memory at a time. */
  let deciding: Promise<unknown> = Promise.resolve();

  const changed = () => {
    wake.resolve();
    wake = Promise.withResolvers();
  };

  const wanted = (model: ResolvedModel, numCtx: number | undefined): number | undefined => {
    if (numCtx !== undefined) checkContext(numCtx);
    const fromFile = model.params['num_ctx'];
    const context = numCtx ?? (typeof fromFile === 'number' && fromFile >= 2 ? fromFile : settings.context);
    return context === undefined ? undefined : Math.min(context, trainedContext(model));
  };

  const find = (model: ResolvedModel, purpose: Purpose, asked: number | undefined): Entry | undefined => {
    const candidates = [...entries].filter(
      (entry) => entry.model.digest === model.digest && entry.purpose === purpose && !entry.leaving,
    );
    return (
      candidates.find((entry) => entry.asked === asked) ??
      candidates.find((entry) => asked !== undefined && entry.loaded?.plan.contextLength === asked)
    );
  };

  const isIdle = (entry: Entry) => entry.loaded !== undefined && entry.queue.idle();

  const remove = (entry: Entry) => {
    entry.leaving = true;
    clearTimeout(entry.timer);
    entries.delete(entry);
    changed();
  };

  /** End a loaded runner. Its memory is free when the promise settles. */
  const end = (entry: Entry): Promise<void> => {
    remove(entry);
    const done = entry.loaded?.process.kill() ?? Promise.resolve();
    const tracked = done.finally(() => {
      ending.delete(tracked);
      changed();
    });
    ending.add(tracked);
    log?.info({ model: entry.model.name }, 'model unloaded');
    return tracked;
  };

  /** Start the clock of an idle runner. */
  const rest = (entry: Entry) => {
    entry.lastUsed = performance.now();
    clearTimeout(entry.timer);
    entry.expiresAt = undefined;
    if (entry.leaving || !isIdle(entry)) return;
    if (entry.keepAlive === 0) return void end(entry);
    if (entry.keepAlive > 0) {
      // setTimeout takes 31 bits; more is as good as for ever.
      const delay = entry.keepAlive * 1000;
      entry.expiresAt = Date.now() + delay;
      if (delay < 2 ** 31) entry.timer = setTimeout(() => void end(entry), delay);
      entry.timer?.unref();
    }
    changed();
  };

  /** The longest unused idle runner that may be unloaded to make room. */
  const evictable = () =>
    [...entries].filter(isIdle).reduce<Entry | undefined>((oldest, entry) => {
      return !oldest || entry.lastUsed < oldest.lastUsed ? entry : oldest;
    }, undefined);

  /** Runners that hold memory or are about to. */
  const othersThan = (entry: Entry) =>
    [...entries].filter((other) => other !== entry && (other.loaded !== undefined || other.booked > 0));

  /**
   * How `entry` would be loaded now, if it fits at all. What other runners have mapped counts as available to the kernel,
   * and what is still loading is not yet taken: both are subtracted.
   */
  const planFor = async (entry: Entry): Promise<LoadPlan | undefined> => {
    const others = othersThan(entry);
    if (others.length >= (settings.maxLoaded ?? Number.POSITIVE_INFINITY)) return undefined;
    const taken = others.reduce((sum, { loaded, booked }) => sum + (loaded ? loaded.plan.weights : booked), 0);
    return plan(entry.model, entry.purpose, entry.asked, (await memoryNow()) - taken);
  };

  const plan = (model: ResolvedModel, purpose: Purpose, context: number | undefined, available: number) =>
    planLoad({
      purpose,
      memory: memoryOf(model),
      trained: trainedContext(model),
      context,
      parallel: settings.parallel,
      available,
    });

  /** Wait until there is room for `entry`, unloading idle models. */
  const makeRoom = async (entry: Entry): Promise<LoadPlan> => {
    for (;;) {
      entry.abort.signal.throwIfAborted();
      if (entry.queue.idle()) throw new ViaductError('client_closed_request', 'Nobody waits for this model any more.');
      const planned = await planFor(entry);
      const alone = othersThan(entry).length === 0 && ending.size === 0;
      // Other models give way before this one gets less context than it should have.
      if (planned && (alone || !isReduced(planned, entry))) return planned;
      if (alone) throw tooLarge(entry.model, entry.asked, await memoryNow());
      await lessLoaded(entry.abort.signal);
    }
  };

  /** Unload the idle runner that was used the longest ago; where all are busy, wait for a change. */
  const lessLoaded = async (signal: AbortSignal) => {
    const oldest = evictable();
    if (oldest) await end(oldest);
    else if (ending.size > 0) await Promise.race(ending);
    else await Promise.race([wake.promise, aborted(signal)]);
  };

  const isReduced = (plan: LoadPlan, { model, asked }: Entry) =>
    plan.contextLength < Math.min(asked ?? trainedContext(model), trainedContext(model));

  const load = async (entry: Entry): Promise<void> => {
    const { model } = entry;
    const started = performance.now();
    const { signal } = entry.abort;
    const engine = await Promise.race([options.engine(), aborted(signal).then(() => Promise.reject(signal.reason))]);
    const decision = deciding.then(async () => {
      const room = await makeRoom(entry);
      entry.booked = room.bytes;
      return room;
    });
    deciding = decision.catch(() => {});
    const booked = await decision;
    const { contextLength, parallel, purpose } = booked;
    log?.info({ model: model.name, contextLength, parallel, purpose, bytes: booked.bytes }, 'loading model');
    const progress = setInterval(() => {
      const seconds = Math.round((performance.now() - started) / 1000);
      log?.info({ model: model.name, seconds }, `still loading ${model.name} (${seconds} s)`);
    }, 5000);
    progress.unref();
    try {
      const process = await startRunner({
        command: [...engine.command, ...engineFlags(model, booked, engine, options.threads)],
        ...(engine.env && { env: engine.env }),
        model: model.name,
        file: model.modelPath,
        signal,
        onLine: (line) => log?.debug({ model: model.name }, line),
      });
      const loadMs = performance.now() - started;
      // A stranger's older build forgets the prompt of a slot that is named, where another one takes it.
      const slots = engine.from === 'installed' && purpose === 'chat' ? createSlots(parallel) : undefined;
      entry.loaded = { plan: booked, process, slots, loadMs };
      log?.info({ model: model.name, ms: Math.round(loadMs), contextLength, parallel }, 'model loaded');
      void process.ended.then(() => {
        if (entry.leaving) return;
        log?.warn({ model: model.name }, 'the engine of this model ended unexpectedly');
        remove(entry);
        entry.queue.close();
      });
      entry.queue.open(parallel);
      rest(entry);
    } finally {
      clearInterval(progress);
      entry.booked = 0;
      changed();
    }
  };

  const create = (model: ResolvedModel, purpose: Purpose, asked: number | undefined): Entry => {
    const entry: Entry = {
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
    entries.add(entry);
    entry.loading = load(entry);
    entry.loading.catch((error: unknown) => {
      remove(entry);
      entry.queue.close(error);
    });
    return entry;
  };

  const lease = async (entry: Entry, { slot = true, wish, signal }: AcquireOptions): Promise<Lease | undefined> => {
    const ticket = await entry.queue.enter(slot, signal);
    if (!ticket) return undefined;
    const { loaded } = entry;
    if (!loaded) throw new ViaductError('internal_error', 'A slot was given before its model was loaded.');
    clearTimeout(entry.timer);
    entry.expiresAt = undefined;
    const { plan, process, slots } = loaded;
    const chosen = slot ? slots?.take(wish ?? { prompt: [] }) : undefined;
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      // Before the ticket: whoever enters next may get it.
      if (chosen) slots?.give(chosen);
      if (ticket.leave()) rest(entry);
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
        const entry = find(model, purpose, asked) ?? create(model, purpose, asked);
        // The name that it was last asked by is the one that is shown.
        entry.model = model;
        const cold = entry.loaded === undefined;
        entry.keepAlive = keepAlive ?? keepAliveDefault();
        const held = await lease(entry, acquireOptions).finally(() => {
          if (entry.loaded && isIdle(entry)) rest(entry);
        });
        // None when the runner ended while we waited: another one is loaded.
        if (!held) continue;
        if (report) fillReport(report, model.digest, performance.now() - started, cold ? entry.loaded?.loadMs : 0);
        return held;
      }
    },

    loaded() {
      const lines: LoadedModel[] = [];
      for (const entry of [...entries].sort((a, b) => b.lastUsed - a.lastUsed)) {
        if (!entry.loaded) continue;
        const { plan, process } = entry.loaded;
        const forever = entry.keepAlive < 0;
        lines.push({
          name: entry.model.name,
          digest: entry.model.digest,
          purpose: entry.purpose,
          size: plan.bytes,
          sizeVram: Math.round(plan.bytes * process.gpuShare),
          expiresAt: forever ? undefined : (entry.expiresAt ?? Date.now() + entry.keepAlive * 1000),
          contextLength: plan.contextLength,
          parallel: plan.parallel,
          busy: entry.queue.busy(),
          queued: entry.queue.waiting(),
          url: process.url,
          model: entry.model,
        });
      }
      return lines;
    },

    unload(name) {
      const found = [...entries].filter(({ model }) => model.name === name || model.digest === name);
      for (const entry of found) {
        entry.keepAlive = 0;
        if (isIdle(entry)) void end(entry);
      }
      return found.length > 0;
    },

    load(name) {
      let queued = 0;
      let expectedWaitMs = 0;
      for (const entry of entries) {
        if (entry.model.name !== name) continue;
        queued += entry.queue.waiting();
        expectedWaitMs = Math.max(expectedWaitMs, entry.queue.expectedWaitMs());
      }
      return { queued, expectedWaitMs };
    },

    configure(next) {
      settings = next;
      changed();
    },

    async contextOf(model) {
      const asked = wanted(model, undefined);
      const inForce = find(model, 'chat', asked)?.loaded?.plan.contextLength;
      if (inForce !== undefined) return inForce;
      const planned = plan(model, 'chat', asked, await memoryNow());
      return planned?.contextLength ?? asked ?? trainedContext(model);
    },

    async close(graceMs = 0) {
      closing = true;
      for (const entry of entries) {
        entry.queue.close(shuttingDown());
        if (!entry.loaded) entry.abort.abort(shuttingDown());
      }
      const deadline = Date.now() + graceMs;
      while ([...entries].some((entry) => entry.queue.busy() > 0) && Date.now() < deadline)
        await Promise.race([wake.promise, timeout(Math.min(100, graceMs))]);
      await Promise.allSettled([...entries].map((entry) => entry.loading));
      for (const entry of [...entries]) if (entry.loaded) void end(entry);
      await Promise.allSettled([...ending]);
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

const trainedContext = ({ gguf }: ResolvedModel) => gguf.contextLength ?? defaultContext;

const memoryOf = ({ gguf, projector, size }: ResolvedModel) =>
  // Projector and adapters: what the model's blobs hold beyond the weights.
  modelMemory(gguf, Math.max(projector?.fileSize ?? 0, size - gguf.fileSize));

function tooLarge({ name }: ResolvedModel, asked: number | undefined, available: number): ViaductError {
  const what = asked === undefined ? name : `${name} with a context of ${asked} tokens`;
  return new ViaductError(
    'out_of_memory',
    `${what} does not fit into the ${(available / 2 ** 30).toFixed(1)} GiB of memory that are available. ` +
      (asked === undefined
        ? 'Use a smaller model or quantisation.'
        : 'Ask for a smaller num_ctx, or use a smaller model.'),
  );
}

const timeout = (ms: number) =>
  new Promise<void>((resolve) => {
    setTimeout(resolve, ms);
  });

const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
