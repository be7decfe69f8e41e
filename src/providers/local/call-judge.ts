/** The calls of one answer, each judged before it is given out. */
import { randomUUID } from 'node:crypto';
import type { ChatEvent } from '../../core/chat.ts';
import { callKey } from './repeated-calls.ts';
import type { CheckedCall, ToolChecker } from './tool-check.ts';
import type { FoundCall } from './tool-syntax.ts';

export type CallJudgeOptions = {
  /** Absent: nothing is taken for a call. */
  checker: ToolChecker | undefined;
  /** More than one call is welcome. */
  many: boolean;
  /** Keys of calls whose results the model has just been shown. */
  answered?: ReadonlySet<string>;
  /** Told of every call that was judged. */
  judged: (state: CheckedCall['state']) => void;
};

export type CallJudge = {
  /** The events of a call that is right or could be put right; none where it is not given out. */
  judge(call: FoundCall): ChatEvent[];
  /** Gives out a call without a check. */
  give(name: string, json: string): ChatEvent[];
  /** More of the arguments of the call that was given out last. */
  more(json: string): ChatEvent[];
  /** It began as a call and cannot be read. */
  reject(reason: string): void;
  /** Calls that were given out. */
  readonly count: number;
  /** Nothing that would follow is wanted. */
  readonly full: boolean;
  /** A call was left out because it has its answer already. */
  readonly repeated: boolean;
  /** The first that was rejected. */
  readonly rejected: Extract<CheckedCall, { state: 'rejected' }> | undefined;
};

/** Calls in one answer, beyond which a model is taken to have lost its way. */
const mostCalls = 64;

export function createCallJudge({ checker, many, answered, judged }: CallJudgeOptions): CallJudge {
  const given = new Set<string>();
  let count = 0;
  let full = false;
  let repeated = false;
  let rejected: CallJudge['rejected'];

  const give = (name: string, json: string): ChatEvent[] => {
    const index = count++;
    return [
      { type: 'tool-call', index, id: `call_${randomUUID().replaceAll('-', '').slice(0, 24)}`, name },
      ...(json ? [{ type: 'tool-input' as const, index, json }] : []),
    ];
  };

  return {
    give,
    more: (json) => [{ type: 'tool-input', index: count - 1, json }],
    judge({ name, input }) {
      if (!checker || full) return [];
      const checked = checker.check(name, input);
      judged(checked.state);
      if (checked.state === 'rejected') {
        rejected ??= checked;
        return [];
      }
      const key = callKey(checked.name, checked.arguments);
      if (given.has(key)) {
        // Small models say the same call again and again: nothing else will come.
        full = true;
        return [];
      }
      given.add(key);
      if (answered?.has(key)) {
        repeated = true;
        return [];
      }
      full = !many || given.size === mostCalls;
      return give(checked.name, checked.arguments);
    },
    reject(reason) {
      judged('rejected');
      rejected ??= { state: 'rejected', name: undefined, reason };
    },
    get count() {
      return count;
    },
    get full() {
      return full;
    },
    get repeated() {
      return repeated;
    },
    get rejected() {
      return rejected;
    },
  };
}
