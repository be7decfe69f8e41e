/**
 * The engine's two kinds of streamed answer, `/completion` and `/v1/chat/completions`, as one kind of delta.
 * Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
 */
import type { TokenLogprob } from '../../core/chat.ts';
import type { Json } from '../../core/json.ts';
import { createEventReader, parseObject } from '../../engine/reply.ts';
import { engineError } from './engine-errors.ts';
import { createHeldTokens, type Held, type HeldTokens } from './held-tokens.ts';

/** How a generation ended, and what it cost. Milliseconds and tokens. */
export type EngineEnd = {
  reason: 'stop' | 'length';
  stopSequence?: string;
  promptTokens: number;
  cachedTokens: number;
  outputTokens: number;
  promptMs: number;
  outputMs: number;
};

export type EngineDelta =
  /** `tokens` is the number generated so far, where the engine says it. */
  | { kind: 'text'; text: string; tokens?: number; logprobs?: TokenLogprob[] }
  | { kind: 'reasoning'; text: string }
  /** A call that the engine itself has parsed: a fragment of it. */
  | { kind: 'call'; index: number; name?: string; json: string }
  /** Tokens of the prompt, known before the first token of the answer. */
  | { kind: 'prompt'; tokens: number; cached: number }
  /** `held` was never said: the limit came while it might have begun a stop sequence. */
  | { kind: 'end'; end: EngineEnd; held?: Held };

type Shape = { [key: string]: Json | undefined };

/** Reads either kind of stream: the bytes of one read → what they say. Throws what the engine reports in mid-stream. */
export function createEngineReader(topLogprobs: number | undefined): (chunk: Buffer) => readonly EngineDelta[] {
  const read = createEventReader();
  const held = createHeldTokens();
  let finish: string | undefined;
  return (chunk) => {
    const batch: EngineDelta[] = [];
    for (const json of read(chunk)) {
      const text = plainText(json);
      if (text !== undefined) {
        batch.push({ kind: 'text', text });
        continue;
      }
      const event = parseObject(json);
      if (event['error']) throw engineError(event);
      if (event['choices']) finish = chatChunk(event, batch, topLogprobs, finish);
      else completionChunk(event, batch, topLogprobs, held);
    }
    return batch;
  };
}

const opening = '{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"';

/** The text of an event that says nothing else and needs no unescaping, as nearly all do: a quarter of the work of parsing it. */
function plainText(json: string): string | undefined {
  if (!json.startsWith(opening)) return undefined;
  const end = json.indexOf('"', opening.length);
  if (end === opening.length || !json.startsWith('"}}],', end)) return undefined;
  const text = json.slice(opening.length, end);
  return text.includes('\\') ? undefined : text;
}

function completionChunk(event: Shape, batch: EngineDelta[], topLogprobs: number | undefined, held: HeldTokens) {
  const progress = event['prompt_progress'] as Shape | undefined;
  if (progress) {
    batch.push({ kind: 'prompt', tokens: Number(progress['total']), cached: Number(progress['cache']) });
    return;
  }
  const text = event['content'];
  if (typeof text === 'string' && text !== '') {
    const logprobs = held.release(text, readLogprobs(event['completion_probabilities'], topLogprobs));
    batch.push({ kind: 'text', text, tokens: Number(event['tokens_predicted']), ...(logprobs && { logprobs }) });
  }
  if (event['stop'] !== true) {
    if (text === '' && Array.isArray(event['tokens']))
      held.keep(event['tokens'] as number[], readLogprobs(event['completion_probabilities'], topLogprobs));
    return;
  }
  const reason = event['stop_type'] === 'limit' ? 'length' : 'stop';
  const word = event['stop_type'] === 'word' ? String(event['stopping_word']) : undefined;
  const end = endOf(reason, event['timings'] as Shape);
  const unsaid = reason === 'length' ? held.rest() : undefined;
  batch.push({
    kind: 'end',
    end: { ...end, ...(word !== undefined && { stopSequence: word }) },
    ...(unsaid && { held: unsaid }),
  });
}

function chatChunk(event: Shape, batch: EngineDelta[], topLogprobs: number | undefined, finish: string | undefined) {
  const choice = (event['choices'] as Shape[])[0];
  const delta = choice?.['delta'] as Shape | undefined;
  const thought = delta?.['reasoning_content'];
  if (typeof thought === 'string' && thought) batch.push({ kind: 'reasoning', text: thought });
  const text = delta?.['content'];
  if (typeof text === 'string' && text) {
    const logprobs = readLogprobs((choice?.['logprobs'] as Shape | undefined)?.['content'], topLogprobs);
    batch.push({ kind: 'text', text, ...(logprobs && { logprobs }) });
  }
  for (const call of (delta?.['tool_calls'] as Shape[] | undefined) ?? []) {
    const work = (call['function'] ?? {}) as Shape;
    const name = work['name'];
    batch.push({
      kind: 'call',
      index: Number(call['index'] ?? 0),
      ...(typeof name === 'string' && { name }),
      json: String(work['arguments'] ?? ''),
    });
  }
  const reason = choice?.['finish_reason'];
  const ended = typeof reason === 'string' ? reason : finish;
  if (ended && event['timings'])
    batch.push({ kind: 'end', end: endOf(ended === 'length' ? 'length' : 'stop', event['timings'] as Shape) });
  return ended;
}

function endOf(reason: EngineEnd['reason'], timings: Shape | undefined): EngineEnd {
  const number = (key: string) => Number(timings?.[key] ?? 0);
  return {
    reason,
    promptTokens: number('cache_n') + number('prompt_n'),
    cachedTokens: number('cache_n'),
    outputTokens: number('predicted_n'),
    promptMs: number('prompt_ms'),
    outputMs: number('predicted_ms'),
  };
}

function readLogprobs(list: Json | undefined, top: number | undefined): TokenLogprob[] | undefined {
  if (!Array.isArray(list) || top === undefined) return undefined;
  const entry = (item: Shape) => ({
    token: String(item['token'] ?? ''),
    logprob: Math.max(Number(item['logprob'] ?? 0), -9999),
    bytes: Array.isArray(item['bytes']) ? (item['bytes'] as number[]) : null,
  });
  return list.map((item) => {
    const shape = item as Shape;
    const others = (shape['top_logprobs'] as Shape[] | undefined) ?? [];
    // A token that is held has no text of its own yet, but stands among the likeliest, unless it was a rare one.
    const own = shape['token'] === '' ? (others.find(({ id }) => id === shape['id']) ?? shape) : shape;
    return { ...entry(shape), ...(own !== shape && entry(own)), top: others.slice(0, top).map(entry) };
  });
}
