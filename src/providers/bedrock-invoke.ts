/**
 * What Converse has no words for: each family's own body of InvokeModel.
 * Sources:
 * https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-{titan-embed-text,embed,embed-v4,nova-embed}.html,
 * …/model-parameters-titan-image.html,
 * https://docs.aws.amazon.com/nova/latest/userguide/image-gen-req-resp-structure.html (read 2026-11)
 */
import { ViaductError } from '../core/errors.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { EmbedRequest, EmbedResult } from '../core/provider.ts';
import { count, list, object, text } from '../protocols/read.ts';
import type { Extras, Upstream } from './http.ts';

const pathOf = (model: string) => `/model/${encodeURIComponent(model)}/invoke`;

/** Embeddings of Titan, Nova and Cohere. The first two take one text at a time: a batch is as many requests at once. */
export const bedrockEmbed = (upstream: Upstream): NonNullable<Extras['embed']> =>
  async function embed(request, context): Promise<EmbedResult> {
    const { model } = request;
    const texts = request.input.map(asText);
    const bodies = model.includes('cohere')
      ? [cohereBody(texts, request)]
      : texts.map((input) => (model.includes('nova') ? novaBody(input, request) : titanBody(input, request)));
    const replies = await Promise.all(bodies.map((body) => upstream.post(pathOf(model), body, context)));
    const vectors = replies.flatMap(({ body }) => vectorsOf(body)).map((vector) => Float32Array.from(vector, Number));
    if (vectors.length !== texts.length)
      throw new ViaductError('provider_invalid_response', 'Bedrock answered with something that is no embedding.');
    const input = replies.reduce(
      (sum, { body, headers }) =>
        sum + (count(body['inputTextTokenCount']) || Number(headers['x-amzn-bedrock-input-token-count'] ?? 0)),
      0,
    );
    return { model, vectors, usage: { input, output: 0 } };
  };

function asText(input: string | number[]): string {
  if (typeof input === 'string') return input;
  throw new ViaductError('unsupported_capability', 'Bedrock embeds texts, not lists of token ids.', { param: 'input' });
}

const cohereBody = (texts: string[], { model, dimensions, truncate }: EmbedRequest): JsonObject => ({
  texts,
  input_type: 'search_document',
  embedding_types: ['float'],
  truncate: truncate === false ? 'NONE' : 'END',
  ...(dimensions !== undefined && model.includes('v4') && { output_dimension: dimensions }),
});

const novaBody = (value: string, { dimensions, truncate }: EmbedRequest): JsonObject => ({
  taskType: 'SINGLE_EMBEDDING',
  singleEmbeddingParams: {
    embeddingPurpose: 'GENERIC_INDEX',
    ...(dimensions !== undefined && { embeddingDimension: dimensions }),
    text: { value, truncationMode: truncate === false ? 'NONE' : 'END' },
  },
});

const titanBody = (inputText: string, { model, dimensions }: EmbedRequest): JsonObject => ({
  inputText,
  ...(!model.includes('-v1') && { normalize: true, ...(dimensions !== undefined && { dimensions }) }),
});

/** One vector (Titan), a list of them (Cohere 3), a list by type (Cohere 4), or a list of objects (Nova). */
function vectorsOf({ embedding, embeddings }: JsonObject): Json[][] {
  if (Array.isArray(embedding)) return [embedding];
  const many = Array.isArray(embeddings) ? embeddings : list(object(embeddings)['float']);
  return many.map((entry) => (Array.isArray(entry) ? entry : list(object(entry)['embedding'])));
}

/** Pictures of Nova Canvas and Titan, and of Stability's models, one at a time. OpenAI's body both ways. */
export const bedrockImage = (upstream: Upstream): NonNullable<Extras['image']> =>
  async function image({ model, body }, context) {
    const prompt = text(body['prompt']);
    const request = model.includes('stability')
      ? { prompt, output_format: 'png' }
      : {
          taskType: 'TEXT_IMAGE',
          textToImageParams: { text: prompt },
          imageGenerationConfig: { numberOfImages: count(body['n']) || 1, ...sizeOf(body['size']) },
        };
    const { images, error } = await upstream.json(pathOf(model), request, context);
    if (list(images).length === 0)
      throw new ViaductError('content_policy_violation', text(error) || 'Bedrock made no picture of that prompt.');
    return { created: Math.floor(Date.now() / 1000), data: list(images).map((data) => ({ b64_json: text(data) })) };
  };

function sizeOf(size: Json | undefined): JsonObject {
  const [, width, height] = /^(\d+)x(\d+)$/.exec(text(size)) ?? [];
  return width && height ? { width: Number(width), height: Number(height) } : {};
}
