/** One engine process with one model loaded, and how to talk to it. */
import type { JsonObject } from '../core/json.ts';

/** What the engine answered. `body` must be read to its end or the signal aborted: it holds a connection. */
export type RunnerReply = { status: number; body: AsyncIterable<Buffer> };

/** A loaded model. All calls carry the runner's key; all failures are ViaductErrors. */
export type Runner = {
  /**
   * POST `body` as JSON to the engine, GET when there is none. Any HTTP status is a reply; judge it with `readJson`.
   * Aborting `signal` closes the connection, which frees the engine's slot; the call then throws the signal's reason.
   * Throws runner_crashed when the process ends first, also while the body is read.
   */
  request(path: string, body: JsonObject | undefined, signal?: AbortSignal): Promise<RunnerReply>;
};
