/** Asking a model once more: without tools where it needs none, or for the call that it did not get right. */
import type { ChatEvent } from '../../core/chat.ts';
import { createAnswer } from './answer.ts';
import { ask, commonFields, completionEndpoint } from './ask.ts';
import { callsConstraint } from './constraint.ts';
import type { EngineEnd } from './engine-stream.ts';
import type { AnswerPart, Generation, Outcome } from './generation.ts';
import { endOf, pump } from './pump.ts';
import type { TemplateFacts } from './render.ts';
import { resultsInWords } from './repeated-calls.ts';
import { createToolChecker } from './tool-check.ts';

/** Tokens that a retried call may take. */
const retryBudget = 1024;

/** Once more, for a model that asks for what it has been told, or for what nobody offers: without tools, the results in words. */
export async function* answerWithoutTools(
  work: Generation,
  facts: TemplateFacts,
  before: EngineEnd,
): AsyncGenerator<AnswerPart, Outcome> {
  const { maxTokens } = work.request;
  const request =
    maxTokens === undefined
      ? work.request
      : { ...work.request, maxTokens: Math.max(maxTokens - before.outputTokens, 1) };
  const { reply, opened } = await ask(
    {
      ...work,
      request,
      tools: { shown: [], callable: [], forced: false, many: false },
      prepared: { ...work.prepared, messages: resultsInWords(work.prepared.messages) },
    },
    facts,
  );
  const answer = createAnswer({
    mode: 'text',
    callable: [],
    checker: undefined,
    exact: true,
    many: false,
    opened,
    thoughtBudget: undefined,
    judged: work.judged,
  });
  yield pump(answer, reply, { ...work, request }, undefined);
  const rest = answer.finish();
  if (rest.length > 0) yield [rest];
  const end = endOf(answer);
  return {
    answer,
    end: {
      ...end,
      promptTokens: before.promptTokens,
      cachedTokens: before.cachedTokens,
      outputTokens: before.outputTokens + end.outputTokens,
    },
    calls: 0,
  };
}

/** Once more, with a grammar that leaves no choice but a right call. Undefined when that fails too. */
export async function callAgain(work: Generation, facts: TemplateFacts, name: string | undefined) {
  const { request, model, tools } = work;
  const wanted = tools.callable.filter((tool) => name === undefined || tool.name === name);
  const constraint = callsConstraint(wanted, false, Math.min(request.maxTokens ?? retryBudget, retryBudget));
  const { seed: _seed, ...again } = request;
  const { reply, opened } = await completionEndpoint(
    work,
    facts,
    commonFields({ ...again, maxTokens: retryBudget }, model, work.lease),
    constraint,
  );
  const answer = createAnswer({
    mode: 'calls',
    callable: wanted.map((tool) => tool.name),
    checker: createToolChecker(wanted),
    exact: false,
    many: false,
    opened,
    thoughtBudget: undefined,
    judged: () => {},
  });
  const events: ChatEvent[] = [];
  for await (const batch of pump(answer, reply, work, undefined))
    events.push(...batch.filter(({ type }) => type.startsWith('tool')));
  events.push(...answer.finish());
  if (answer.calls === 0) return undefined;
  work.judged('repaired');
  return { events: events.filter(({ type }) => type.startsWith('tool')), tokens: endOf(answer).outputTokens };
}
