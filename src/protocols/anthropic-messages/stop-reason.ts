/** Why an answer ended, both ways. Source: https://docs.anthropic.com/en/api/handling-stop-reasons */
import type { ChatEvent, FinishReason } from '../../core/chat.ts';

const reasons: Record<string, FinishReason> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  pause_turn: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool-calls',
  refusal: 'content-filter',
};

/** A reason newer than this file counts as an ordinary stop. */
export const decodeReason = (stopReason: string): FinishReason => reasons[stopReason] ?? 'stop';

const words: Record<FinishReason, string> = {
  stop: 'end_turn',
  length: 'max_tokens',
  'tool-calls': 'tool_use',
  'content-filter': 'refusal',
  error: 'end_turn',
};

type Finish = Extract<ChatEvent, { type: 'finish' }>;

/** `stop_reason` and `stop_sequence`; Anthropic's own word is kept where it was one. */
export function encodeReason({ reason, rawReason, stopSequence }: Finish) {
  if (stopSequence !== undefined && reason === 'stop')
    return { stop_reason: 'stop_sequence', stop_sequence: stopSequence };
  const own = rawReason !== undefined && reasons[rawReason] === reason && rawReason !== 'stop_sequence';
  return { stop_reason: own ? rawReason : words[reason], stop_sequence: null };
}
