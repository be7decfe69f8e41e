/** Streams after one another, at one promise an item: `yield*` of an async generator takes three, at every level. */

/** A stream, or items that are there already. */
export type Part<T> = AsyncIterable<T> | readonly T[];

/**
 * The items of every part that `parts` gives. As with `yield*`, the generator goes on at the end of a part, gets thrown what a part throws, and
 * is closed together with the part when the reader leaves.
 */
export const chain = <T>(parts: AsyncGenerator<Part<T>, void>): AsyncIterable<T> => ({
  [Symbol.asyncIterator]: () => new Chain(parts),
});

class Chain<T> implements AsyncIterator<T> {
  readonly #parts: AsyncGenerator<Part<T>, void>;
  #part: AsyncIterator<T> | Iterator<T> | undefined = undefined;

  constructor(parts: AsyncGenerator<Part<T>, void>) {
    this.#parts = parts;
  }

  async next(): Promise<IteratorResult<T>> {
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

  async return(): Promise<IteratorResult<T>> {
    await this.#part?.return?.();
    await this.#parts.return();
    return done;
  }
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined };

const iteratorOf = <T>(part: Part<T>): AsyncIterator<T> | Iterator<T> =>
  Symbol.asyncIterator in part ? part[Symbol.asyncIterator]() : part[Symbol.iterator]();
