import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import type { EmbedRequest, EmbedResult, ModelInfo } from '../core/provider.ts';
import * as protocol from '../protocols/gemini.ts';
import { count, list, object, text } from '../protocols/read.ts';
import { apiSettings, baseUrlOf, type Dialect, defineProvider, keysOf } from './define.ts';
import { createHttpProvider, type Upstream } from './http.ts';

/** generateContent below `models/`: the Gemini API's, and with another prefix Vertex's. */
export const generateContent: Dialect = {
  protocol: 'gemini',
  path: (model, stream) =>
    `/models/${encodeURIComponent(model)}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
  encodeRequest: protocol.encodeRequest,
  createStreamDecoder: protocol.createStreamDecoder,
  decodeResponse: protocol.decodeResponse,
  decodeError: protocol.decodeError,
};

/** Gemini, by Google AI Studio. https://ai.google.dev/api */
export const gemini = defineProvider({
  kind: 'gemini',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'gemini',
        baseUrl: baseUrlOf(config, 'https://generativelanguage.googleapis.com/v1beta'),
        keys: keysOf(config),
        authorize: (key): Record<string, string> => (key ? { 'x-goog-api-key': key } : {}),
        headers: config.headers,
        connectTimeout: config.connect_timeout,
        dialects: [generateContent],
      },
      (upstream) => ({
        embed: embed(upstream),
        models: models(upstream),
        async countTokens(request, { signal }) {
          const { contents, systemInstruction, tools } = protocol.encodeRequest(request);
          const counted = {
            model: `models/${request.model}`,
            contents: contents ?? [],
            ...(systemInstruction && { systemInstruction }),
            ...(tools && { tools }),
          };
          const path = `/models/${encodeURIComponent(request.model)}:countTokens`;
          const reply = await upstream.json(path, { generateContentRequest: counted }, { signal });
          return count(reply['totalTokens']);
        },
      }),
    ),
});

/** Source: https://ai.google.dev/api/embeddings#method:-models.batchembedcontents */
const embed = (upstream: Upstream) =>
  async function embed(
    { model, input, dimensions }: EmbedRequest,
    context: { signal: AbortSignal },
  ): Promise<EmbedResult> {
    const requests = input.map((content) => ({
      model: `models/${model}`,
      content: { parts: [{ text: String(content) }] },
      ...(dimensions !== undefined && { outputDimensionality: dimensions }),
    }));
    const reply = await upstream.json(`/models/${encodeURIComponent(model)}:batchEmbedContents`, { requests }, context);
    const vectors = list(reply['embeddings']).map((entry) => Float32Array.from(list(object(entry)['values']), Number));
    return { model, vectors, usage: { input: count(object(reply['usageMetadata'])['promptTokenCount']), output: 0 } };
  };

const models = (upstream: Upstream) =>
  async function models(signal: AbortSignal): Promise<ModelInfo[]> {
    const reply = await upstream.get('/models?pageSize=1000', signal);
    return list(reply['models']).map(object).map(modelInfo);
  };

function modelInfo(entry: JsonObject): ModelInfo {
  return {
    id: text(entry['name']).replace(/^models\//, ''),
    contextLength: count(entry['inputTokenLimit']),
    maxOutput: count(entry['outputTokenLimit']),
    ownedBy: 'google',
  };
}
