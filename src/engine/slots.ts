/**
 * Which of a runner's slots a request gets. Each slot holds the last prompt that it evaluated: what a new one shares with its
 * beginning is not evaluated again.
 */
import { ViaductError } from '../core/errors.ts';

/** What a request asks of its slot. */
export type SlotWish = {
  /** Requests with the same key get the same slot. */
  key?: string | undefined;
  /** The texts of the prompt, in order. */
  prompt: readonly string[];
};

export type Slot = {
  /** The engine's number of it: `id_slot`. */
  readonly id: number;
  /**
   * The engine may have more of this prompt elsewhere: in an idle slot, or kept of a key that lost its slot. It copies that
   * here, but only what was there when another request began, and only where little of what is here would stay: let it
   * evaluate one token here first.
   */
  readonly copies: boolean;
};

export type Slots = {
  /** Take a slot; one must be free. Never a busy one, whoever's it is. */
  take(wish: SlotWish): Slot;
  give(slot: Slot): void;
};

type Place = { id: number; busy: boolean; key: string | undefined; prompt: readonly string[]; lastUsed: number };

/** A key whose requests have stopped for so long keeps its slot only until somebody else needs it. Milliseconds. */
const keyLife = 5 * 60_000;
/** Part of a prompt that must be in a slot already for the slot to be chosen for it. The engine's own measure. */
const leastShared = 0.1;
/** Keys that are remembered without a slot. */
const mostLost = 256;
/** Characters below which evaluating them again costs less than copying. */
const worthCopying = 1000;

/** Slots 0 … `count`-1 of a runner, all empty. `now`: any clock, milliseconds. */
export function createSlots(count: number, now: () => number = () => performance.now()): Slots {
  const places = Array.from(
    { length: count },
    (_, id): Place => ({ id, busy: false, key: undefined, prompt: [], lastUsed: Number.NEGATIVE_INFINITY }),
  );

  /** Keys that lost their slots, the latest last. */
  const lost = new Set<string>();

  const lose = (key: string) => {
    lost.add(key);
    const [oldest] = lost;
    if (lost.size > mostLost && oldest !== undefined) lost.delete(oldest);
  };

  const kept = ({ key, lastUsed }: Place) => key !== undefined && now() - lastUsed < keyLife;

  /**
   * A key's own slot; a new key gets one that is no other key's while there is any. Without a key: where most of the
   * prompt is.
   */
  const choose = ({ key, prompt }: SlotWish): { place: Place; bind: boolean } => {
    const own = key === undefined ? undefined : places.find((place) => place.key === key);
    if (own && !own.busy) return { place: own, bind: true };
    const free = places.filter(({ busy }) => !busy).sort((a, b) => a.lastUsed - b.lastUsed);
    const unkept = free.filter((place) => !kept(place));
    const [oldest] = unkept.length > 0 ? unkept : free;
    if (!oldest) throw new ViaductError('internal_error', 'A slot was asked for while none was free.');
    const bind = key !== undefined && own === undefined;
    return { place: mostAlike(bind ? unkept : free, prompt) ?? oldest, bind };
  };

  const isMoreElsewhere = (place: Place, prompt: readonly string[]) => {
    const here = shared(place.prompt, prompt);
    return places.some((other) => !other.busy && shared(other.prompt, prompt) - here >= worthCopying);
  };

  return {
    take(wish) {
      const { place, bind } = choose(wish);
      const copies = wish.key !== undefined && ((bind && lost.delete(wish.key)) || isMoreElsewhere(place, wish.prompt));
      const key = bind ? wish.key : kept(place) ? place.key : undefined;
      if (place.key !== undefined && place.key !== key) lose(place.key);
      place.key = key;
      place.busy = true;
      place.prompt = wish.prompt;
      place.lastUsed = now();
      return { id: place.id, copies };
    },
    give({ id }) {
      const place = places[id];
      if (!place) return;
      place.busy = false;
      place.lastUsed = now();
    },
  };
}

function mostAlike(places: readonly Place[], prompt: readonly string[]): Place | undefined {
  let best: Place | undefined;
  let most = leastShared * prompt.reduce((sum, text) => sum + text.length, 0);
  for (const place of places) {
    const alike = shared(place.prompt, prompt);
    if (alike <= most) continue;
    most = alike;
    best = place;
  }
  return best;
}

/** Characters with which both begin. */
function shared(a: readonly string[], b: readonly string[]): number {
  let length = 0;
  for (const [index, text] of b.entries()) {
    const other = a[index] ?? '';
    if (other !== text) return length + commonBeginning(other, text);
    length += text.length;
  }
  return length;
}

/** By halving: comparing parts of texts as wholes is much faster than character by character. */
function commonBeginning(a: string, b: string): number {
  let low = 0;
  let high = Math.min(a.length, b.length);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (a.startsWith(b.slice(low, middle), low)) low = middle;
    else high = middle - 1;
  }
  return low;
}
