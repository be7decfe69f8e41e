/** Lines into a file descriptor, gathered for a moment: one write for many, and nobody waits for the reader. */
import { write, writeSync } from 'node:fs';
import { PendingLines } from '../lib/pending-lines.ts';

export type LineWriter = { write(line: string): void };

const gatherMs = 100;
/** Bytes that may wait for a slow reader; beyond that lines are lost, and memory is not. */
const mostWaiting = 16 * 2 ** 20;
const againMs = 20;

/** What is left when the process exits is written then. */
export function createLineWriter(descriptor: number): LineWriter {
  let waiting = new PendingLines();
  /** What is being written, of which `unwritten` is left. */
  let leaving = new PendingLines();
  let unwritten: Buffer | undefined;
  let timer: NodeJS.Timeout | undefined;

  const schedule = (ms: number) => {
    timer ??= setTimeout(flush, ms);
    timer.unref();
  };
  const flush = () => {
    timer = undefined;
    if (unwritten || waiting.size === 0) return;
    [waiting, leaving] = [leaving, waiting];
    unwritten = leaving.bytes;
    push();
  };
  const push = () => {
    const bytes = unwritten;
    if (!bytes) return;
    write(descriptor, bytes, (error, written) => {
      // A full pipe says so; any other failure means that nobody reads any more.
      if (error && error.code !== 'EAGAIN') unwritten = undefined;
      else if (written === bytes.length) unwritten = undefined;
      else unwritten = bytes.subarray(written ?? 0);
      if (unwritten) {
        setTimeout(push, error ? againMs : 0).unref();
        return;
      }
      leaving.clear();
      if (waiting.size > 0) schedule(gatherMs);
    });
  };
  process.on('exit', () => writeAll(descriptor, waiting.bytes));

  return {
    write(line) {
      if (waiting.size > mostWaiting) return;
      waiting.push(line);
      if (!unwritten) schedule(gatherMs);
    },
  };
}

/** At the end of the process there is only the synchronous way; a reader that has stopped is given up soon. */
function writeAll(descriptor: number, bytes: Buffer): void {
  const giveUpAt = Date.now() + 500;
  for (let written = 0; written < bytes.length && Date.now() < giveUpAt; )
    try {
      written += writeSync(descriptor, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
    }
}
