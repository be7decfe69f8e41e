/** The line before one runner: first come, first served. */
import { ViaductError } from '../core/errors.ts';

/** A place at work. `leave` gives it back; false when it was given back before. */
export type Ticket = { leave(): boolean };

export type Queue = {
  /**
   * Wait until the runner is open and, with `slot`, until one is free. Undefined when the runner ended meanwhile: ask
   * for another. Throws queue_full, the signal's reason, or what `close` was given.
   */
  enter(slot: boolean, signal: AbortSignal): Promise<Ticket | undefined>;
  /** The model is loaded, with that many slots. */
  open(slots: number): void;
  /** Everybody who waits or comes is told why, or without a reason to ask for another runner. Who is at work stays. */
  close(reason?: unknown): void;
  /** Nobody at work, nobody waiting. */
  idle(): boolean;
  busy(): number;
  waiting(): number;
  /** How long one who came now would wait for a slot, from what the last ones took, milliseconds. */
  expectedWaitMs(): number;
};

type Waiter = { slot: boolean; go(): void; stop(reason: unknown): void };

/** Weight of the newest request in the mean duration. */
const newest = 0.2;

export function createQueue(limit: number): Queue {
  const waiters: Waiter[] = [];
  let slots = 0;
  let inSlots = 0;
  let beside = 0;
  let closed: { reason: unknown } | undefined;
  let meanMs = 0;

  const expectedWaitMs = () => {
    const ahead = waiters.filter(({ slot }) => slot).length;
    if (slots === 0 || (ahead === 0 && inSlots < slots)) return 0;
    return ((ahead + 1) * meanMs) / slots;
  };

  /** Let in whoever may, in order; those who need no slot do not wait for one. */
  const advance = () => {
    if (slots === 0) return;
    for (let next = 0; next < waiters.length; ) {
      const waiter = waiters[next];
      if (waiter && (!waiter.slot || inSlots < slots)) {
        waiters.splice(next, 1);
        waiter.go();
      } else next++;
    }
  };

  const ticket = (slot: boolean): Ticket => {
    if (slot) inSlots++;
    else beside++;
    const started = performance.now();
    let left = false;
    return {
      leave() {
        if (left) return false;
        left = true;
        if (slot) {
          inSlots--;
          const took = performance.now() - started;
          meanMs = meanMs === 0 ? took : meanMs + newest * (took - meanMs);
        } else beside--;
        advance();
        return true;
      },
    };
  };

  const stopAll = (reason: unknown) => {
    closed = { reason };
    for (const waiter of waiters.splice(0)) waiter.stop(reason);
  };

  return {
    async enter(slot, signal) {
      if (closed) {
        if (closed.reason === undefined) return undefined;
        throw closed.reason;
      }
      signal.throwIfAborted();
      if (slots > 0 && (!slot || (inSlots < slots && !waiters.some((waiter) => waiter.slot)))) return ticket(slot);
      if (waiters.length >= limit)
        throw new ViaductError(
          'queue_full',
          `${limit} requests already wait for this model. Try again later, or raise engine.max_queue.`,
          { retryAfter: Math.max(1, Math.ceil(expectedWaitMs() / 1000)) },
        );
      return new Promise<Ticket | undefined>((resolve, reject) => {
        const onAbort = () => {
          const at = waiters.indexOf(waiter);
          if (at >= 0) waiters.splice(at, 1);
          reject(signal.reason);
        };
        const waiter: Waiter = {
          slot,
          go() {
            signal.removeEventListener('abort', onAbort);
            resolve(ticket(slot));
          },
          stop(reason) {
            signal.removeEventListener('abort', onAbort);
            if (reason === undefined) resolve(undefined);
            else reject(reason);
          },
        };
        signal.addEventListener('abort', onAbort, { once: true });
        waiters.push(waiter);
      });
    },
    open(count) {
      slots = count;
      advance();
    },
    close: stopAll,
    idle: () => inSlots === 0 && beside === 0 && waiters.length === 0,
    busy: () => inSlots + beside,
    waiting: () => waiters.length,
    expectedWaitMs,
  };
}
