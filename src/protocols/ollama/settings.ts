/** What chat, generate and embed have in common: options, keep_alive, format, think. */
import { z } from 'zod';
import type { ChatRequest, ReasoningEffort, ResponseFormat } from '../../core/chat.ts';
import type { JsonObject } from '../../core/json.ts';
import { decodeLocal, decodeLocalSampling, localFields, present } from '../local-options.ts';
import { invalid, jsonObject, validate } from '../validate.ts';

const integer = z.int().nullish();
const boolean = z.boolean().nullish();

/** Some options say how Ollama's runner works: the client's to write right, ours to decide. */
const options = localFields.options
  .unwrap()
  .unwrap()
  .extend({
    num_ctx: z.int().min(2, 'must be at least 2').nullish(),
    num_batch: integer,
    num_gpu: integer,
    main_gpu: integer,
    num_thread: integer,
    use_mmap: boolean,
  })
  .nullish();

/** Fields that every request has. Unknown options pass, as with Ollama. */
export const commonFields = {
  model: z.string().min(1, 'the name of a model is required'),
  options,
  keep_alive: localFields.keep_alive,
};

/** Fields of the requests that generate. */
export const generationFields = {
  ...commonFields,
  stream: boolean,
  format: z.unknown().optional(),
  think: z
    .union([z.boolean(), z.enum(['', 'low', 'medium', 'high', 'max'])], {
      error: 'must be true, false, "low", "medium", "high" or "max"',
    })
    .nullish(),
  logprobs: boolean,
  top_logprobs: z.int().min(0).max(20).nullish(),
};

const generation = z.object(generationFields);
type Generation = z.infer<typeof generation>;

/** Settings of a request that generates. `template`, `raw` and `suffix` are generate's own. */
export function decodeSettings(
  wire: Generation,
  own: Pick<NonNullable<ChatRequest['local']>, 'raw' | 'template' | 'suffix'> = {},
): Omit<ChatRequest, 'model' | 'messages'> {
  const { seed, ...sampling } = decodeLocalSampling(wire);
  const local = { ...decodeLocal(wire), ...own };
  const responseFormat = decodeFormat(wire.format);
  const reasoning = decodeThink(wire.think);
  return {
    stream: wire.stream ?? true,
    ...sampling,
    // A negative seed asks for a random one.
    ...(seed !== undefined && seed >= 0 && { seed }),
    ...(responseFormat && { responseFormat }),
    ...(reasoning && { reasoning }),
    ...(wire.logprobs && { logprobs: true, ...(wire.top_logprobs && { topLogprobs: wire.top_logprobs }) }),
    ...(Object.keys(local).length > 0 && { local }),
  };
}

function decodeFormat(format: unknown): ResponseFormat | undefined {
  if (format == null || format === '') return undefined;
  if (format === 'json') return { type: 'json' };
  if (typeof format !== 'object') throw invalid('format', 'must be "json" or a JSON Schema');
  const schema = validate(jsonObject, format, 'format');
  if (Object.keys(schema).length === 0) return { type: 'json' };
  return { type: 'json-schema', name: 'output', schema, strict: true };
}

function decodeThink(think: Generation['think']): ChatRequest['reasoning'] {
  if (think == null || think === '') return undefined;
  if (think === true) return {};
  if (think === false) return { effort: 'none' };
  return { effort: think === 'max' ? 'xhigh' : think };
}

const levels: Record<ReasoningEffort, boolean | string> = {
  none: false,
  minimal: 'low',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'max',
};

/** Settings → fields of POST /api/chat. */
export function encodeSettings(request: ChatRequest): JsonObject {
  const { local = {}, responseFormat, reasoning, logprobs, topLogprobs } = request;
  const options: JsonObject = present({
    num_ctx: local.numCtx,
    num_keep: local.numKeep,
    num_predict: request.maxTokens,
    temperature: request.temperature,
    top_k: request.topK,
    top_p: request.topP,
    min_p: local.minP,
    typical_p: local.typicalP,
    repeat_penalty: local.repeatPenalty,
    repeat_last_n: local.repeatLastN,
    presence_penalty: request.presencePenalty,
    frequency_penalty: request.frequencyPenalty,
    mirostat: local.mirostat,
    mirostat_tau: local.mirostatTau,
    mirostat_eta: local.mirostatEta,
    seed: request.seed,
    stop: request.stop,
  });
  return {
    stream: request.stream,
    ...(Object.keys(options).length > 0 && { options }),
    ...(local.keepAlive !== undefined && { keep_alive: local.keepAlive }),
    ...(responseFormat?.type === 'json' && { format: 'json' }),
    ...(responseFormat?.type === 'json-schema' && { format: responseFormat.schema }),
    ...(reasoning && { think: reasoning.effort ? levels[reasoning.effort] : true }),
    ...(logprobs && { logprobs, ...(topLogprobs && { top_logprobs: topLogprobs }) }),
  };
}
