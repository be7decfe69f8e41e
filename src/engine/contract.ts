/** What the scheduler promises, and what it asks for. */
import type { CallReport } from '../core/provider.ts';
import type { ResolvedModel } from '../models/store.ts';
import type { Engine } from './engine.ts';
import type { Purpose } from './plan.ts';
import type { Runner } from './runner.ts';
import type { SlotWish } from './slots.ts';

export type AcquireOptions = {
  /** What the runner is loaded for: `embedding` and `rerank` need another runner than `chat`. Absent means chat. */
  purpose?: Purpose;
  /** Tokens of context that must be in force; absent means the Modelfile's, else the configured, else the model's own. */
  numCtx?: number | undefined;
  /** Seconds to stay loaded after release; negative = for ever, 0 = unload at once. Absent means the configured time. */
  keepAlive?: number | undefined;
  /** False for calls that generate nothing (tokenize, apply-template): they wait for the load, not for a slot. */
  slot?: boolean;
  /** Which slot it should be. */
  wish?: SlotWish;
  signal: AbortSignal;
  /** Gets `loadMs`, `queueMs` and `digest`. */
  report?: CallReport;
};

/** The right to one slot of a loaded model. Release it when the answer is whole or given up; twice is harmless. */
export type Lease = {
  runner: Runner;
  /** Tokens that one request may take, prompt and answer together. The engine's own figure may be up to 255 higher. */
  contextLength: number;
  /** Slots of this runner. */
  parallel: number;
  /** The slot to name to the engine as `id_slot`; undefined where the engine chooses. */
  slot: number | undefined;
  release(): void;
};

/** One line of `ps`. Sizes in bytes. */
export type LoadedModel = {
  name: string;
  digest: string;
  purpose: Purpose;
  /** Estimated memory of weights, context and buffers. */
  size: number;
  /** Part of `size` on a GPU. */
  sizeVram: number;
  /** Milliseconds since 1970 when it will be unloaded, counted from now while it works; undefined means never. */
  expiresAt: number | undefined;
  contextLength: number;
  parallel: number;
  /** Requests at work and waiting. */
  busy: number;
  queued: number;
  /** Loopback address of its engine. */
  url: string;
  model: ResolvedModel;
};

export type Scheduler = {
  /**
   * Wait for a slot of `model`, loading it when needed.
   * Throws invalid_request (bad numCtx), queue_full, model_load_failed, out_of_memory, engine_unavailable, shutting_down,
   * or the signal's reason.
   */
  acquire(model: ResolvedModel, options: AcquireOptions): Promise<Lease>;
  /** Models whose load is complete, last used first. */
  loaded(): LoadedModel[];
  /** Unload every runner of that name or digest once its requests are done. False when none was loaded. */
  unload(name: string): boolean;
  /** What a request that came now would meet: requests before it that wait, and its own expected wait in milliseconds. */
  load(name: string): { queued: number; expectedWaitMs: number };
  /** The context that a load without wishes would get or has got, tokens; for `show` and /v1/models. */
  contextOf(model: ResolvedModel): Promise<number>;
  /** Work by other settings from now on; what is loaded stays as it is. */
  configure(settings: SchedulerSettings): void;
  /** Refuse new work, let running requests end for at most `graceMs`, then end every runner. */
  close(graceMs?: number): Promise<void>;
};

/** What pino's loggers have. */
export type Log = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
};

/** What may change while it works: `keepAlive` for requests from then on, the rest for loads. */
export type SchedulerSettings = {
  /** Seconds; as in AcquireOptions. */
  keepAlive?: number;
  /** Slots of each runner; absent means what suits its size. */
  parallel?: number | undefined;
  /** Tokens; absent means the model's own. */
  context?: number | undefined;
  /** Runners at a time; absent means as many as memory holds. */
  maxLoaded?: number | undefined;
  /** Requests that may wait for one runner. */
  maxQueue?: number;
};

export type SchedulerOptions = SchedulerSettings & {
  /** Find the engine, installing it when needed; called at every load. */
  engine: () => Promise<Engine>;
  /** Threads of each runner; absent means the engine's choice. */
  threads?: number | undefined;
  /** Bytes that may be taken now; for tests. */
  available?: () => Promise<number>;
  log?: Log;
};
