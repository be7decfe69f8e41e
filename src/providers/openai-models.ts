/**
 * What OpenAI's models take, read off their names: a field that a model does not know is a 400. Clients of other
 * protocols cannot know, so what only tunes an answer is left out or put in the model's own words; what would change it
 * stays, for OpenAI to refuse.
 * Sources: https://platform.openai.com/docs/guides/reasoning, …/guides/latest-model (read 2026-11)
 */
import type { ChatRequest, ReasoningEffort } from '../core/chat.ts';
import type { Dialect } from './define.ts';

/** `dialect`, with translated requests made to fit their model. What is relayed stays as it is. */
export const fitted = (dialect: Dialect): Dialect => ({
  ...dialect,
  encodeRequest: (request) => dialect.encodeRequest(fit(request)),
});

const plain = /^(ft:)?(gpt-[34]|chatgpt-|gpt-5(\.\d)?-chat)/;
const thinking = /^(ft:)?(o[1-9](-|$)|gpt-5|codex-)/;
/** These think only when asked, and take samplers as long as they do not. */
const thinksWhenAsked = /^(ft:)?gpt-5\.[1-9](?!.*(codex|pro))/;

function fit(request: ChatRequest): ChatRequest {
  const { model, reasoning } = request;
  if (plain.test(model)) {
    const { reasoning: _reasoning, verbosity: _verbosity, ...rest } = request;
    return rest;
  }
  if (!thinking.test(model)) return request;
  const effort = reasoning?.effort && effortOf(model, reasoning.effort);
  const fitting: ChatRequest = reasoning && effort ? { ...request, reasoning: { ...reasoning, effort } } : request;
  if (thinksWhenAsked.test(model) && (!reasoning || effort === 'none')) return fitting;
  const { temperature: _t, topP: _p, presencePenalty: _pp, frequencyPenalty: _fp, ...rest } = fitting;
  return rest;
}

/** The nearest effort that the model has. */
function effortOf(model: string, effort: ReasoningEffort): ReasoningEffort {
  const isMinor = thinksWhenAsked.test(model);
  const hasMinimal = /^(ft:)?gpt-5(-|$)(?!.*codex)/.test(model);
  const hasMost = /gpt-5\.([2-9]|1-codex-max)/.test(model);
  if (effort === 'none') return isMinor ? 'none' : hasMinimal ? 'minimal' : 'low';
  if (effort === 'minimal') return hasMinimal ? 'minimal' : 'low';
  return effort === 'xhigh' && !hasMost ? 'high' : effort;
}
