/** What one answer of a loaded model is made from, and what it came to. */
import type { ChatEvent, ChatRequest } from '../../core/chat.ts';
import type { Lease } from '../../engine/scheduler.ts';
import type { Part } from '../../lib/chain.ts';
import type { ResolvedModel } from '../../models/store.ts';
import type { Answer } from './answer.ts';
import type { Constraint, ToolPlan } from './constraint.ts';
import type { EngineEnd } from './engine-stream.ts';
import type { PreparedMessages } from './messages.ts';
import type { CheckedCall } from './tool-check.ts';

export type Generation = {
  request: ChatRequest;
  model: ResolvedModel;
  lease: Lease;
  tools: ToolPlan;
  constraint: Constraint;
  prepared: PreparedMessages;
  signal: AbortSignal;
  /** Name and id of the answer. */
  start: Extract<ChatEvent, { type: 'start' }>;
  /** Told of every tool call that was judged. */
  judged: (state: CheckedCall['state']) => void;
};

/** Batches of events, as they come. */
export type AnswerPart = Part<readonly ChatEvent[]>;

/** How it went, for the last event. */
export type Outcome = { answer: Answer; end: EngineEnd; calls: number; toolError?: string };
