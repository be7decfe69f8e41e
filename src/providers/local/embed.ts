/** Vectors from a local embedding model. */
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { EmbedRequest, EmbedResult } from '../../core/provider.ts';
import { readJson } from '../../engine/reply.ts';
import type { Lease } from '../../engine/scheduler.ts';
import { contextExceeded, succeeded } from './engine-errors.ts';
import { tokenize } from './tokenize.ts';

export const maxInputs = 2048;
/** Inputs of one call to the engine: enough to fill its batches, few enough to stop soon when the client leaves. */
const batchSize = 64;
/** Texts tokenized side by side: fewer than the engine has threads for connections. */
const atOnce = 6;
const textOnly = { add_special: true, parse_special: false };

/**
 * One vector of length 1 for each input, in order. Usage counts special tokens. `fieldOf` names an input in errors.
 * Throws context_length_exceeded for an input that is too long, unless `truncate`.
 */
export async function embedAll(
  request: EmbedRequest,
  lease: Lease,
  signal: AbortSignal,
  fieldOf = (index: number) => `input[${index}]`,
): Promise<EmbedResult> {
  const { model, input, dimensions, truncate } = request;
  const inputs: number[][] = [];
  for (let from = 0; from < input.length; from += atOnce) {
    const batch = input.slice(from, from + atOnce);
    const tokens = await Promise.all(
      batch.map((item) => (typeof item === 'string' ? tokenize(lease.runner, item, textOnly, signal) : item)),
    );
    for (const some of tokens) inputs.push(fit(some, fieldOf(inputs.length), lease.contextLength, truncate === true));
  }
  const vectors: Float32Array[] = [];
  for (let from = 0; from < inputs.length; from += batchSize)
    vectors.push(...(await embedBatch(inputs.slice(from, from + batchSize), lease, signal)));
  const size = vectors[0]?.length ?? 0;
  if (dimensions !== undefined && (!Number.isInteger(dimensions) || dimensions < 1 || dimensions > size))
    throw new ViaductError(
      'invalid_request',
      `${model} gives vectors of ${size} dimensions; dimensions must be 1 to ${size}.`,
      {
        param: 'dimensions',
      },
    );
  const used = inputs.reduce((sum, tokens) => sum + tokens.length, 0);
  return {
    model,
    vectors: vectors.map((vector) => unit(vector.subarray(0, dimensions ?? size))),
    usage: { input: used, output: 0 },
  };
}

/** Cut inputs keep their last token: it is the mark that ends every text. */
function fit(tokens: number[], param: string, limit: number, truncate: boolean): number[] {
  if (tokens.length === 0) throw new ViaductError('invalid_request', 'An input to embed is empty.', { param });
  if (tokens.length <= limit) return tokens;
  if (!truncate) throw contextExceeded(limit, tokens.length, param);
  return [...tokens.slice(0, limit - 1), tokens.at(-1) as number];
}

async function embedBatch(inputs: number[][], { runner }: Lease, signal: AbortSignal): Promise<Float32Array[]> {
  const body = { input: inputs, embd_normalize: -1 } as JsonObject;
  const { data } = await readJson(await succeeded(await runner.request('/v1/embeddings', body, signal)));
  if (!Array.isArray(data) || data.length !== inputs.length)
    throw new ViaductError(
      'provider_invalid_response',
      'The engine gave another number of vectors than it was asked for.',
    );
  const rows = data as { index: number; embedding: Json }[];
  return rows.toSorted((a, b) => a.index - b.index).map(({ embedding }) => Float32Array.from(embedding as number[]));
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((value) => value / length) : vector;
}
