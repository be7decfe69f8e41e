/**
 * What Google's older `:predict` method serves, on the Gemini API and on Vertex alike, and pictures of models that chat.
 * Sources: https://ai.google.dev/gemini-api/docs/imagen, …/image-generation,
 * https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/{imagen-api,text-embeddings-api} (read 2026-11)
 */
import { ViaductError } from '../core/errors.ts';
import type { Json, JsonObject } from '../core/json.ts';
import type { EmbedRequest, EmbedResult } from '../core/provider.ts';
import { count, list, object, text } from '../protocols/read.ts';
import type { Extras, Upstream } from './http.ts';

type Context = { signal: AbortSignal };

/** Pictures: Imagen by `:predict`, Gemini's own picture models by generateContent. OpenAI's body both ways. */
export const googleImage = (upstream: Upstream): NonNullable<Extras['image']> =>
  async function image({ model, body }, context) {
    const pictures = await (model.startsWith('imagen') ? imagen : drawn)(upstream, model, body, context);
    if (pictures.length === 0)
      throw new ViaductError('content_policy_violation', 'Google made no picture of that prompt.');
    return { created: Math.floor(Date.now() / 1000), data: pictures.map((data) => ({ b64_json: data })) };
  };

async function imagen(upstream: Upstream, model: string, body: JsonObject, context: Context): Promise<string[]> {
  const aspectRatio = aspectRatioOf(body['size']);
  const request = {
    instances: [{ prompt: text(body['prompt']) }],
    parameters: { sampleCount: count(body['n']) || 1, ...(aspectRatio && { aspectRatio }) },
  };
  const { predictions } = await upstream.json(`/models/${encodeURIComponent(model)}:predict`, request, context);
  return list(predictions).flatMap((entry) => text(object(entry)['bytesBase64Encoded']) || []);
}

/** One picture to a request: several are asked for at once. */
async function drawn(upstream: Upstream, model: string, body: JsonObject, context: Context): Promise<string[]> {
  const aspectRatio = aspectRatioOf(body['size']);
  const request = {
    contents: [{ role: 'user', parts: [{ text: text(body['prompt']) }] }],
    generationConfig: {
      responseModalities: ['TEXT', 'IMAGE'],
      ...(aspectRatio && { imageConfig: { aspectRatio } }),
    },
  };
  const path = `/models/${encodeURIComponent(model)}:generateContent`;
  const replies = Array.from({ length: count(body['n']) || 1 }, () => upstream.json(path, request, context));
  return (await Promise.all(replies)).flatMap((reply) =>
    list(object(object(list(reply['candidates'])[0])['content'])['parts']).flatMap(
      (part) => text(object(object(part)['inlineData'])['data']) || [],
    ),
  );
}

/** `1536x1024` → the nearest ratio that Google knows; undefined for `auto`. */
function aspectRatioOf(size: Json | undefined): string | undefined {
  const [, width, height] = /^(\d+)x(\d+)$/.exec(text(size)) ?? [];
  if (!width || !height) return undefined;
  const distance = ([w, h]: readonly [number, number]) =>
    Math.abs(Math.log((Number(width) / Number(height)) * (h / w)));
  return [...ratios].sort((a, b) => distance(a) - distance(b))[0]?.join(':');
}

const ratios = [
  [1, 1],
  [4, 3],
  [3, 4],
  [16, 9],
  [9, 16],
] as const;

/** Embeddings on Vertex. Its newest model takes one text to a request. */
export const predictEmbeddings = (upstream: Upstream) =>
  async function embed({ model, input, dimensions, truncate }: EmbedRequest, context: Context): Promise<EmbedResult> {
    const instances = input.map((content) => ({ content: textOnly(content) }));
    const parameters = {
      ...(truncate === false && { autoTruncate: false }),
      ...(dimensions !== undefined && { outputDimensionality: dimensions }),
    };
    const batches = model.startsWith('gemini') ? instances.map((instance) => [instance]) : [instances];
    const path = `/models/${encodeURIComponent(model)}:predict`;
    const replies = await Promise.all(
      batches.map((batch) => upstream.json(path, { instances: batch, parameters }, context)),
    );
    const embedded = replies.flatMap(({ predictions }) =>
      list(predictions).map((entry) => object(object(entry)['embeddings'])),
    );
    return {
      model,
      vectors: embedded.map(({ values }) => Float32Array.from(list(values), Number)),
      usage: {
        input: embedded.reduce((sum, { statistics }) => sum + count(object(statistics)['token_count']), 0),
        output: 0,
      },
    };
  };

export function textOnly(content: string | number[]): string {
  if (typeof content === 'string') return content;
  throw new ViaductError('unsupported_capability', 'Google embeds texts, not lists of token ids.', { param: 'input' });
}
