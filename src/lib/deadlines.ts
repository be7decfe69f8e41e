/** Many limits of time on one timer: to set, move and lift one is an assignment, where a timer of its own costs a hundred times that. */

export type Deadline = {
  /** Milliseconds since 1970; may be moved at any time. */
  at: number;
  /** Called once, up to a tick late, unless the deadline was removed before. */
  expire(): void;
  /** Place among those that wait; -1 when it does not. */
  place: number;
};

export type Deadlines = { add(deadline: Deadline): void; remove(deadline: Deadline): void };

export function createDeadlines(tickMs = 20): Deadlines {
  // Not a Set: when it grows, V8 keeps the table it had, with all that was in it, for as long as the new one lives.
  const waiting: Deadline[] = [];
  let timer: NodeJS.Timeout | undefined;

  const remove = (deadline: Deadline) => {
    const { place } = deadline;
    if (place < 0) return;
    const last = waiting.pop();
    deadline.place = -1;
    if (!last || last === deadline) return;
    waiting[place] = last;
    last.place = place;
  };
  const look = () => {
    const now = Date.now();
    for (let place = waiting.length - 1; place >= 0; place--) {
      const deadline = waiting[place];
      if (!deadline || deadline.at > now) continue;
      remove(deadline);
      deadline.expire();
    }
    if (waiting.length > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
  return {
    add(deadline) {
      deadline.place = waiting.push(deadline) - 1;
      timer ??= setInterval(look, tickMs);
    },
    remove,
  };
}
