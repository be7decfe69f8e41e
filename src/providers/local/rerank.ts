/** Documents scored against a query: by a re-ranker, or by how near their vectors are, as vLLM does it too. */
import type { Json } from '../../core/json.ts';
import type { RerankRequest, RerankResult } from '../../core/provider.ts';
import { readJson } from '../../engine/reply.ts';
import type { Lease } from '../../engine/scheduler.ts';
import { embedAll } from './embed.ts';
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

/** For a model that embeds: the cosine of the angle between the two vectors, best first. Throws context_length_exceeded. */
export async function rankByVectors(
  { model, query, documents, topN }: RerankRequest,
  lease: Lease,
  signal: AbortSignal,
): Promise<RerankResult> {
  const input = [query, ...documents];
  const fieldOf = (index: number) => (index === 0 ? 'query' : `documents[${index - 1}]`);
  const { vectors, usage } = await embedAll({ model, input }, lease, signal, fieldOf);
  const [asked = new Float32Array(), ...others] = vectors;
  const results = others.map((vector, index) => ({
    index,
    score: vector.reduce((sum, value, place) => sum + value * (asked[place] ?? 0), 0),
  }));
  return { model, results: results.toSorted((a, b) => b.score - a.score).slice(0, topN ?? documents.length), usage };
}
