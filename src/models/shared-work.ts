/** Work that several callers want at once, done once. */

type Running<Progress> = {
  promise: Promise<void>;
  controller: AbortController;
  listeners: Set<(progress: Progress) => void>;
  latest: Progress | undefined;
};

/**
 * Callers of the same key share one run of `work` and all hear its progress. A caller whose signal aborts leaves at once
 * with the signal's reason; when the last one leaves, the work is aborted.
 */
export function createSharedWork<Progress>() {
  const running = new Map<string, Running<Progress>>();

  function start(key: string, work: (signal: AbortSignal, report: (progress: Progress) => void) => Promise<void>) {
    const controller = new AbortController();
    const listeners: Running<Progress>['listeners'] = new Set();
    const report = (progress: Progress) => {
      entry.latest = progress;
      for (const listener of listeners) listener(progress);
    };
    const promise = work(controller.signal, report).finally(() => running.delete(key));
    const entry: Running<Progress> = { promise, controller, listeners, latest: undefined };
    promise.catch(() => {});
    running.set(key, entry);
    return entry;
  }

  return async function share(
    key: string,
    work: (signal: AbortSignal, report: (progress: Progress) => void) => Promise<void>,
    { signal, onProgress }: { signal: AbortSignal; onProgress: (progress: Progress) => void },
  ): Promise<void> {
    signal.throwIfAborted();
    let entry = running.get(key);
    // Everyone left this run a moment ago: let it end, then begin anew.
    while (entry?.controller.signal.aborted) {
      await entry.promise.catch(() => {});
      entry = running.get(key);
    }
    entry ??= start(key, work);
    const { listeners, controller, promise, latest } = entry;
    // A caller may join twice with the same function; each gets its own place.
    const listener = (progress: Progress) => onProgress(progress);
    listeners.add(listener);
    if (latest !== undefined) listener(latest);
    let leave = () => {};
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
    });
    try {
      await Promise.race([promise, left]);
    } finally {
      signal.removeEventListener('abort', leave);
      listeners.delete(listener);
      if (listeners.size === 0) controller.abort(signal.reason);
    }
  };
}
