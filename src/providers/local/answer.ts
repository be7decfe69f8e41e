/** What the engine says, turned into events: thoughts split off, calls found and checked, tokens counted. */
import { jsonrepair } from 'jsonrepair';
import type { ChatEvent, TokenLogprob } from '../../core/chat.ts';
import { createCallJudge } from './call-judge.ts';
import { type CallFragment, createCallReader } from './call-reader.ts';
import type { EngineDelta, EngineEnd } from './engine-stream.ts';
import { createThinkSplitter, type Said } from './think-splitter.ts';
import type { CheckedCall, ToolChecker } from './tool-check.ts';
import { createToolFinder, type Found } from './tool-finder.ts';
import type { FoundCall } from './tool-syntax.ts';

export type AnswerOptions = {
  /** `text`: as it is. `find`: text in which calls may stand. `calls`: nothing but calls that a grammar forces. */
  mode: 'text' | 'find' | 'calls';
  /** Names of the tools that may be called. */
  callable: readonly string[];
  checker: ToolChecker | undefined;
  /** It is to be a JSON document, which may look like anything. */
  document?: boolean;
  /** Forced calls need no check: the grammar is the schema. */
  exact: boolean;
  /** More than one call is welcome. */
  many: boolean;
  /** Keys of calls whose results the model has just been shown. */
  answered?: ReadonlySet<string>;
  /** A thought that the prompt has opened. */
  opened: string | undefined;
  /** Tokens that thoughts may take. */
  thoughtBudget: number | undefined;
  /** Told of every call that was judged. */
  judged: (state: CheckedCall['state']) => void;
};

export type Answer = {
  push(delta: EngineDelta): ChatEvent[];
  /** What was held back; call once, after the last delta. */
  finish(): ChatEvent[];
  /** Nothing that would follow is wanted. */
  readonly complete: boolean;
  /** What the model has written, and the tag that must end its thought: set when it has thought enough. */
  readonly overspent: { said: string; closing: string } | undefined;
  /** Calls that were given out. */
  readonly calls: number;
  /** The model asked for nothing but what it had been answered. */
  readonly repeated: boolean;
  /** The model called a tool that there is not, and has said nothing else. */
  readonly invented: boolean;
  /** The last forced call was cut off, and closed it is what its schema asks for. */
  readonly closed: boolean;
  readonly rejected: Extract<CheckedCall, { state: 'rejected' }> | undefined;
  readonly counts: { prompt: number; cached: number; output: number; reasoning: number };
  readonly end: EngineEnd | undefined;
};

export function createAnswer(options: AnswerOptions): Answer {
  const { mode, checker, exact } = options;
  const splitter = createThinkSplitter(options.opened);
  const finder = mode === 'find' ? createToolFinder(options.callable, options.document) : undefined;
  const reader = mode === 'calls' ? createCallReader() : undefined;
  const calls = createCallJudge(options);
  const counts = { prompt: 0, cached: 0, output: 0, reasoning: 0 };
  const native = new Map<number, { name: string; json: string }>();
  let said = '';
  let complete = false;
  let spoken = false;
  let closed = false;
  let end: EngineEnd | undefined;
  let logprobs: TokenLogprob[] = [];
  /** The forced call that is being written. */
  let current: { name: string; json: string } | undefined;

  const isComplete = () => complete || calls.full;
  const invented = () => calls.rejected?.invented === true && calls.count === 0 && !spoken;
  const judge = (call: FoundCall): ChatEvent[] => (isComplete() ? [] : calls.judge(call));

  const text = (words: string): ChatEvent[] => {
    const event: ChatEvent = { type: 'text', text: words, ...(logprobs.length > 0 && { logprobs }) };
    logprobs = [];
    return [event];
  };

  const found = (item: Found): ChatEvent[] => {
    if (isComplete()) return [];
    switch (item.kind) {
      case 'calls':
        return item.calls.flatMap(judge);
      case 'broken':
        calls.reject('it is not whole or not JSON');
        return [];
      case 'text':
        // What follows a call is the model making up the result.
        complete = calls.count > 0 || calls.repeated || invented();
        if (complete) return [];
        spoken ||= item.text.trim() !== '';
        return text(item.text);
    }
  };

  const forced = (fragment: CallFragment): ChatEvent[] => {
    switch (fragment.kind) {
      case 'start':
        current = { name: fragment.name, json: '' };
        return exact ? calls.give(fragment.name, '') : [];
      case 'input':
        if (current) current.json += fragment.json;
        return exact ? calls.more(fragment.json) : [];
      case 'done': {
        const whole = current;
        current = undefined;
        if (!exact) return whole ? judge({ name: whole.name, input: whole.json }) : [];
        options.judged('valid');
        return [];
      }
    }
  };

  /** A forced call that the token limit has cut off is closed: it may be what its schema asks for all the same. */
  const close = ({ name, json }: { name: string; json: string }): ChatEvent[] => {
    if (!exact) {
      const events = judge({ name, input: json });
      closed = events.length > 0;
      return events;
    }
    const closing = closingOf(json);
    if (closing === undefined || checker?.check(name, json + closing).state !== 'valid') return [];
    closed = true;
    options.judged('repaired');
    return calls.more(closing);
  };

  const say = (words: string): ChatEvent[] => {
    if (reader) return reader.push(words).flatMap(forced);
    if (finder) return finder.push(words).flatMap(found);
    return text(words);
  };

  const split = (piece: Said): ChatEvent[] => {
    if (piece.kind === 'text') return say(piece.text);
    counts.reasoning++;
    logprobs = [];
    return [{ type: 'reasoning', text: piece.text }];
  };

  return {
    push(delta) {
      switch (delta.kind) {
        case 'text':
          counts.output = delta.tokens ?? counts.output + 1;
          if (options.thoughtBudget !== undefined) said += delta.text;
          if (delta.logprobs) logprobs.push(...delta.logprobs);
          return splitter.push(delta.text).flatMap(split);
        case 'reasoning':
          counts.output++;
          counts.reasoning++;
          return [{ type: 'reasoning', text: delta.text }];
        case 'call': {
          const known = native.get(delta.index) ?? { name: '', json: '' };
          native.set(delta.index, { name: known.name || (delta.name ?? ''), json: known.json + delta.json });
          counts.output++;
          return [];
        }
        case 'prompt':
          // The first prompt is the client's; another one holds what the model has said since.
          if (counts.prompt === 0) {
            counts.prompt = delta.tokens;
            counts.cached = delta.cached;
          }
          return [];
        case 'end':
          end = delta.end;
          return [];
      }
    },
    finish() {
      const events = splitter.end().flatMap(split);
      if (finder) events.push(...finder.end().flatMap(found));
      for (const { name, json } of native.values()) events.push(...judge({ name, input: json }));
      if (logprobs.length > 0 && !calls.rejected) events.push(...text(''));
      if (current) events.push(...close(current));
      return events;
    },
    get complete() {
      return isComplete();
    },
    get overspent() {
      const { closing } = splitter;
      const spent = options.thoughtBudget !== undefined && counts.reasoning >= options.thoughtBudget;
      return spent && closing ? { said, closing } : undefined;
    },
    get calls() {
      return calls.count;
    },
    get repeated() {
      return calls.repeated && calls.count === 0;
    },
    get invented() {
      return invented();
    },
    get closed() {
      return closed;
    },
    get rejected() {
      return calls.rejected;
    },
    get end() {
      return end;
    },
    counts,
  };
}

/** What ends JSON that was cut off; undefined when something would have to be taken back. */
function closingOf(json: string): string | undefined {
  try {
    const whole = jsonrepair(json);
    return whole.startsWith(json) ? whole.slice(json.length) : undefined;
  } catch {
    return undefined;
  }
}
