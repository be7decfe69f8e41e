/** Whose tokens and how many, read off a provider's own reply without knowing its protocol. Pure. */
import type { Usage } from '../core/usage.ts';
import type { Measured } from './attempt.ts';

/** Names that OpenAI (both APIs), Anthropic, Gemini, Bedrock and Cohere give their counts. */
const inputNames = ['prompt_tokens', 'input_tokens', 'promptTokenCount', 'inputTokens'];
const outputNames = [
  'completion_tokens',
  'output_tokens',
  'candidatesTokenCount',
  'responseTokenCount',
  'outputTokens',
];
/** Part of the input for all but those that follow. */
const cachedNames = ['cached_tokens', 'cachedContentTokenCount'];
/** Anthropic's and Bedrock's stand beside the input. */
const besideReadNames = ['cache_read_input_tokens', 'cacheReadInputTokens'];
const besideWriteNames = ['cache_creation_input_tokens', 'cacheWriteInputTokens'];
/** What Gemini's own tools read stands beside the input, its thoughts beside the output. */
const besideToolNames = ['toolUsePromptTokenCount'];
const besideThoughtNames = ['thoughtsTokenCount'];

/**
 * `path` of the request and `text` of the reply, one character a byte → the last counts in it, and the model when path or reply name one.
 * Nothing found counts as nothing used.
 */
export function measureNative(path: string, text: string): Measured {
  const [read, write, thoughts] = [besideReadNames, besideWriteNames, besideThoughtNames].map((names) =>
    last(text, names),
  ) as [number, number, number];
  const cacheRead = read + last(text, cachedNames);
  const usage: Usage = {
    input: last(text, inputNames) + last(text, besideToolNames) + read + write,
    output: last(text, outputNames) + thoughts,
    ...(cacheRead > 0 && { cacheRead }),
    ...(write > 0 && { cacheWrite: write }),
    ...(thoughts > 0 && { reasoning: thoughts }),
  };
  const model = modelIn(path) ?? /"model(?:Version)?"\s*:\s*"([^"\\]{1,200})"/.exec(text)?.[1];
  return { usage, estimated: false, ...(model && usage.input + usage.output > 0 && { model }) };
}

function last(text: string, names: string[]): number {
  let found = 0;
  for (const name of names)
    for (const [, count] of text.matchAll(new RegExp(`"${name}"\\s*:\\s*(\\d+)`, 'g'))) found = Number(count);
  return found;
}

/** `/v1beta/models/NAME:generateContent`, `/model/NAME/converse`; a plain `/models/NAME` asks for no answer of that model. */
function modelIn(path: string): string | undefined {
  const [, name] = /\/models?\/([^/:?]+(?::\d+)?)(?=:[a-z]|\/(?:converse|invoke))/i.exec(decoded(path)) ?? [];
  return name;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
