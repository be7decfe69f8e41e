/** One answer of a loaded model, from the question to the engine to the events, with a second try where it goes wrong. */
import { type Answer, createAnswer } from './answer.ts';
import { ask } from './ask.ts';
import type { EngineEnd } from './engine-stream.ts';
import type { AnswerPart, Generation, Outcome } from './generation.ts';
import { endOf, pump } from './pump.ts';
import { templateFacts } from './render.ts';
import { answeredCalls } from './repeated-calls.ts';
import { answerWithoutTools, callAgain } from './second-try.ts';
import { createToolChecker } from './tool-check.ts';

/** The events but for the last, in parts. The first batch begins with `start` and comes once the engine has begun to answer. */
export async function* generate(work: Generation): AsyncGenerator<AnswerPart, Outcome> {
  const { request, lease, tools, constraint, signal } = work;
  const facts = await templateFacts(lease.runner, signal);
  const opening = await ask(work, facts);
  const answer = createAnswer({
    mode: constraint.kind === 'calls' ? 'calls' : tools.callable.length > 0 ? 'find' : 'text',
    callable: tools.callable.map(({ name }) => name),
    checker: tools.callable.length > 0 ? createToolChecker(tools.callable) : undefined,
    document: constraint.kind === 'document',
    exact: constraint.exact,
    many: tools.many,
    ...(constraint.kind === 'free' && {
      answered: answeredCalls(request.messages, work.model.gguf.parameterCount),
    }),
    opened: opening.opened,
    thoughtBudget: opening.budgetTokens,
    judged: work.judged,
  });
  yield pump(answer, opening.reply, work, work.start);
  const { overspent } = answer;
  const spent = overspent ? answer.counts.output : 0;
  if (overspent && opening.resume && !answer.end) {
    answer.push({ kind: 'text', text: overspent.closing });
    yield pump(answer, await opening.resume(`${overspent.said}${overspent.closing}\n\n`, spent), work, undefined);
  }
  const rest = answer.finish();
  if (rest.length > 0) yield [rest];

  const end = endOf(answer, spent);
  if (answer.repeated && end.reason !== 'length') return yield* answerWithoutTools(work, facts, end);
  if (!answer.rejected) return { answer, end, calls: answer.calls };
  const toolError = describe(answer.rejected, end);
  if (answer.calls > 0 || end.reason === 'length') return { answer, end, calls: answer.calls, toolError };
  if (answer.invented) return { ...(yield* answerWithoutTools(work, facts, end)), toolError };
  if (answer.rejected.invented) return { answer, end, calls: 0, toolError };
  const retried = await callAgain(work, facts, answer.rejected.name);
  if (!retried) return { answer, end, calls: 0, toolError };
  yield [retried.events];
  return { answer, end: { ...end, outputTokens: end.outputTokens + retried.tokens }, calls: 1 };
}

function describe({ name, reason }: NonNullable<Answer['rejected']>, end: EngineEnd): string {
  const cut = end.reason === 'length' ? ' The answer was cut off by the token limit.' : '';
  return `The model tried to call ${name ? `"${name}"` : 'a tool'}, but ${reason}.${cut}`;
}
