/**
 * Several keys of one account take turns; one that the provider refused rests, and is only used when every other one
 * rests too.
 */

export type Keyring = {
  /** The next key. A provider without keys has one that is empty. */
  take(): string;
  /** Prefer the others for that many milliseconds. */
  rest(key: string, ms: number): void;
  /** True when a key is left that does not rest. */
  hasFresh(): boolean;
};

export function createKeyring(keys: string[], now: () => number = Date.now): Keyring {
  const ring = (keys.length > 0 ? keys : ['']).map((key) => ({ key, until: 0 }));
  let turn = 0;
  const rests = ({ until }: { until: number }) => until !== 0 && until > now();
  return {
    take() {
      for (let tried = 0; tried < ring.length; tried++) {
        const entry = ring[turn];
        turn = (turn + 1) % ring.length;
        if (entry && !rests(entry)) return entry.key;
      }
      return ring.reduce((soonest, entry) => (entry.until < soonest.until ? entry : soonest)).key;
    },
    rest(key, ms) {
      for (const entry of ring) if (entry.key === key) entry.until = now() + ms;
    },
    hasFresh: () => !ring.every(rests),
  };
}
