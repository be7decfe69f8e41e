/** Text that waits to be written, in memory which the collector does not walk: what waits longer than a moment grows old, and old objects are dear. */
export class PendingLines {
  #bytes = Buffer.allocUnsafeSlow(usualBytes);
  #used = 0;

  get size(): number {
    return this.#used;
  }

  /** All of it. Good until `clear`. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#used);
  }

  /** Gives the bytes of `text`, good until `clear`. */
  push(text: string): Buffer {
    this.#makeRoom(text.length * mostBytesPerUnit);
    const from = this.#used;
    this.#used += this.#bytes.write(text, from);
    return this.#bytes.subarray(from, this.#used);
  }

  clear(): void {
    this.#used = 0;
    if (this.#bytes.length > keptBytes) this.#bytes = Buffer.allocUnsafeSlow(usualBytes);
  }

  #makeRoom(more: number): void {
    const need = this.#used + more;
    if (need <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(need * 2);
    this.#bytes.copy(larger, 0, 0, this.#used);
    this.#bytes = larger;
  }
}

const usualBytes = 64 * 1024;
/** More than this was an exception, and is given back. */
const keptBytes = 4 * 2 ** 20;
/** Of UTF-8, for one unit of a string. */
const mostBytesPerUnit = 3;
