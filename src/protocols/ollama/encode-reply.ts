/** Core events → what a client of /api/chat or /api/generate reads. Source: https://docs.ollama.com/api (read 2026-08) */
import type { ChatEvent, ChatResult, FinishReason, Message, TokenLogprob } from '../../core/chat.ts';
import type { JsonObject } from '../../core/json.ts';
import { pictureText } from '../picture.ts';
import { parseObject } from '../read.ts';
import { sealContext } from './context.ts';

/** What a reply says that is not in the events. Times in milliseconds. */
export type ReplyContext = {
  /** As the client wrote it. */
  model: string;
  /** Since 1970; also read while the answer streams. */
  now(): number;
  /** When the request came, on the same clock. */
  startedAt: number;
  /** How long the model took to load for this call. */
  loadMs(): number | undefined;
  /** Generate only: the conversation so far, for `context`. Absent: none is given, as for raw prompts. */
  history?: Message[];
};

/** The difference between the two endpoints: where the words stand. */
type Words = { content?: string; thinking?: string; tool_calls?: JsonObject[]; images?: string[] };
type Shape = (words: Words) => JsonObject;

const chatShape: Shape = ({ content = '', ...rest }) => ({ message: { role: 'assistant', content, ...rest } });
const generateShape: Shape = ({ content = '', thinking, images }) => ({
  response: content,
  ...(thinking !== undefined && { thinking }),
  ...(images?.[0] !== undefined && { image: images[0] }),
});

export const encodeChatResponse = (result: ChatResult, context: ReplyContext) =>
  encodeResult(result, context, chatShape);
export const encodeGenerateResponse = (result: ChatResult, context: ReplyContext) =>
  encodeResult(result, context, generateShape);
export const createChatEncoder = (context: ReplyContext) => createEncoder(context, chatShape);
export const createGenerateEncoder = (context: ReplyContext) => createEncoder(context, generateShape);

/** The answer to an empty prompt. */
export const encodeChatLoad = (model: string, now: number, unload: boolean) =>
  encodeLoad(model, now, unload, chatShape);
export const encodeGenerateLoad = (model: string, now: number, unload: boolean) =>
  encodeLoad(model, now, unload, generateShape);

function encodeLoad(model: string, now: number, unload: boolean, shape: Shape): JsonObject {
  return { ...head(model, now), ...shape({}), done_reason: unload ? 'unload' : 'load', done: true };
}

const head = (model: string, now: number): JsonObject => ({ model, created_at: new Date(now).toISOString() });

function encodeResult({ parts, finish, logprobs }: ChatResult, context: ReplyContext, shape: Shape): JsonObject {
  let content = '';
  let thinking = '';
  const calls: JsonObject[] = [];
  const images: string[] = [];
  for (const part of parts)
    if (part.type === 'reasoning') thinking += part.text;
    else if (part.type === 'tool-call') calls.push(encodeCall(calls.length, part.id, part.name, part.arguments));
    else if (part.type !== 'image') content += part.text;
    else if ('data' in part.source) images.push(part.source.data);
    else content += pictureText(part.source);
  const words = {
    content,
    ...(thinking && { thinking }),
    ...(calls.length > 0 && { tool_calls: calls }),
    ...(images.length > 0 && { images }),
  };
  return {
    ...head(context.model, context.now()),
    ...shape(words),
    ...(logprobs && { logprobs: logprobs.map(encodeLogprob) }),
    ...last(finish, context, content, context.now()),
  };
}

/** Events → lines. A tool call is sent whole. */
function createEncoder(context: ReplyContext, shape: Shape): { push(event: ChatEvent): string; end(): string } {
  let answer = '';
  let firstAt: number | undefined;
  const calls = new Map<number, { id: string; name: string; json: string }>();
  let sent = 0;

  const line = (fields: JsonObject) => `${JSON.stringify({ ...head(context.model, context.now()), ...fields })}\n`;
  const say = (words: Words, logprobs?: TokenLogprob[]) => {
    firstAt ??= context.now();
    return line({ ...shape(words), ...(logprobs && { logprobs: logprobs.map(encodeLogprob) }), done: false });
  };
  const flushCalls = () => {
    let out = '';
    for (const { id, name, json } of calls.values()) out += say({ tool_calls: [encodeCall(sent++, id, name, json)] });
    calls.clear();
    return out;
  };

  return {
    push(event) {
      switch (event.type) {
        case 'text':
        case 'refusal':
          answer += event.text;
          return flushCalls() + say({ content: event.text }, event.type === 'text' ? event.logprobs : undefined);
        case 'image':
          return 'data' in event.source
            ? say({ images: [event.source.data] })
            : say({ content: pictureText(event.source) });
        case 'reasoning':
          return say({ thinking: event.text });
        case 'tool-call':
          calls.set(event.index, { id: event.id, name: event.name, json: '' });
          return '';
        case 'tool-input': {
          const call = calls.get(event.index);
          if (call) call.json += event.json;
          return '';
        }
        case 'finish':
          return flushCalls() + line({ ...shape({}), ...last(event, context, answer, firstAt) });
        // Sources have no place in this protocol.
        case 'citation':
        case 'start':
        case 'reasoning-end':
          return '';
        default:
          event satisfies never;
          return '';
      }
    },
    end: () => '',
  };
}

const encodeCall = (index: number, id: string, name: string, json: string): JsonObject => ({
  id,
  function: { index, name, arguments: parseObject(json) ?? {} },
});

const reasons: Record<FinishReason, string> = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'stop',
  'content-filter': 'content_filter',
  error: 'error',
};

type Finish = Extract<ChatEvent, { type: 'finish' }>;

/** The fields of the last record. Durations are whole nanoseconds and never zero, which clients divide by. */
function last(finish: Finish, context: ReplyContext, answer: string, firstAt: number | undefined): JsonObject {
  const { usage, reason } = finish;
  const { load, promptEval, eval: evaluation, total } = finish.timings ?? measured(context, firstAt);
  return {
    done: true,
    done_reason: reasons[reason],
    ...(context.history && { context: sealContext(context.history, answer) }),
    total_duration: nanoseconds(total),
    load_duration: nanoseconds(load),
    prompt_eval_count: usage.input,
    prompt_eval_duration: nanoseconds(promptEval),
    eval_count: usage.output,
    eval_duration: nanoseconds(evaluation),
  };
}

/** Where the time went when the provider does not say: all before the first word counts as reading the prompt. */
function measured({ now, startedAt, loadMs }: ReplyContext, firstAt: number | undefined) {
  const end = now();
  const load = loadMs() ?? 0;
  const first = firstAt ?? end;
  return { load, promptEval: first - startedAt - load, eval: end - first, total: end - startedAt };
}

const nanoseconds = (ms: number) => Math.max(1, Math.round(ms * 1e6));

function encodeLogprob({ top, ...token }: TokenLogprob): JsonObject {
  return { ...encodeToken(token), ...(top.length > 0 && { top_logprobs: top.map(encodeToken) }) };
}

const encodeToken = ({ token, logprob, bytes }: Omit<TokenLogprob, 'top'>): JsonObject => ({
  token,
  logprob,
  ...(bytes && { bytes }),
});
