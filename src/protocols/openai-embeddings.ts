/** OpenAI Embeddings ⇄ core. Source: https://platform.openai.com/docs/api-reference/embeddings/create (read 2026-08) */
import { z } from 'zod';
import type { Json, JsonObject } from '../core/json.ts';
import type { EmbedRequest, EmbedResult } from '../core/provider.ts';
import { decodeLocal, localFields, present } from './local-options.ts';
import { checkBody } from './openai-body.ts';

const mostInputs = 2048;
const text = z.string().min(1);
const tokens = z.array(z.number().int().min(0)).min(1);

/** What a body must be. */
export const wireRequest = z.object({
  model: z.string().min(1),
  input: z.union([text, z.array(text).min(1).max(mostInputs), tokens, z.array(tokens).min(1).max(mostInputs)]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.number().int().min(1).nullish(),
  truncate: z.boolean().nullish(),
  user: z.string().nullish(),
  options: localFields.options,
  keep_alive: localFields.keep_alive,
});

export type EmbeddingFormat = 'float' | 'base64';

/** Body → request, and how the vectors are to be written. Throws invalid_request with `param`. */
export function decodeRequest(body: JsonObject): { request: EmbedRequest; format: EmbeddingFormat } {
  const wire = checkBody(wireRequest, body);
  const { numCtx, keepAlive } = decodeLocal(wire) ?? {};
  const local = present({ numCtx, keepAlive });
  const request = present({
    model: wire.model,
    input: decodeInput(wire.input),
    dimensions: wire.dimensions,
    truncate: wire.truncate,
    user: wire.user,
    local: Object.keys(local).length > 0 ? local : undefined,
  }) as EmbedRequest;
  return { request, format: wire.encoding_format ?? 'float' };
}

/** One text, many texts, one list of token ids, or many. */
function decodeInput(input: z.infer<typeof wireRequest>['input']): EmbedRequest['input'] {
  if (typeof input === 'string') return [input];
  return typeof input[0] === 'number' ? [input as number[]] : (input as (string | number[])[]);
}

/** Request → body for an upstream. Vectors are asked for as base64, which is a third of the bytes. */
export function encodeRequest({ model, input, dimensions, user }: EmbedRequest): JsonObject {
  const [first] = input;
  return present({
    model,
    input: input.length === 1 && typeof first === 'string' ? first : input,
    encoding_format: 'base64',
    dimensions,
    user,
  }) as JsonObject;
}

/** Result → body of the reply. base64 is of little-endian 32-bit floats, as OpenAI's SDKs ask for unless told otherwise. */
export function encodeResponse({ model, vectors, usage }: EmbedResult, format: EmbeddingFormat): JsonObject {
  return {
    object: 'list',
    data: vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: format === 'base64' ? encodeVector(vector) : Array.from(vector),
    })),
    model,
    usage: { prompt_tokens: usage.input, total_tokens: usage.input },
  };
}

// Every platform that Node runs on is little-endian.
const encodeVector = (vector: Float32Array) =>
  Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');

const wireResponse = z.object({
  model: z.string().nullish(),
  data: z.array(z.object({ index: z.number().nullish(), embedding: z.union([z.string(), z.array(z.number())]) })),
  usage: z.object({ prompt_tokens: z.number().nullish(), total_tokens: z.number().nullish() }).nullish(),
});

/** Body of an upstream's reply → result; vectors in the order of the inputs. Undefined when it is something else. */
export function decodeResponse(body: Json): EmbedResult | undefined {
  const parsed = wireResponse.safeParse(body);
  if (!parsed.success) return undefined;
  const { model, data, usage } = parsed.data;
  const vectors: Float32Array[] = [];
  for (const [at, { index, embedding }] of data.entries())
    vectors[index ?? at] = typeof embedding === 'string' ? decodeVector(embedding) : Float32Array.from(embedding);
  return { model: model ?? '', vectors, usage: { input: usage?.prompt_tokens ?? usage?.total_tokens ?? 0, output: 0 } };
}

function decodeVector(base64: string): Float32Array {
  const bytes = new Uint8Array(Buffer.from(base64, 'base64'));
  return new Float32Array(bytes.buffer, 0, bytes.length >> 2);
}
