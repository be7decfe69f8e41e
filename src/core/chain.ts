/** Streams after one another, at one promise a batch: `yield*` of an async generator takes three, at every level. */
import type { ChatEvent, ChatStream } from './chat.ts';

/** A stream, or batches that are there already. */
export type Part = ChatStream | readonly (readonly ChatEvent[])[];

/**
 * The batches of every part that `parts` gives. As with `yield*`, the generator goes on at the end of a part, gets thrown what a part throws, and
 * is closed together with the part when the reader leaves.
 */
export const chain = (parts: AsyncGenerator<Part, void>): ChatStream => ({
  [Symbol.asyncIterator]: () => new Chain(parts),
});

type Batch = readonly ChatEvent[];

class Chain implements AsyncIterator<Batch> {
  readonly #parts: AsyncGenerator<Part, void>;
  #part: AsyncIterator<Batch> | Iterator<Batch> | undefined = undefined;

  constructor(parts: AsyncGenerator<Part, void>) {
    this.#parts = parts;
  }

  async next(): Promise<IteratorResult<Batch>> {
    for (;;) {
      if (!this.#part) {
        const opened = await this.#parts.next();
        if (opened.done) return done;
        this.#part = iteratorOf(opened.value);
      }
      try {
        const result = await this.#part.next();
        if (!result.done) return result;
        this.#part = undefined;
      } catch (error) {
        const opened = await this.#parts.throw(error);
        if (opened.done) return done;
        this.#part = iteratorOf(opened.value);
      }
    }
  }

  async return(): Promise<IteratorResult<Batch>> {
    await this.#part?.return?.();
    await this.#parts.return();
    return done;
  }
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined };

const iteratorOf = (part: Part) =>
  Symbol.asyncIterator in part ? part[Symbol.asyncIterator]() : part[Symbol.iterator]();
