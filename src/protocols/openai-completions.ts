/** OpenAI's legacy Completions ⇄ core. Source: https://platform.openai.com/docs/api-reference/completions (read 2026-08) */
import { z } from 'zod';
import type { ChatEvent, ChatRequest, ChatResult, TokenLogprob } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { Usage } from '../core/usage.ts';
import { decodeLocal, decodeLocalSampling, localFields, present } from './local-options.ts';
import { checkBody } from './openai-body.ts';
import { addChoice, encodeUsage } from './openai-chat/encode-reply.ts';
import { encodeErrorObject } from './openai-error.ts';

const mostPrompts = 128;
const tokens = z.array(z.number().int().min(0)).min(1);
const penalty = z.number().min(-2).max(2).nullish();
const count = z.number().int().min(1);

/** What a body must be. */
export const wireRequest = z.object({
  model: z.string().min(1),
  prompt: z
    .union([z.string(), z.array(z.string()).min(1).max(mostPrompts), tokens, z.array(tokens).min(1).max(mostPrompts)])
    .nullish(),
  suffix: z.string().nullish(),
  echo: z.boolean().nullish(),
  best_of: count.max(20).nullish(),
  n: count.max(128).nullish(),
  logprobs: z.number().int().min(0).max(5).nullish(),
  logit_bias: z.record(z.string().regex(/^\d+$/), z.number().min(-100).max(100)).nullish(),
  max_tokens: z.number().int().min(-1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  frequency_penalty: penalty,
  presence_penalty: penalty,
  seed: z.number().int().nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
  user: z.string().nullish(),
  ...localFields,
});

type WireRequest = z.infer<typeof wireRequest>;
type Prompt = string | number[];

export type CompletionRequest = {
  /** One for every candidate of every prompt: `candidates` of the first prompt, then of the second, … */
  calls: ChatRequest[];
  /** How many candidates each prompt has, and how many of them are given back. */
  candidates: number;
  n: number;
  /** Put before each prompt's answers: the prompt itself when `echo` was asked for. */
  echo: string[];
  logprobs: boolean;
  stream: boolean;
  includeUsage: boolean;
};

const defaultMaxTokens = 16;

/** Body → neutral calls. The prompt goes to the model as it is, without its chat template. Throws invalid_request with `param`. */
export function decodeRequest(body: JsonObject): CompletionRequest {
  const wire = checkBody(wireRequest, body);
  const n = wire.n ?? 1;
  const candidates = Math.max(wire.best_of ?? n, n);
  refuse(wire, n, candidates);
  const prompts = decodePrompts(wire.prompt);
  const calls = prompts.flatMap((prompt) =>
    Array.from({ length: candidates }, (_, at) => decodeCall(wire, prompt, at, candidates > n)),
  );
  return {
    calls,
    candidates,
    n,
    echo: prompts.map((prompt) => (wire.echo ? String(prompt) : '')),
    logprobs: wire.logprobs != null,
    stream: wire.stream ?? false,
    includeUsage: wire.stream_options?.include_usage ?? false,
  };
}

function refuse(
  { prompt, suffix, echo, logprobs, stream, best_of, max_tokens }: WireRequest,
  n: number,
  candidates: number,
) {
  const invalid = (param: string, message: string) => new ViaductError('invalid_request', message, { param });
  if (best_of != null && best_of < n) throw invalid('best_of', "'best_of' must not be smaller than 'n'.");
  if (stream && candidates > n)
    throw invalid('best_of', "'best_of' cannot be streamed: leave out 'stream' or 'best_of'.");
  if (suffix && typeof prompt === 'object' && typeof prompt?.[0] !== 'string')
    throw new ViaductError('unsupported_parameter', "'suffix' needs the prompt as text.", { param: 'suffix' });
  if (max_tokens === 0) throw invalid('max_tokens', "Invalid value for 'max_tokens': 0 is below the minimum of 1.");
  if (echo && logprobs != null)
    throw new ViaductError('unsupported_parameter', "'echo' together with 'logprobs' is not supported.", {
      param: 'echo',
    });
  if (echo && typeof prompt === 'object' && typeof prompt?.[0] !== 'string')
    throw new ViaductError('unsupported_parameter', "'echo' needs the prompt as text.", { param: 'echo' });
}

function decodePrompts(prompt: WireRequest['prompt']): Prompt[] {
  if (prompt == null) return [''];
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as Prompt[]);
}

function decodeCall(wire: WireRequest, prompt: Prompt, at: number, rank: boolean): ChatRequest {
  const { max_tokens, seed, stop, logprobs } = wire;
  const stops = (typeof stop === 'string' ? [stop] : (stop ?? [])).filter((text) => text !== '');
  const sampling = decodeLocalSampling(wire);
  return present({
    ...sampling,
    ...present({
      maxTokens: max_tokens === -1 ? undefined : (max_tokens ?? sampling.maxTokens ?? defaultMaxTokens),
      temperature: wire.temperature,
      topP: wire.top_p,
      frequencyPenalty: wire.frequency_penalty,
      presencePenalty: wire.presence_penalty,
      seed: seed == null ? undefined : seed + at,
      stop: stops.length > 0 ? stops : undefined,
    }),
    model: wire.model,
    messages: [{ role: 'user', parts: [{ type: 'text', text: typeof prompt === 'string' ? prompt : '' }] }],
    stream: wire.stream ?? false,
    logprobs: logprobs != null || rank || undefined,
    topLogprobs: logprobs ?? undefined,
    logitBias: wire.logit_bias,
    user: wire.user,
    local: {
      ...decodeLocal(wire),
      // Filling in the middle has a form of its own in every model.
      ...(wire.suffix ? { suffix: wire.suffix } : { raw: true }),
      ...(typeof prompt !== 'string' && { promptTokens: prompt }),
    },
  }) as ChatRequest;
}

/** Of each prompt's candidates the `n` likeliest, in the order of the reply's choices. */
export function pickBest(results: ChatResult[], { candidates, n }: CompletionRequest): ChatResult[] {
  if (candidates === n) return results;
  const picked: ChatResult[] = [];
  for (let from = 0; from < results.length; from += candidates) {
    const ranked = results.slice(from, from + candidates).sort((a, b) => likelihood(b) - likelihood(a));
    picked.push(...ranked.slice(0, n));
  }
  return picked;
}

/** Mean log-probability of a token. */
function likelihood({ logprobs = [] }: ChatResult): number {
  return logprobs.reduce((sum, { logprob }) => sum + logprob, 0) / Math.max(logprobs.length, 1);
}

/** What all calls took: a prompt counts once, however many candidates it had. */
export function sumUsage(usages: Usage[], candidates: number): Usage {
  const prompts: Usage[] = [];
  for (let from = 0; from < usages.length; from += candidates)
    prompts.push(usages.slice(from, from + candidates).reduce(addChoice));
  return prompts.reduce((sum, next) => ({ input: sum.input + next.input, output: sum.output + next.output }));
}

export type CompletionContext = {
  /** `cmpl-…` */
  id: string;
  /** Seconds since 1970. */
  created: number;
  /** As the client wrote it. */
  model: string;
};

/** Results, as picked, → body of the reply. `usage` is of all candidates. */
export function encodeResponse(
  results: ChatResult[],
  usage: Usage,
  request: CompletionRequest,
  context: CompletionContext,
): JsonObject {
  return {
    ...head(context),
    choices: results.map((result, index) => {
      const echo = request.echo[Math.floor(index / request.n)] ?? '';
      return {
        index,
        text: echo + textOf(result),
        logprobs: request.logprobs ? encodeLogprobs(result.logprobs ?? [], 0) : null,
        finish_reason: finishReason(result.finish),
      };
    }),
    usage: encodeUsage(usage),
  };
}

const textOf = ({ parts }: ChatResult) => parts.map((part) => (part.type === 'text' ? part.text : '')).join('');

const finishReason = ({ reason }: ChatResult['finish']) =>
  reason === 'length' ? 'length' : reason === 'content-filter' ? 'content_filter' : 'stop';

/** Events of all choices → SSE text. */
export function createStreamEncoder(request: CompletionRequest, context: CompletionContext) {
  const offsets: number[] = [];
  const usages: Usage[] = [];
  const chunk = (choices: JsonObject[], more: JsonObject = request.includeUsage ? { usage: null } : {}) =>
    `data: ${JSON.stringify({ ...head(context), choices, ...more })}\n\n`;

  return {
    push(event: ChatEvent, index: number): string {
      switch (event.type) {
        case 'start': {
          const text = request.echo[Math.floor(index / request.n)];
          return text ? chunk([{ index, text, logprobs: null, finish_reason: null }]) : '';
        }
        case 'text': {
          const offset = offsets[index] ?? 0;
          offsets[index] = offset + event.text.length;
          const logprobs = request.logprobs && event.logprobs ? encodeLogprobs(event.logprobs, offset) : null;
          return chunk([{ index, text: event.text, logprobs, finish_reason: null }]);
        }
        case 'finish':
          usages[index] = event.usage;
          return chunk([{ index, text: '', logprobs: null, finish_reason: finishReason(event) }]);
        default:
          return '';
      }
    },

    end(): string {
      const usage = request.includeUsage ? chunk([], { usage: encodeUsage(sumUsage(usages, request.candidates)) }) : '';
      return `${usage}data: [DONE]\n\n`;
    },

    fail: (error: ViaductError): string =>
      chunk([{ index: 0, text: '', logprobs: null, finish_reason: 'error' }], { error: encodeErrorObject(error) }),
  };
}

function head({ id, created, model }: CompletionContext): JsonObject {
  return { id, object: 'text_completion', created, model };
}

function encodeLogprobs(logprobs: TokenLogprob[], from: number): JsonObject {
  let offset = from;
  return {
    tokens: logprobs.map(({ token }) => token),
    token_logprobs: logprobs.map(({ logprob }) => logprob),
    top_logprobs: logprobs.map(({ top }) => Object.fromEntries(top.map(({ token, logprob }) => [token, logprob]))),
    text_offset: logprobs.map(({ token }) => {
      const at = offset;
      offset += token.length;
      return at;
    }),
  };
}
