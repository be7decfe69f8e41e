/** What an Ollama server answers to a chat → core events. Source: https://docs.ollama.com/api/chat (read 2026-08) */
import type { ChatEvent, FinishReason, TokenLogprob } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { SseMessage } from '../../lib/sse.ts';
import { count, list, object, parseObject, text } from '../read.ts';
import { decodeErrorBody } from './errors.ts';

/**
 * Lines of a stream, as `data`, → events.
 * Throws what an error line says, provider_invalid_response for a line that is not JSON and for a stream that ends too early.
 */
export function createStreamDecoder(): { push(message: SseMessage): ChatEvent[]; end(): ChatEvent[] } {
  let started = false;
  let finished = false;
  let calls = 0;

  const decodeCall = (item: Json): ChatEvent[] => {
    const call = object(item);
    const wanted = object(call['function']);
    const index = calls++;
    // Older servers give no id; the index tells the calls of one answer apart.
    const id = text(call['id']) || `call_${index}`;
    return [
      { type: 'tool-call', index, id, name: text(wanted['name']) },
      { type: 'tool-input', index, json: JSON.stringify(object(wanted['arguments'])) },
    ];
  };

  return {
    push({ data }) {
      if (finished) return [];
      const line = parseObject(data);
      if (!line) throw new ViaductError('provider_invalid_response', 'The provider sent a line that is not JSON.');
      if (line['error']) throw decodeErrorBody(line);
      const message = object(line['message']);
      const events: ChatEvent[] = [];
      if (!started) {
        started = true;
        events.push({ type: 'start', id: idOf(line), model: text(line['model']) });
      }
      const thought = text(message['thinking']);
      if (thought !== '') events.push({ type: 'reasoning', text: thought });
      const said = text(message['content']);
      const logprobs = list(line['logprobs']).map(decodeLogprob);
      if (said !== '' || logprobs.length > 0)
        events.push({ type: 'text', text: said, ...(logprobs.length > 0 && { logprobs }) });
      events.push(...list(message['tool_calls']).flatMap(decodeCall));
      if (line['done'] === true) {
        finished = true;
        events.push(finishEvent(line, calls > 0));
      }
      return events;
    },

    end() {
      if (finished) return [];
      throw new ViaductError('provider_invalid_response', 'The provider ended its answer before it was complete.');
    },
  };
}

/** Body of a unary reply → events. It is the same record as a stream's last, with everything in it. */
export function decodeResponse(body: JsonObject): ChatEvent[] {
  const decoder = createStreamDecoder();
  if (body['error'] === undefined && !body['message'])
    throw new ViaductError('provider_invalid_response', 'The provider answered with something that is not a message.');
  return [...decoder.push({ data: JSON.stringify(body) }), ...decoder.end()];
}

/** Replies have no id; when they were made has nanoseconds in it. */
const idOf = (line: JsonObject) => `chat-${text(line['created_at']).replace(/\D/g, '')}`;

const reasons: Record<string, FinishReason> = { length: 'length', content_filter: 'content-filter' };
const milliseconds = (value: Json | undefined) => count(value) / 1e6;

function finishEvent(line: JsonObject, called: boolean): ChatEvent {
  const rawReason = text(line['done_reason']);
  return {
    type: 'finish',
    reason: reasons[rawReason] ?? (called ? 'tool-calls' : 'stop'),
    ...(rawReason && { rawReason }),
    usage: { input: count(line['prompt_eval_count']), output: count(line['eval_count']) },
    timings: {
      load: milliseconds(line['load_duration']),
      promptEval: milliseconds(line['prompt_eval_duration']),
      eval: milliseconds(line['eval_duration']),
      total: milliseconds(line['total_duration']),
    },
  };
}

function decodeLogprob(item: Json): TokenLogprob {
  const entry = object(item);
  return { ...decodeToken(entry), top: list(entry['top_logprobs']).map((top) => decodeToken(object(top))) };
}

const decodeToken = (entry: JsonObject) => ({
  token: text(entry['token']),
  logprob: Number(entry['logprob'] ?? 0),
  bytes: Array.isArray(entry['bytes']) ? entry['bytes'].map(Number) : null,
});
