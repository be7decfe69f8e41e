/** Memory for one more model: how it would be loaded now, and which idle ones give way to it. */
import { ViaductError } from '../core/errors.ts';
import type { ResolvedModel } from '../models/store.ts';
import type { SchedulerSettings } from './contract.ts';
import { modelMemory } from './memory.ts';
import { defaultContext, type LoadPlan, type Purpose, planLoad } from './plan.ts';
import { isIdle, type Resident, type Residents } from './residents.ts';

export type Room = {
  /** How a model would be loaded into `available` bytes; undefined when it does not fit. */
  plan(model: ResolvedModel, purpose: Purpose, asked: number | undefined, available: number): LoadPlan | undefined;
  /**
   * Waits until there is room for `resident`, unloading idle models, and books it. One decision at a time.
   * Throws out_of_memory, client_closed_request when nobody waits for it any more, or what it was aborted with.
   */
  book(resident: Resident): Promise<LoadPlan>;
};

/** `memoryNow`: bytes that may be taken. */
export function createRoom(
  residents: Residents,
  settings: () => SchedulerSettings,
  memoryNow: () => Promise<number>,
): Room {
  let deciding: Promise<unknown> = Promise.resolve();

  const plan: Room['plan'] = (model, purpose, asked, available) =>
    planLoad({
      purpose,
      memory: memoryOf(model),
      trained: trainedContext(model),
      context: asked,
      parallel: settings().parallel,
      available,
    });

  /** Runners that hold memory or are about to. */
  const othersThan = (resident: Resident) =>
    [...residents.all].filter((other) => other !== resident && (other.loaded !== undefined || other.booked > 0));

  /**
   * How `resident` would be loaded now, if it fits at all. What other runners have mapped counts as available to the kernel,
   * and what is still loading is not yet taken: both are subtracted.
   */
  const planNow = async (resident: Resident): Promise<LoadPlan | undefined> => {
    const others = othersThan(resident);
    if (others.length >= (settings().maxLoaded ?? Number.POSITIVE_INFINITY)) return undefined;
    const taken = others.reduce((sum, { loaded, booked }) => sum + (loaded ? loaded.plan.weights : booked), 0);
    return plan(resident.model, resident.purpose, resident.asked, (await memoryNow()) - taken);
  };

  const make = async (resident: Resident): Promise<LoadPlan> => {
    for (;;) {
      resident.abort.signal.throwIfAborted();
      if (resident.queue.idle())
        throw new ViaductError('client_closed_request', 'Nobody waits for this model any more.');
      const planned = await planNow(resident);
      const alone = othersThan(resident).length === 0 && residents.ending.size === 0;
      // Other models give way before this one gets less context than it should have.
      if (planned && (alone || !isReduced(planned, resident))) return planned;
      if (alone) throw tooLarge(resident.model, resident.asked, await memoryNow());
      await lessLoaded(resident.abort.signal);
    }
  };

  /** Unload the idle runner that was used the longest ago; where all are busy, wait for a change. */
  const lessLoaded = async (signal: AbortSignal) => {
    const [oldest] = [...residents.all].filter(isIdle).sort((a, b) => a.lastUsed - b.lastUsed);
    if (oldest) await residents.end(oldest);
    else if (residents.ending.size > 0) await Promise.race(residents.ending);
    else await Promise.race([residents.nextChange(), aborted(signal)]);
  };

  return {
    plan,
    book(resident) {
      const decision = deciding.then(async () => {
        const planned = await make(resident);
        resident.booked = planned.bytes;
        return planned;
      });
      deciding = decision.catch(() => {});
      return decision;
    },
  };
}

/** Tokens of context that a model was trained with. */
export const trainedContext = ({ gguf }: ResolvedModel): number => gguf.contextLength ?? defaultContext;

/** Settles, without an error, when the signal aborts. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

const isReduced = (plan: LoadPlan, { model, asked }: Resident) =>
  plan.contextLength < Math.min(asked ?? trainedContext(model), trainedContext(model));

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
