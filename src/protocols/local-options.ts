/**
 * What a client may ask of a local model beyond OpenAI's fields, through its SDK's extra_body: Ollama's `options` and `keep_alive`,
 * and the sampling fields that llama.cpp and vLLM share. Source: https://docs.ollama.com/modelfile (parameters), https://pkg.go.dev/time#ParseDuration
 */
import { z } from 'zod';
import type { ChatRequest, LocalOptions } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';

const number = z.number().nullish();
const integer = z.number().int().nullish();

const ollamaOptions = z
  .object({
    num_ctx: z.number().int().min(1).nullish(),
    num_predict: integer,
    num_keep: integer,
    temperature: number,
    top_k: integer,
    top_p: number,
    min_p: number,
    typical_p: number,
    repeat_penalty: number,
    repeat_last_n: integer,
    presence_penalty: number,
    frequency_penalty: number,
    mirostat: integer,
    mirostat_tau: number,
    mirostat_eta: number,
    seed: integer,
    stop: z.union([z.string(), z.array(z.string())]).nullish(),
  })
  .nullish();

/** Fields of a request body, to be spread into its schema. */
export const localFields = {
  options: ollamaOptions,
  keep_alive: z.union([z.string(), z.number()]).nullish(),
  top_k: integer,
  min_p: number,
  typical_p: number,
  repeat_penalty: number,
  repetition_penalty: number,
  repeat_last_n: integer,
  mirostat: integer,
  mirostat_tau: number,
  mirostat_eta: number,
  grammar: z.string().nullish(),
};

type LocalFields = { [Field in keyof typeof localFields]?: z.infer<(typeof localFields)[Field]> | undefined };

/** The engine's own settings; undefined when there are none. A field of the body wins over the same one in `options`. */
export function decodeLocal(body: LocalFields): LocalOptions | undefined {
  const options = body.options ?? {};
  const local = present({
    numCtx: options.num_ctx,
    keepAlive: body.keep_alive == null ? undefined : keepAliveSeconds(body.keep_alive),
    minP: body.min_p ?? options.min_p,
    typicalP: body.typical_p ?? options.typical_p,
    repeatPenalty: body.repeat_penalty ?? body.repetition_penalty ?? options.repeat_penalty,
    repeatLastN: body.repeat_last_n ?? options.repeat_last_n,
    mirostat: body.mirostat ?? options.mirostat,
    mirostatTau: body.mirostat_tau ?? options.mirostat_tau,
    mirostatEta: body.mirostat_eta ?? options.mirostat_eta,
    numKeep: options.num_keep,
    grammar: body.grammar,
  });
  return Object.keys(local).length > 0 ? local : undefined;
}

type Sampling = Pick<
  ChatRequest,
  'maxTokens' | 'temperature' | 'topP' | 'topK' | 'seed' | 'stop' | 'presencePenalty' | 'frequencyPenalty'
>;

/** What `options` says of sampling that OpenAI has fields for: defaults below those fields. */
export function decodeLocalSampling({ options, top_k }: LocalFields): Sampling {
  const { num_predict, stop } = options ?? {};
  return present({
    maxTokens: num_predict && num_predict > 0 ? num_predict : undefined,
    temperature: options?.temperature,
    topP: options?.top_p,
    topK: top_k ?? options?.top_k,
    seed: options?.seed,
    stop: typeof stop === 'string' ? [stop] : stop,
    presencePenalty: options?.presence_penalty,
    frequencyPenalty: options?.frequency_penalty,
  });
}

const unitSeconds: Record<string, number> = { ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };
const duration = /^([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+$/;

/** Seconds, or a Go duration (`5m`, `1h30m`, `-1s`) → seconds. Throws invalid_request. */
export function keepAliveSeconds(value: string | number): number {
  if (typeof value === 'number') return value;
  const text = value.trim();
  if (/^[+-]?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (!duration.test(text))
    throw new ViaductError(
      'invalid_request',
      `Invalid value for 'keep_alive': ${JSON.stringify(value)} is neither seconds nor a duration like "5m".`,
      { param: 'keep_alive' },
    );
  let seconds = 0;
  for (const [, amount, unit = 's'] of text.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g))
    seconds += Number(amount) * (unitSeconds[unit] ?? 1);
  return text.startsWith('-') ? -seconds : seconds;
}

type Present<Value> = { [Key in keyof Value]?: Exclude<Value[Key], null | undefined> };

/** The object without its empty fields. */
export function present<Value extends object>(value: Value): Present<Value> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field != null)) as Present<Value>;
}
