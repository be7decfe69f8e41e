/** Many limits of time on one timer: to set, move and lift one is an assignment, where a timer of its own costs a hundred times that. */

export type Deadline = {
  /** Milliseconds since 1970; may be moved at any time. */
  at: number;
  /** Called once, up to a tick late, unless the deadline was removed before. */
  expire(): void;
};

export type Deadlines = { add(deadline: Deadline): void; remove(deadline: Deadline): void };

export function createDeadlines(tickMs = 20): Deadlines {
  const waiting = new Set<Deadline>();
  let timer: NodeJS.Timeout | undefined;

  const look = () => {
    const now = Date.now();
    for (const deadline of waiting)
      if (deadline.at <= now) {
        waiting.delete(deadline);
        deadline.expire();
      }
    if (waiting.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
  return {
    add(deadline) {
      waiting.add(deadline);
      timer ??= setInterval(look, tickMs);
    },
    remove(deadline) {
      waiting.delete(deadline);
    },
  };
}
