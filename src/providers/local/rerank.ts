/** Documents scored against a query by a local re-ranker. */
import type { Json } from '../../core/json.ts';
import type { RerankRequest, RerankResult } from '../../core/provider.ts';
import { readJson } from '../../engine/reply.ts';
import type { Lease } from '../../engine/scheduler.ts';
import { succeeded } from './engine-errors.ts';

/** Best first. Scores are the model's own; higher is nearer. */
export async function rerankAll(request: RerankRequest, lease: Lease, signal: AbortSignal): Promise<RerankResult> {
  const { model, query, documents, topN } = request;
  const body = { query, documents };
  const reply = await readJson(await succeeded(await lease.runner.request('/v1/rerank', body, signal)));
  const rows = (reply['results'] ?? []) as { index: number; relevance_score: number }[];
  const usage = (reply['usage'] ?? {}) as { [key: string]: Json };
  return {
    model,
    results: rows
      .map(({ index, relevance_score }) => ({ index, score: relevance_score }))
      .toSorted((a, b) => b.score - a.score)
      .slice(0, topN ?? documents.length),
    usage: { input: Number(usage['prompt_tokens'] ?? 0), output: 0 },
  };
}
