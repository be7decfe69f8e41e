/**
 * What the gateway has learned of one target: is it failing, how fast and how busy is it.
 * A breaker opens after faults in a row and lets a single probe through when its rest is over; a cooldown is a rest that the provider asked for.
 * Neither makes a target impossible: it goes to the end of the line, and alone it is still tried, one request at a time.
 */

export type Health = {
  /** Rank for the next attempt: 0 usable, 1 resting, 2 resting with a probe under way. */
  rank(now: number): 0 | 1 | 2;
  /** Milliseconds until the rest is over; 0 when it is not resting. */
  restMs(now: number): number;
  /** An attempt begins. Exactly one of the three below ends it. */
  begin(now: number): void;
  succeeded(firstTokenMs: number | undefined): void;
  /** The target's own fault. */
  failed(now: number): void;
  /** Neither: the client left, or asked for something wrong. */
  ended(): void;
  /** Do not come back for that long. */
  cool(now: number, ms: number): void;
  /** Attempts under way. */
  readonly busy: number;
  /** Moving average in milliseconds; undefined before the first answer. */
  readonly firstTokenMs: number | undefined;
  readonly open: boolean;
};

const faultsToOpen = 3;
const firstRestMs = 10_000;
const longestRestMs = 300_000;
/** Weight of the newest measurement. */
const smoothing = 0.3;

export function createHealth(): Health {
  let busy = 0;
  let faults = 0;
  let restUntil = 0;
  let probing = false;
  let firstToken: number | undefined;

  const leave = () => {
    busy--;
    probing = false;
  };

  return {
    rank(now) {
      if (faults < faultsToOpen) return restUntil <= now ? 0 : 1;
      if (probing) return 2;
      return restUntil <= now ? 0 : 1;
    },
    restMs: (now) => Math.max(0, restUntil - now),
    begin() {
      busy++;
      if (faults >= faultsToOpen) probing = true;
    },
    succeeded(firstTokenMs) {
      leave();
      faults = 0;
      restUntil = 0;
      if (firstTokenMs !== undefined)
        firstToken = firstToken === undefined ? firstTokenMs : firstToken + smoothing * (firstTokenMs - firstToken);
    },
    failed(now) {
      leave();
      faults++;
      if (faults >= faultsToOpen)
        restUntil = Math.max(
          restUntil,
          now + Math.min(longestRestMs, firstRestMs * 2 ** Math.min(10, faults - faultsToOpen)),
        );
    },
    ended: leave,
    cool(now, ms) {
      restUntil = Math.max(restUntil, now + ms);
    },
    get busy() {
      return busy;
    },
    get firstTokenMs() {
      return firstToken;
    },
    get open() {
      return faults >= faultsToOpen;
    },
  };
}
