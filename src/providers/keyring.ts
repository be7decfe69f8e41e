/** Several keys of one account take turns; one that the provider refused rests. */

export type Keyring = {
  /** The next key that may be used; undefined when every one rests. A provider without keys has one that is empty. */
  take(): string | undefined;
  /** Do not use `key` for that many milliseconds. */
  rest(key: string, ms: number): void;
  /** Milliseconds until the first key may be used again. */
  waitMs(): number;
};

export function createKeyring(keys: string[], now: () => number = Date.now): Keyring {
  const ring = (keys.length > 0 ? keys : ['']).map((key) => ({ key, until: 0 }));
  let turn = 0;
  return {
    take() {
      for (let tried = 0; tried < ring.length; tried++) {
        const entry = ring[turn];
        turn = (turn + 1) % ring.length;
        if (entry && (entry.until === 0 || entry.until <= now())) return entry.key;
      }
      return undefined;
    },
    rest(key, ms) {
      for (const entry of ring) if (entry.key === key) entry.until = now() + ms;
    },
    waitMs: () => Math.max(0, Math.min(...ring.map(({ until }) => until)) - now()),
  };
}
