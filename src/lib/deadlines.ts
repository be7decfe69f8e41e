/**
 * Many limits of time on one timer: to set, move and lift one is an assignment, where a timer of its own costs a
 * hundred times that.
 */

export type Deadline = {
  /** Milliseconds since 1970; may be moved at any time. */
  at: number;
  /** Called once, soon after, unless the deadline was removed before. */
  expire(): void;
  /** Place among those that wait; -1 when it does not. */
  place: number;
};

export type Deadlines = { add(deadline: Deadline): void; remove(deadline: Deadline): void };

/**
 * The timer waits for the earliest deadline, yet looks every `longestMs`: a deadline that was moved forward, or was
 * later when the timer was set, is at most that late.
 */
export function createDeadlines(longestMs = 250): Deadlines {
  // Not a Set: when it grows, V8 keeps the table it had, with all that was in it, for as long as the new one lives.
  const waiting: Deadline[] = [];
  let timer: NodeJS.Timeout | undefined;
  /** When the timer fires, milliseconds since 1970. */
  let looksAt = Infinity;

  const remove = (deadline: Deadline) => {
    const { place } = deadline;
    if (place < 0) return;
    const last = waiting.pop();
    deadline.place = -1;
    if (!last || last === deadline) return;
    waiting[place] = last;
    last.place = place;
  };
  const lookAt = (at: number, now: number) => {
    clearTimeout(timer);
    looksAt = Math.min(at, now + longestMs);
    timer = setTimeout(look, looksAt - now);
  };
  const look = () => {
    const now = Date.now();
    looksAt = Infinity;
    let earliest = Infinity;
    for (let place = waiting.length - 1; place >= 0; place--) {
      const deadline = waiting[place];
      if (!deadline) continue;
      if (deadline.at > now) {
        earliest = Math.min(earliest, deadline.at);
        continue;
      }
      remove(deadline);
      deadline.expire();
    }
    if (waiting.length > 0) lookAt(earliest, now);
  };
  return {
    add(deadline) {
      deadline.place = waiting.push(deadline) - 1;
      if (deadline.at >= looksAt) return;
      const now = Date.now();
      if (looksAt === Infinity || deadline.at < now + longestMs) lookAt(deadline.at, now);
    },
    remove,
  };
}
