/** The models that are in memory, on their way in or on their way out, and how long each stays. */
import type { ResolvedModel } from '../models/store.ts';
import type { Log } from './contract.ts';
import type { LoadPlan, Purpose } from './plan.ts';
import type { Queue } from './queue.ts';
import type { RunnerProcess } from './runner.ts';
import type { Slots } from './slots.ts';

/** A model with a runner of its own, or about to have one. */
export type Resident = {
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
  /** Seconds to stay after the last request; negative = for ever. */
  keepAlive: number;
  /** Reading of the monotonic clock, milliseconds. */
  lastUsed: number;
  timer?: NodeJS.Timeout;
  /** Milliseconds since 1970; undefined while it works, or stays for ever. */
  expiresAt: number | undefined;
  /** True from the moment nobody new may have it. */
  leaving: boolean;
  abort: AbortController;
};

export type Residents = ReturnType<typeof createResidents>;

export function createResidents(log: Log | undefined) {
  const all = new Set<Resident>();
  /** Runners on their way out: they still hold memory. */
  const ending = new Set<Promise<void>>();
  let wake = Promise.withResolvers<void>();

  const changed = () => {
    wake.resolve();
    wake = Promise.withResolvers();
  };

  const remove = (resident: Resident) => {
    resident.leaving = true;
    clearTimeout(resident.timer);
    all.delete(resident);
    changed();
  };

  const end = (resident: Resident): Promise<void> => {
    remove(resident);
    const done = resident.loaded?.process.kill() ?? Promise.resolve();
    const tracked = done.finally(() => {
      ending.delete(tracked);
      changed();
    });
    ending.add(tracked);
    log?.info({ model: resident.model.name }, 'model unloaded');
    return tracked;
  };

  return {
    all,
    ending: ending as ReadonlySet<Promise<void>>,
    /** Say that memory may have become free or a runner idle. */
    changed,
    /** Settles when somebody says so. */
    nextChange: () => wake.promise,

    /** The runner for such a request; one that was loaded with another wish serves too when its context is what is asked. */
    find(model: ResolvedModel, purpose: Purpose, asked: number | undefined): Resident | undefined {
      const candidates = [...all].filter(
        (resident) => resident.model.digest === model.digest && resident.purpose === purpose && !resident.leaving,
      );
      return (
        candidates.find((resident) => resident.asked === asked) ??
        candidates.find((resident) => asked !== undefined && resident.loaded?.plan.contextLength === asked)
      );
    },

    remove,
    /** End a loaded runner. Its memory is free when the promise settles. */
    end,

    /** It has a request to answer: its clock stops. */
    work(resident: Resident): void {
      clearTimeout(resident.timer);
      resident.expiresAt = undefined;
    },

    /** Start the clock of a runner, if it is idle. */
    rest(resident: Resident): void {
      resident.lastUsed = performance.now();
      clearTimeout(resident.timer);
      resident.expiresAt = undefined;
      if (resident.leaving || !isIdle(resident)) return;
      if (resident.keepAlive === 0) return void end(resident);
      if (!staysForEver(resident)) {
        const delay = resident.keepAlive * 1000;
        resident.expiresAt = Date.now() + delay;
        resident.timer = setTimeout(() => void end(resident), delay);
        resident.timer.unref();
      }
      changed();
    },
  };
}

/** Until it is told to go. A timer takes 31 bits of milliseconds; more is as good as for ever. */
export const staysForEver = ({ keepAlive }: Resident): boolean => keepAlive < 0 || keepAlive * 1000 >= 2 ** 31;

/** Loaded, with nobody at work or waiting. */
export const isIdle = (resident: Resident): boolean => resident.loaded !== undefined && resident.queue.idle();
