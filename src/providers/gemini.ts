import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import type { Capability, EmbedRequest, EmbedResult, ModelInfo } from '../core/provider.ts';
import * as protocol from '../protocols/gemini.ts';
import { count, list, object, text } from '../protocols/read.ts';
import { describer } from './abilities.ts';
import { apiSettings, connectionOf, type Dialect, defineProvider } from './define.ts';
import { withBytes } from './download.ts';
import { googleImage, textOnly } from './google-predict.ts';
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

/** Files uploaded to Gemini, and films on YouTube, which it watches itself. */
const ownAddresses = /^https:\/\/(generativelanguage\.googleapis\.com|(www\.)?youtube\.com|youtu\.be)\//;

/** Gemini, by Google AI Studio. https://ai.google.dev/api */
export const gemini = defineProvider({
  kind: 'gemini',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'gemini',
        ...connectionOf(config, 'https://generativelanguage.googleapis.com/v1beta'),
        authorize: (key): Record<string, string> => (key ? { 'x-goog-api-key': key } : {}),
        dialects: [generateContent],
        prepare: withBytes(ownAddresses),
      },
      (upstream) => ({
        embed: embed(upstream),
        image: googleImage(upstream),
        models: models(upstream),
        describe: describer('gemini'),
        async countTokens(request, context) {
          const counted = { ...countable(request), model: `models/${request.model}` };
          const path = `/models/${encodeURIComponent(request.model)}:countTokens`;
          return count((await upstream.json(path, { generateContentRequest: counted }, context))['totalTokens']);
        },
      }),
    ),
});

/** What of a request counts as its prompt. */
export function countable(request: Parameters<typeof protocol.encodeRequest>[0]): JsonObject {
  const { contents, systemInstruction, tools } = protocol.encodeRequest(request);
  return { contents: contents ?? [], ...(systemInstruction && { systemInstruction }), ...(tools && { tools }) };
}

/** Source: https://ai.google.dev/api/embeddings#method:-models.batchembedcontents */
const embed = (upstream: Upstream) =>
  async function embed(
    { model, input, dimensions }: EmbedRequest,
    context: { signal: AbortSignal },
  ): Promise<EmbedResult> {
    const requests = input.map((content) => ({
      model: `models/${model}`,
      content: { parts: [{ text: textOnly(content) }] },
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

/** Source: https://ai.google.dev/api/models#Model */
function modelInfo(entry: JsonObject): ModelInfo {
  const id = text(entry['name']).replace(/^models\//, '');
  const methods = list(entry['supportedGenerationMethods']);
  const known = describer('gemini')(id)?.capabilities;
  const capabilities: Capability[] | undefined = methods.includes('embedContent') ? ['embedding'] : known;
  return {
    id,
    ownedBy: 'google',
    ...(count(entry['inputTokenLimit']) > 0 && { contextLength: count(entry['inputTokenLimit']) }),
    ...(count(entry['outputTokenLimit']) > 0 && { maxOutput: count(entry['outputTokenLimit']) }),
    ...(capabilities && { capabilities }),
  };
}
