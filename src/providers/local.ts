/** Models on this machine, run by llama.cpp: the provider behind `local`. */
import { randomUUID } from 'node:crypto';
import type { ChatEvent, ChatRequest } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';
import type { CallContext, Capability, ModelInfo, Provider } from '../core/provider.ts';
import type { AcquireOptions, Lease, Scheduler } from '../engine/scheduler.ts';
import { chain } from '../lib/chain.ts';
import type { ModelStore, ResolvedModel } from '../models/store.ts';
import { constrain, planTools } from './local/constraint.ts';
import { countInput } from './local/count-tokens.ts';
import { embedAll, maxInputs } from './local/embed.ts';
import { generate } from './local/generate.ts';
import type { AnswerPart, Generation, Outcome } from './local/generation.ts';
import { prepareMessages } from './local/messages.ts';
import { rankByVectors, rerankAll } from './local/rerank.ts';
import { maxTokens } from './local/sampling.ts';
import { slotWish } from './local/slot-wish.ts';
import { checkTokenIds } from './local/token-ids.ts';

/** Tool calls since the start, by model: what the metrics show. */
export type ToolCallCounts = { valid: number; repaired: number; rejected: number };

export type LocalProvider = Provider & { toolCalls(): ReadonlyMap<string, Readonly<ToolCallCounts>> };

export type LocalProviderOptions = {
  models: ModelStore;
  scheduler: Scheduler;
  /** Hosts from which images may come although their address is private. */
  imageHosts?: readonly string[];
};

/** Room for an answer whose length the request leaves open: what a grammar is laid out for, not a limit. */
const openBudget = 4096;
/** Timers of a fast machine show zero, which clients take for "not measured". */
const shortest = 0.001;

export function createLocalProvider({ models, scheduler, imageHosts }: LocalProviderOptions): LocalProvider {
  const counts = new Map<string, ToolCallCounts>();

  const judged = (model: string): Generation['judged'] => {
    return (state) => {
      const count = counts.get(model) ?? { valid: 0, repaired: 0, rejected: 0 };
      count[state]++;
      counts.set(model, count);
    };
  };

  const need = (model: ResolvedModel, capability: Capability, what: string) => {
    if (model.capabilities.includes(capability)) return;
    throw new ViaductError('unsupported_capability', `${model.name} ${what}.`, { param: 'model' });
  };

  const prepare = (request: ChatRequest, model: ResolvedModel, options: Pick<CallContext, 'signal' | 'privacy'>) =>
    prepareMessages(request, model, { ...options, ...(imageHosts && { allow: imageHosts }) });

  /** A text-only model and a picture: say which installed models would do. */
  async function needVision(request: ChatRequest, model: ResolvedModel) {
    if (model.capabilities.includes('vision')) return;
    const at = pictureIn(request);
    if (!at) return;
    const all = await Promise.all((await models.list()).map(({ name }) => models.resolve(name).catch(() => undefined)));
    const seeing = all.filter((other) => other?.capabilities.includes('vision')).map((other) => other?.name);
    const hint = seeing.length > 0 ? ` Installed models that can: ${seeing.join(', ')}.` : ' No installed model can.';
    throw new ViaductError(
      'unsupported_capability',
      `${model.name} cannot see images: it is a text-only model.${hint}`,
      { param: at },
    );
  }

  /** The lease must be released, and the engine stopped, however the work ends. */
  async function leased<T>(
    model: ResolvedModel,
    options: AcquireOptions,
    work: (lease: Lease) => Promise<T>,
  ): Promise<T> {
    const lease = await scheduler.acquire(model, options);
    try {
      return await work(lease);
    } finally {
      lease.release();
    }
  }

  async function* answer(
    request: ChatRequest,
    { signal, report, privacy }: CallContext,
  ): AsyncGenerator<AnswerPart, void> {
    const began = performance.now();
    const model = await models.resolve(request.model);
    const start = {
      type: 'start' as const,
      id: `chatcmpl-${randomUUID().replaceAll('-', '')}`,
      model: request.model,
    };
    if (request.messages.length === 0 && request.local?.keepAlive === 0) {
      // Every runner of the model, whatever its context and purpose; none is loaded for it.
      scheduler.unload(model.name);
      yield [[start, { type: 'finish', reason: 'stop', rawReason: 'unload', usage: { input: 0, output: 0 } }]];
      return;
    }
    need(model, 'completion', 'does not complete text; it is a model for embeddings');
    const tools = planTools(request);
    const limit = maxTokens(request, model.params);
    const constraint = constrain(request, tools, limit ?? Math.min(openBudget, contextOf(request, model) / 2));
    await needVision(request, model);
    if (request.local?.promptTokens) checkTokenIds(request.local.promptTokens, model.gguf.vocabularySize, 'prompt');

    const prepared = await prepare(request, model, { signal, privacy });
    const lease = await scheduler.acquire(model, acquireOptions(request, signal, report));
    try {
      if (request.messages.length === 0) {
        yield [[start, { type: 'finish', reason: 'stop', rawReason: 'load', usage: { input: 0, output: 0 } }]];
        return;
      }
      const work = { request, model, lease, tools, constraint, prepared, signal, start, judged: judged(model.name) };
      const outcome: Outcome = yield* generate(work);
      yield [[finish(outcome, request, { load: report.loadMs ?? 0, total: performance.now() - began })]];
    } finally {
      lease.release();
    }
  }

  return {
    name: 'local',
    kind: 'local',
    relays: () => false,
    chat: (request, context) => chain(answer(request, context)),
    toolCalls: () => counts,
    load: (model) => scheduler.load(model),

    async countTokens(request, { signal, report, privacy }) {
      const model = await models.resolve(request.model);
      await needVision(request, model);
      const prepared = await prepare(request, model, { signal, privacy });
      const slot = prepared.images.length > 0;
      return leased(model, { ...acquireOptions(request, signal, report), slot }, (lease) =>
        countInput(request, model, prepared, lease, signal),
      );
    },

    async embed(request, { signal, report }) {
      const model = await models.resolve(request.model);
      if (request.input.length > maxInputs)
        throw new ViaductError('invalid_request', `At most ${maxInputs} inputs can be embedded at once.`, {
          param: 'input',
        });
      if (model.capabilities.includes('rerank')) need(model, 'embedding', 'scores documents; it does not embed');
      for (const [index, item] of request.input.entries())
        if (typeof item !== 'string') checkTokenIds(item, model.gguf.vocabularySize, `input[${index}]`);
      const { numCtx, keepAlive } = request.local ?? {};
      return leased(model, { purpose: 'embedding', numCtx, keepAlive, signal, report }, (lease) =>
        embedAll(request, lease, signal),
      );
    },

    async rerank(request, { signal, report }) {
      const model = await models.resolve(request.model);
      if (model.capabilities.includes('embedding'))
        return leased(model, { purpose: 'embedding', signal, report }, (lease) =>
          rankByVectors(request, lease, signal),
        );
      need(model, 'rerank', 'neither re-ranks nor embeds');
      return leased(model, { purpose: 'rerank', signal, report }, (lease) => rerankAll(request, lease, signal));
    },

    async models() {
      const stored = await models.list();
      const infos = stored.map(async ({ name }) => models.resolve(name).then(infoOf, () => undefined));
      return (await Promise.all(infos)).filter((info) => info !== undefined);
    },

    describe(name) {
      const model = models.peek(name);
      if (!model) return undefined;
      return 'gguf' in model ? infoOf(model) : { id: model.name, created: model.modifiedAt, ownedBy: 'local' };
    },
  };

  function infoOf(model: ResolvedModel): ModelInfo {
    const running = scheduler.loaded().find(({ digest }) => digest === model.digest);
    return {
      id: model.name,
      created: model.modifiedAt,
      ownedBy: 'local',
      contextLength: running?.contextLength ?? contextOf(undefined, model),
      capabilities: model.capabilities,
    };
  }
}

const acquireOptions = (request: ChatRequest, signal: AbortSignal, report: CallContext['report']): AcquireOptions => ({
  purpose: 'chat',
  numCtx: request.local?.numCtx,
  keepAlive: request.local?.keepAlive,
  wish: slotWish(request),
  signal,
  report,
});

function contextOf(request: ChatRequest | undefined, { params, gguf }: ResolvedModel): number {
  const stored = typeof params['num_ctx'] === 'number' ? params['num_ctx'] : undefined;
  return request?.local?.numCtx ?? stored ?? gguf.contextLength ?? openBudget;
}

/** Where the first picture is. */
function pictureIn({ messages }: ChatRequest): string | undefined {
  for (const [i, { parts }] of messages.entries())
    for (const [j, part] of parts.entries()) if (part.type === 'image') return `messages[${i}].content[${j}]`;
  return undefined;
}

function finish(
  { answer, end, calls, toolError }: Outcome,
  request: ChatRequest,
  ms: { load: number; total: number },
): ChatEvent {
  const asked = end.stopSequence !== undefined && request.stop?.includes(end.stopSequence);
  const { reasoning } = answer.counts;
  return {
    type: 'finish',
    reason: calls > 0 && (end.reason !== 'length' || answer.closed) ? 'tool-calls' : end.reason,
    ...(asked && { stopSequence: end.stopSequence as string }),
    usage: {
      input: end.promptTokens,
      output: end.outputTokens,
      cacheRead: end.cachedTokens,
      ...(reasoning > 0 && { reasoning: Math.min(reasoning, end.outputTokens) }),
    },
    timings: {
      load: Math.max(ms.load, shortest),
      promptEval: Math.max(end.promptMs, shortest),
      eval: Math.max(end.outputMs, shortest),
      total: Math.max(ms.total, shortest),
    },
    ...(toolError && { toolError }),
  };
}
