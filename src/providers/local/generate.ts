/** One answer of a loaded model: which of the engine's endpoints is asked, and what becomes of its stream. */
import type { ChatEvent, ChatRequest, ChatStream } from '../../core/chat.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { readJson } from '../../engine/reply.ts';
import type { RunnerReply } from '../../engine/runner.ts';
import type { Lease } from '../../engine/scheduler.ts';
import type { ResolvedModel } from '../../models/store.ts';
import { type Answer, createAnswer } from './answer.ts';
import { type Constraint, callsConstraint, type ToolPlan } from './constraint.ts';
import { contextExceeded, succeeded, TemplateError } from './engine-errors.ts';
import { createEngineReader, type EngineDelta, type EngineEnd } from './engine-stream.ts';
import { fillInPrompt } from './fill-in.ts';
import { templateKnows } from './go-prompt.ts';
import type { Held } from './held-tokens.ts';
import { type PreparedMessages, textOf, toEngineJson } from './messages.ts';
import {
  forTemplate,
  goTemplateOf,
  renderPrompt,
  type TemplateFacts,
  templateFacts,
  templateOptions,
  thinking,
} from './render.ts';
import { answeredCalls, resultsInWords } from './repeated-calls.ts';
import { samplingFields } from './sampling.ts';
import { openedByPrompt } from './think-splitter.ts';
import { tokenize } from './tokenize.ts';
import { type CheckedCall, createToolChecker } from './tool-check.ts';
import { toolJson } from './tool-prompt.ts';

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

/** How it went, for the last event. */
export type Outcome = { answer: Answer; end: EngineEnd; calls: number; toolError?: string };

/** Tokens that a retried call may take. */
const retryBudget = 1024;
/** Marks of thoughts and calls that are single tokens in some vocabularies, which the engine would otherwise not show. */
const preserved = ['<think>', '</think>', '[THINK]', '[/THINK]', '<|START_THINKING|>', '<|END_THINKING|>', '<tool_call>', '</tool_call>', '<|python_tag|>', '[TOOL_CALLS]', '[ARGS]', '[CALL_ID]', '<|tool_call|>', '<|/tool_call|>', '<|tool_call_start|>', '<|tool_call_end|>', '<function_call>', '<｜tool▁calls▁begin｜>', '<｜tool▁calls▁end｜>', '<｜tool▁call▁begin｜>', '<｜tool▁call▁end｜>', '<｜tool▁sep｜>', '<|tool_calls_section_begin|>', '<|tool_calls_section_end|>', '<|tool_call_begin|>', '<|tool_call_argument_begin|>']; // biome-ignore format: a table

/** The events but for the last. The first batch begins with `start` and comes once the engine has begun to answer. */
export async function* generate(work: Generation): AsyncGenerator<readonly ChatEvent[], Outcome> {
  const { request, lease, tools, constraint, signal } = work;
  const facts = await templateFacts(lease.runner, signal);
  const opening = await ask(work, facts);
  const answer = createAnswer({
    mode: constraint.kind === 'calls' ? 'calls' : tools.callable.length > 0 ? 'find' : 'text',
    callable: tools.callable.map(({ name }) => name),
    checker: tools.callable.length > 0 ? createToolChecker(tools.callable) : undefined,
    exact: constraint.exact,
    many: tools.many,
    ...(constraint.kind === 'free' && {
      answered: answeredCalls(request.messages, work.model.gguf.parameterCount),
    }),
    opened: opening.opened,
    thoughtBudget: opening.budgetTokens,
    judged: work.judged,
  });
  yield* pump(answer, opening.reply, work, work.start);
  const { overspent } = answer;
  const spent = overspent ? answer.counts.output : 0;
  if (overspent && opening.resume && !answer.end) {
    answer.push({ kind: 'text', text: overspent.closing });
    yield* pump(answer, await opening.resume(`${overspent.said}${overspent.closing}\n\n`, spent), work, undefined);
  }
  const rest = answer.finish();
  if (rest.length > 0) yield rest;

  const end = endOf(answer, spent);
  if (answer.repeated && end.reason !== 'length') return yield* answerFromResults(work, facts, end);
  if (!answer.rejected) return { answer, end, calls: answer.calls };
  const toolError = describe(answer.rejected, end);
  if (answer.calls > 0 || end.reason === 'length') return { answer, end, calls: answer.calls, toolError };
  const retried = await retry(work, facts, answer.rejected.name);
  if (!retried) return { answer, end, calls: 0, toolError };
  yield retried.events;
  return { answer, end: { ...end, outputTokens: end.outputTokens + retried.tokens }, calls: 1 };
}

async function* pump(
  answer: Answer,
  reply: RunnerReply,
  { request, lease, signal }: Pick<Generation, 'request' | 'lease' | 'signal'>,
  start: ChatEvent | undefined,
): ChatStream {
  const read = createEngineReader(request.logprobs ? (request.topLogprobs ?? 0) : undefined);
  let events: ChatEvent[] = start ? [start] : [];
  for await (const chunk of reply.body) {
    for (const delta of read(chunk)) {
      if (delta.kind === 'end' && delta.held)
        events.push(...answer.push(await unsaid(delta.held, delta.end, lease, signal)));
      for (const event of answer.push(delta)) events.push(event);
    }
    // `start` waits for company: one write instead of two.
    if (events.length > 1 || (events.length === 1 && events[0] !== start)) {
      yield events;
      events = [];
    }
    if (answer.complete || answer.overspent) break;
  }
  if (events.length > 0) yield events;
}

/** What the engine held back to the end is part of the answer. */
async function unsaid(
  { tokens, logprobs }: Held,
  { outputTokens }: EngineEnd,
  { runner }: Lease,
  signal: AbortSignal,
): Promise<EngineDelta> {
  const { content } = await readJson(await succeeded(await runner.request('/detokenize', { tokens }, signal)));
  const text = String(content);
  return { kind: 'text', text, tokens: outputTokens, ...(logprobs.length > 0 && { logprobs }) };
}

/** `spent` tokens were written before the thought was ended and the model asked again. */
function endOf(answer: Answer, spent = 0): EngineEnd {
  const { counts, end } = answer;
  if (end && spent === 0) return end;
  const known = end ?? { reason: 'stop' as const, outputTokens: counts.output, promptMs: 0, outputMs: 0 };
  // The engine's own account never came, or is of another prompt.
  return {
    ...known,
    promptTokens: counts.prompt,
    cachedTokens: counts.cached,
    outputTokens: known.outputTokens + spent,
  };
}

function describe({ name, reason }: { name: string | undefined; reason: string }, end: EngineEnd): string {
  const cut = end.reason === 'length' ? ' The answer was cut off by the token limit.' : '';
  return `The model tried to call ${name ? `"${name}"` : 'a tool'}, but ${reason}.${cut}`;
}

/** An answer that has begun. `resume` goes on after what the model has said, of which `spent` tokens count. */
type Opening = {
  reply: RunnerReply;
  /** A thought that the prompt has opened. */
  opened?: string | undefined;
  resume?: (said: string, spent: number) => Promise<RunnerReply>;
  /** Tokens that a thought may take; comes with `resume`. */
  budgetTokens?: number;
};

/** Ask the engine. Throws its refusals. */
async function ask(work: Generation, facts: TemplateFacts): Promise<Opening> {
  const { request, model, lease, tools, constraint } = work;
  const { local } = request;
  const fields = commonFields(request, model, lease);
  if (local?.suffix !== undefined && !local.raw) {
    const go = goTemplateOf(request, model) ?? model.template;
    if (go === undefined || !templateKnows(go, 'Suffix')) return { reply: await fillIn(work, fields) };
  }
  const fast =
    constraint.kind === 'free' &&
    tools.callable.length === 0 &&
    // It does not say which stop sequence it met; the Modelfile's are nobody's business.
    !request.stop?.length &&
    !request.reasoning?.budgetTokens &&
    local?.raw !== true &&
    lease.contextLength % engineStep === 0;
  if (
    goTemplateOf(request, model) === undefined &&
    !local?.raw &&
    (fast || (facts.onlyEngineReads && constraint.kind === 'free'))
  ) {
    try {
      return { reply: await chatEndpoint(work, facts, fields) };
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
    }
  }
  return completionEndpoint(work, facts, fields, constraint);
}

/** The engine rounds each slot's context up to this. */
const engineStep = 256;

function commonFields(request: ChatRequest, model: ResolvedModel, { slot }: Lease): JsonObject {
  const fields: JsonObject = {
    ...samplingFields(request, model.params, model.gguf.vocabularySize),
    stream: true,
    cache_prompt: true,
    ...(slot !== undefined && { id_slot: slot }),
    // The engine sees that nobody waits any more only when it writes, so it is to write during the prompt too.
    return_progress: true,
  };
  if (request.logprobs) fields['n_probs'] = Math.max(request.topLogprobs ?? 0, 1);
  return fields;
}

/** One round trip: the engine renders, and reads thoughts and calls in the model's own syntax. */
async function chatEndpoint(work: Generation, facts: TemplateFacts, fields: JsonObject): Promise<RunnerReply> {
  const { request, lease, signal, tools, prepared } = work;
  const body: JsonObject = {
    ...fields,
    messages: toEngineJson(forTemplate(prepared.messages, tools.shown, facts), dataUrl),
    ...templateOptions(request),
    stream_options: { include_usage: true },
  };
  if (request.logprobs) {
    delete body['n_probs'];
    body['logprobs'] = true;
    body['top_logprobs'] = Math.max(request.topLogprobs ?? 0, 1);
  }
  if (request.reasoning?.budgetTokens) body['thinking_budget_tokens'] = request.reasoning.budgetTokens;
  if (tools.shown.length > 0 && facts.tools) {
    body['tools'] = tools.shown.map(toolJson);
    body['parallel_tool_calls'] = tools.many;
  }
  return succeeded(await lease.runner.request('/v1/chat/completions', body, signal));
}

/** The engine tells formats by their bytes; the media type is a formality. */
const dataUrl = (base64: string) => `data:image/png;base64,${base64}`;

/** The prompt rendered first: for grammars, stop sequences, Go templates, and tools in any syntax. */
async function completionEndpoint(work: Generation, facts: TemplateFacts, fields: JsonObject, constraint: Constraint) {
  const { request, model, lease, signal, tools, prepared } = work;
  // A document or a forced call comes without a thought, unless one was asked for.
  const quiet = constraint.kind === 'document' || constraint.kind === 'calls';
  const asked =
    quiet && thinking(request) === undefined ? { ...request, reasoning: { effort: 'none' as const } } : request;
  const prompt = await renderPrompt({
    request: asked,
    model,
    messages: prepared.messages,
    tools: tools.shown,
    runner: lease.runner,
    facts,
    signal,
  });
  const opened = openedByPrompt(prompt);
  const limit = fields['n_predict'];
  // A constrained answer keeps half of its room for itself.
  const half = quiet && opened && typeof limit === 'number' && limit >= 0 ? Math.ceil(limit / 2) : undefined;
  const budgetTokens = request.reasoning?.budgetTokens ?? half;
  const withImages = (text: string): Json =>
    prepared.images.length > 0 && !request.local?.raw
      ? { prompt_string: text, multimodal_data: prepared.images }
      : text;
  const body: JsonObject = {
    ...fields,
    preserved_tokens: preserved,
    prompt: request.local?.promptTokens ?? withImages(prompt),
  };
  const thought = opened ? 'open' : thinking(request) === true ? 'maybe' : 'none';
  if (constraint.grammar) body['grammar'] = constraint.grammar(thought);
  if (lease.contextLength % engineStep !== 0)
    fitContext(
      work,
      (request.local?.promptTokens ?? (await tokenize(lease.runner, prompt, asPrompt, signal))).length,
      body,
    );
  const send = async (more: JsonObject) =>
    succeeded(await lease.runner.request('/completion', { ...body, ...more }, signal), fieldOf(request));
  const resume = (said: string, spent: number) => {
    const room = body['n_predict'];
    const more: JsonObject = { prompt: withImages(prompt + said) };
    if (typeof room === 'number' && room >= 0) more['n_predict'] = Math.max(room - spent, 1);
    if (constraint.grammar) more['grammar'] = constraint.grammar('none');
    return send(more);
  };
  const reply = await send({});
  return { reply, opened, ...(budgetTokens !== undefined && { resume, budgetTokens }) };
}

/** How the engine reads a prompt itself. */
const asPrompt = { add_special: true, parse_special: true };

/** What the client calls its prompt. */
const fieldOf = ({ local }: ChatRequest) => (local?.raw || local?.suffix !== undefined ? 'prompt' : 'messages');

/** Where the engine's own limit is above the one in force: `used` tokens of it are the prompt's. */
function fitContext({ lease, request }: Generation, used: number, body: JsonObject) {
  if (used >= lease.contextLength) throw contextExceeded(lease.contextLength, used, fieldOf(request));
  const limit = body['n_predict'];
  const room = lease.contextLength - used;
  body['n_predict'] = typeof limit === 'number' && limit >= 0 ? Math.min(limit, room) : room;
}

/** Fill in the middle, with the model's own tokens for it. */
async function fillIn(work: Generation, fields: JsonObject): Promise<RunnerReply> {
  const { request, model, lease, signal, prepared } = work;
  const prefix = prepared.messages
    .filter(({ role }) => role === 'user')
    .map(textOf)
    .join('');
  const suffix = request.local?.suffix ?? '';
  const prompt = await fillInPrompt(model, lease.runner, { prefix, suffix }, signal);
  const body: JsonObject = { ...fields, prompt };
  if (lease.contextLength % engineStep !== 0) fitContext(work, prompt.length, body);
  return succeeded(await lease.runner.request('/completion', body, signal), fieldOf(request));
}

/** Once more, for a model that asks for what it has been told: without tools, the results in words. */
async function* answerFromResults(
  work: Generation,
  facts: TemplateFacts,
  before: EngineEnd,
): AsyncGenerator<readonly ChatEvent[], Outcome> {
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
  yield* pump(answer, reply, { ...work, request }, undefined);
  const rest = answer.finish();
  if (rest.length > 0) yield rest;
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
async function retry(work: Generation, facts: TemplateFacts, name: string | undefined) {
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
