/** Which models are loaded, who may use them now, and who must wait. */
import type { CallReport } from '../core/provider.ts';
import type { ResolvedModel } from '../models/store.ts';
import type { Runner } from './runner.ts';

export type AcquireOptions = {
  /** What the runner is loaded for: `embedding` and `rerank` need another runner than `chat`. Absent means chat. */
  purpose?: 'chat' | 'embedding' | 'rerank';
  /** Tokens of context that must be in force, exactly; absent means the Modelfile's, else the configured, else the model's own. */
  numCtx?: number | undefined;
  /** Seconds to stay loaded after release; negative = for ever, 0 = unload at once. Absent means the configured time. */
  keepAlive?: number | undefined;
  /** False for calls that generate nothing (tokenize, apply-template): they wait for the load, not for a slot. */
  slot?: boolean;
  signal: AbortSignal;
  /** Gets `loadMs`, `queueMs` and `digest`. */
  report?: CallReport;
};

/** The right to one slot of a loaded model. Release it when the answer is whole or given up; twice is harmless. */
export type Lease = {
  runner: Runner;
  /** Tokens that one request may take, prompt and answer together. */
  contextLength: number;
  /** Slots of this runner. */
  parallel: number;
  release(): void;
};

/** One line of `ps`. Sizes in bytes. */
export type LoadedModel = {
  name: string;
  digest: string;
  purpose: 'chat' | 'embedding' | 'rerank';
  /** Estimated memory of weights, context and buffers. */
  size: number;
  /** Part of `size` on a GPU. */
  sizeVram: number;
  /** Milliseconds since 1970 when it will be unloaded; undefined means never. */
  expiresAt: number | undefined;
  contextLength: number;
  parallel: number;
  /** Requests at work and waiting. */
  busy: number;
  queued: number;
  model: ResolvedModel;
};

export type Scheduler = {
  /**
   * Wait for a slot of `model`, loading it when needed.
   * Throws invalid_request (bad numCtx), queue_full, model_load_failed, out_of_memory, engine_unavailable, shutting_down,
   * or the signal's reason.
   */
  acquire(model: ResolvedModel, options: AcquireOptions): Promise<Lease>;
  loaded(): LoadedModel[];
  /** Unload every runner of that name once its requests are done. False when none was loaded. */
  unload(name: string): boolean;
  /** What a request that came now would meet: requests before it that wait, and its own expected wait in milliseconds. */
  load(name: string): { queued: number; expectedWaitMs: number };
  /** Refuse new work, let running requests end for at most `graceMs`, then end every runner. */
  close(graceMs?: number): Promise<void>;
};
