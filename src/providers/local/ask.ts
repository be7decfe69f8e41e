/** Which of the engine's endpoints is asked for an answer, and with what. */
import type { ChatRequest } from '../../core/chat.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import type { RunnerReply } from '../../engine/runner.ts';
import type { Lease } from '../../engine/scheduler.ts';
import type { ResolvedModel } from '../../models/store.ts';
import type { Constraint } from './constraint.ts';
import { contextExceeded, succeeded, TemplateError } from './engine-errors.ts';
import { fillInPrompt } from './fill-in.ts';
import type { Generation } from './generation.ts';
import { templateKnows } from './go-prompt.ts';
import { textOf, toEngineJson } from './messages.ts';
import { forTemplate, goTemplateOf, renderPrompt, type TemplateFacts, templateOptions, thinking } from './render.ts';
import { samplingFields } from './sampling.ts';
import { openedByPrompt } from './think-splitter.ts';
import { tokenize } from './tokenize.ts';
import { toolJson } from './tool-prompt.ts';

/** Marks of thoughts and calls that are single tokens in some vocabularies, which the engine would otherwise not show. */
const preserved = ['<think>', '</think>', '[THINK]', '[/THINK]', '<|START_THINKING|>', '<|END_THINKING|>', '<tool_call>', '</tool_call>', '<|python_tag|>', '[TOOL_CALLS]', '[ARGS]', '[CALL_ID]', '<|tool_call|>', '<|/tool_call|>', '<|tool_call_start|>', '<|tool_call_end|>', '<function_call>', '<｜tool▁calls▁begin｜>', '<｜tool▁calls▁end｜>', '<｜tool▁call▁begin｜>', '<｜tool▁call▁end｜>', '<｜tool▁sep｜>', '<|tool_calls_section_begin|>', '<|tool_calls_section_end|>', '<|tool_call_begin|>', '<|tool_call_argument_begin|>']; // biome-ignore format: a table

/** An answer that has begun. `resume` goes on after what the model has said, of which `spent` tokens count. */
export type Opening = {
  reply: RunnerReply;
  /** A thought that the prompt has opened. */
  opened?: string | undefined;
  resume?: (said: string, spent: number) => Promise<RunnerReply>;
  /** Tokens that a thought may take; comes with `resume`. */
  budgetTokens?: number;
};

/** Ask the engine. Throws its refusals. */
export async function ask(work: Generation, facts: TemplateFacts): Promise<Opening> {
  const { request, model, lease, constraint } = work;
  const { local } = request;
  const fields = commonFields(request, model, lease);
  if (local?.suffix !== undefined && !local.raw) {
    const go = goTemplateOf(request, model) ?? model.template;
    if (go === undefined || !templateKnows(go, 'Suffix')) return { reply: await fillIn(work, fields) };
  }
  if (suitsChatEndpoint(work, facts))
    try {
      return { reply: await chatEndpoint(work, facts, fields) };
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
    }
  return completionEndpoint(work, facts, fields, constraint);
}

/** Whether the engine can do all of it in one round trip: render, answer, and read what was answered. */
function suitsChatEndpoint({ request, model, lease, tools, constraint }: Generation, facts: TemplateFacts): boolean {
  if (constraint.kind !== 'free' || request.local?.raw || goTemplateOf(request, model) !== undefined) return false;
  if (facts.onlyEngineReads) return true;
  return (
    tools.callable.length === 0 &&
    // It does not say which stop sequence it met; the Modelfile's are nobody's business.
    !request.stop?.length &&
    !request.reasoning?.budgetTokens &&
    lease.contextLength % engineStep === 0
  );
}

/** The engine rounds each slot's context up to this. */
const engineStep = 256;

export function commonFields(request: ChatRequest, model: ResolvedModel, { slot }: Lease): JsonObject {
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
export async function completionEndpoint(
  work: Generation,
  facts: TemplateFacts,
  fields: JsonObject,
  constraint: Constraint,
) {
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
