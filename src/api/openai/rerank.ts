import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { RerankRequest } from '../../core/provider.ts';
import { checkBody } from '../../protocols/openai-body.ts';
import type { Endpoint } from '../define.ts';
import { jsonBody, servedHeaders } from '../http.ts';

const mostDocuments = 10_000;

const wireRequest = z.object({
  model: z.string().min(1),
  query: z.string().min(1),
  documents: z
    .array(z.union([z.string(), z.object({ text: z.string() })]))
    .min(1)
    .max(mostDocuments),
  top_n: z.number().int().min(1).nullish(),
  return_documents: z.boolean().nullish(),
});

/** POST /v1/rerank, in the shape that Cohere, Jina, vLLM and llama.cpp share — https://docs.cohere.com/reference/rerank */
export const rerank: Endpoint = {
  method: 'POST',
  path: '/v1/rerank',
  body: wireRequest,
  async handle({ request, reply, caller }) {
    const { model, query, documents, top_n, return_documents } = checkBody(wireRequest, jsonBody(request));
    const texts = documents.map((document) => (typeof document === 'string' ? document : document.text));
    const wanted: RerankRequest = { model, query, documents: texts, ...(top_n && { topN: top_n }) };
    const answer = await caller.rerank(wanted);
    const { results, usage } = answer.result;
    return reply.headers(servedHeaders(answer)).send({
      id: `rerank-${randomUUID()}`,
      object: 'list',
      model,
      results: results
        .toSorted((a, b) => b.score - a.score)
        .slice(0, top_n ?? undefined)
        .map(({ index, score }) => ({
          index,
          relevance_score: score,
          ...(return_documents && { document: { text: texts[index] ?? '' } }),
        })),
      usage: { prompt_tokens: usage.input, total_tokens: usage.input },
      meta: { billed_units: { search_units: 1 } },
    });
  },
};
