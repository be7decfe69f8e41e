/** Bodies of /api/embed and of the older /api/embeddings. Source: https://docs.ollama.com/api/embed (read 2026-08) */
import { z } from 'zod';
import type { JsonObject } from '../../core/json.ts';
import type { EmbedRequest } from '../../core/provider.ts';
import { decodeLocal } from '../local-options.ts';
import { validate } from '../validate.ts';
import { commonFields } from './settings.ts';

/** Body of /api/embed. */
export const wireEmbed = z.object({
  ...commonFields,
  input: z.union([z.string(), z.array(z.string())], { error: 'must be a string or a list of strings' }),
  truncate: z.boolean().nullish(),
  dimensions: z.int().min(1).nullish(),
});
/** Body of /api/embeddings. */
export const wireEmbeddings = z.object({ ...commonFields, prompt: z.string().nullish() });

/** Body of POST /api/embed → request. Inputs that are too long are cut unless `truncate` is false. Throws invalid_request. */
export function decodeEmbed(body: JsonObject): EmbedRequest {
  const wire = validate(wireEmbed, body);
  return {
    model: wire.model,
    input: [wire.input].flat(),
    truncate: wire.truncate ?? true,
    ...(wire.dimensions != null && { dimensions: wire.dimensions }),
    ...localOf(wire),
  };
}

/** Body of POST /api/embeddings → request for one vector, for none when the prompt is empty. Throws invalid_request. */
export function decodeEmbeddings(body: JsonObject): EmbedRequest {
  const wire = validate(wireEmbeddings, body);
  return { model: wire.model, input: wire.prompt ? [wire.prompt] : [], truncate: true, ...localOf(wire) };
}

function localOf(wire: z.infer<typeof wireEmbeddings>): Pick<EmbedRequest, 'local'> {
  const { numCtx, keepAlive } = decodeLocal(wire) ?? {};
  if (numCtx === undefined && keepAlive === undefined) return {};
  return { local: { ...(numCtx !== undefined && { numCtx }), ...(keepAlive !== undefined && { keepAlive }) } };
}
