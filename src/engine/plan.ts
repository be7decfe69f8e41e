/** How a model is to be loaded: context, slots, memory. Pure. */
import { ViaductError } from '../core/errors.ts';
import type { GgufInfo } from '../models/gguf.ts';
import type { Engine } from './engine.ts';
import { type ModelMemory, microBatch } from './memory.ts';

export type Purpose = 'chat' | 'embedding' | 'rerank';

/** Settings of one runner. `bytes` is the estimate that the scheduler books. */
export type LoadPlan = {
  purpose: Purpose;
  /** Tokens of each slot. */
  contextLength: number;
  parallel: number;
  bytes: number;
  weights: number;
  /** Bytes that the engine may keep of prompts that have lost their slot. It fills up slowly and is not in `bytes`. */
  promptCache: number;
};

export type PlanRequest = {
  purpose: Purpose;
  memory: ModelMemory;
  /** Context the model was trained with. */
  trained: number;
  /** Asked for by request, Modelfile or configuration; absent means as much as memory allows. */
  context?: number | undefined;
  /** Configured slots; absent means what suits. */
  parallel?: number | undefined;
  /** Bytes that may be taken. */
  available: number;
};

/** Context of models that do not say what they were trained with. */
export const defaultContext = 4096;
const smallestContext = 2048;
/** Part of the available memory that stays free, for the rest of the machine. */
const spare = 0.1;
/** More than one slot, each with the whole context, while their caches together take less than this part of it. */
const cachesShare = 0.25;
const autoParallel = [4, 2, 1];
const largestPromptCache = 2 * 2 ** 30;
/** Part of what is left. */
const promptCacheShare = 0.1;

/**
 * The best plan that fits: an asked context is kept exactly and slots are given up first; an unasked one is the trained
 * length, halved only when memory forces it. Undefined when nothing fits.
 */
export function planLoad(request: PlanRequest): LoadPlan | undefined {
  const { purpose, memory, trained, context, available } = request;
  const limit = available * (1 - spare);
  const configured = request.parallel;
  const slots = configured ? [configured] : autoParallel;
  const plan = (contextLength: number, parallel: number): LoadPlan => {
    const bytes = memory.weights + memory.overhead + memory.cache(contextLength) * parallel;
    const promptCache = Math.max(0, Math.min(largestPromptCache, (available - bytes) * promptCacheShare));
    return { purpose, contextLength, parallel, bytes, weights: memory.weights, promptCache };
  };
  const shrinks = context === undefined;
  const floor = shrinks ? Math.min(smallestContext, trained) : 0;
  for (
    let length = Math.min(context ?? trained, trained);
    length >= Math.max(floor, 1);
    length = Math.floor(length / 2)
  ) {
    for (const parallel of slots) {
      const candidate = plan(length, parallel);
      const caches = memory.cache(length) * parallel;
      const modest = configured !== undefined || parallel === 1 || caches <= available * cachesShare;
      if (modest && candidate.bytes <= limit) return candidate;
    }
    if (!shrinks) break;
  }
  return undefined;
}

/** Throws invalid_request unless it is a usable context. The smallest that holds a prompt token and an answer token is 2. */
export function checkContext(numCtx: number): void {
  if (!Number.isInteger(numCtx) || numCtx < 2)
    throw new ViaductError('invalid_request', `num_ctx must be a whole number of at least 2 tokens, not ${numCtx}.`, {
      param: 'options.num_ctx',
    });
}

/** What the engine needs to know beyond the plan, as llama-server's flags. */
export type ModelFiles = { modelPath: string; projectorPath?: string; adapterPaths: string[]; gguf: GgufInfo };

/**
 * llama-server's command line for a plan.
 * Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
 */
export function engineFlags(
  files: ModelFiles,
  plan: LoadPlan,
  engine: Pick<Engine, 'from' | 'cpuOnly'>,
  threads?: number,
): string[] {
  const flags = ['--model', files.modelPath, '--host', '127.0.0.1', '--port', '0', '--alias', 'model'];
  // The engine divides its context among the slots, and rounds each part up to 256.
  const perSlot = Math.ceil(plan.contextLength / 256) * 256;
  flags.push('--ctx-size', String(perSlot * plan.parallel), '--parallel', String(plan.parallel));
  flags.push('--jinja', '--no-context-shift', '--slots', '--metrics', '--no-webui', '--no-warmup');
  // One thread of the engine serves one connection, and beside the slots there are short calls.
  flags.push('--threads-http', String(plan.parallel * 2 + 8));
  if (threads !== undefined) flags.push('--threads', String(threads), '--threads-batch', String(threads));
  // A flag that a stranger's older build may not know.
  if (engine.from === 'installed') flags.push('--cache-ram', String(Math.floor(plan.promptCache / 2 ** 20)));
  if (files.projectorPath) flags.push('--mmproj', files.projectorPath);
  for (const path of files.adapterPaths) flags.push('--lora', path);
  flags.push(
    ...(plan.purpose === 'chat' ? chatFlags(files, engine.cpuOnly) : inputFlags(files.gguf, plan.purpose, perSlot)),
  );
  return flags;
}

/**
 * Between two steps the engine sees cancelled requests (in the second after the client has left, at the latest) and serves
 * the other slots, so steps are short where they are slow: on a CPU, 64 tokens cost at most 5 % more than 512 do. Fewer
 * cost another 10 %: attention is then computed another way. The tokens of a picture may have to be one step.
 */
const cpuStep = '64';

function chatFlags({ projectorPath }: ModelFiles, cpuOnly: boolean): string[] {
  const flags = ['--reasoning-format', 'deepseek'];
  if (cpuOnly && !projectorPath) flags.push('--batch-size', cpuStep, '--ubatch-size', cpuStep);
  return flags;
}

function inputFlags({ architecture, metadata }: GgufInfo, purpose: Purpose, perSlot: number): string[] {
  const flags = purpose === 'rerank' ? ['--reranking'] : ['--embeddings'];
  const causal = metadata[`${architecture}.attention.causal`] !== false;
  if (purpose === 'embedding' && metadata[`${architecture}.pooling_type`] === undefined)
    flags.push('--pooling', causal ? 'last' : 'mean');
  // An encoder must see a whole input in one step.
  const step = String(Math.max(perSlot, microBatch));
  if (!causal || purpose === 'rerank') flags.push('--batch-size', step, '--ubatch-size', step);
  return flags;
}
