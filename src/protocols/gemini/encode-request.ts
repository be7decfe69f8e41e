/**
 * Core → Gemini's generateContent body. Pure.
 * Source: https://ai.google.dev/api/generate-content (read 2026-11)
 */
import type { AssistantPart, ChatRequest, Message, ReasoningEffort, Source, Tool, UserPart } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { parseObject } from '../read.ts';
import { toldFormat } from '../told-format.ts';
import { withoutReferences } from './schema.ts';

/**
 * Request → body of `models/NAME:generateContent`. The model and whether it streams are in the path, not in the body.
 * Throws unsupported_capability for what Gemini cannot do and the answer would show: biased tokens.
 */
export function encodeRequest(request: ChatRequest): JsonObject {
  if (request.logitBias && Object.keys(request.logitBias).length > 0)
    throw new ViaductError('unsupported_capability', 'Gemini cannot bias single tokens.', { param: 'logit_bias' });
  const { tools: hostedTools, ...extras } = request.extras?.gemini ?? {};
  const { enforced, told } = formatOf(request);
  const system = [
    ...request.messages.flatMap((message) =>
      message.role === 'system' || message.role === 'developer' ? message.parts.map(({ text }) => ({ text })) : [],
    ),
    ...(told ? [{ text: told }] : []),
  ];
  const tools: Json[] = [
    ...(request.tools?.length ? [{ functionDeclarations: request.tools.map(encodeTool) }] : []),
    ...(Array.isArray(hostedTools) ? hostedTools : []),
  ];
  const toolConfig = encodeToolChoice(request);
  const generationConfig = encodeGenerationConfig(request, enforced);
  return {
    contents: encodeContents(request),
    ...(system.length > 0 && { systemInstruction: { parts: system } }),
    ...(tools.length > 0 && { tools }),
    ...(toolConfig && { toolConfig }),
    ...(Object.keys(generationConfig).length > 0 && { generationConfig }),
    ...extras,
  };
}

function encodeContents({ messages, model }: ChatRequest): Json[] {
  const names = new Map<string, string>();
  /** `media`: of results, for models that take none inside them. */
  const contents: { role: string; parts: Json[]; media?: Json[] }[] = [];
  for (const message of messages) {
    switch (message.role) {
      case 'user':
        contents.push({ role: 'user', parts: message.parts.map(encodeUserPart) });
        break;
      case 'assistant':
        for (const part of message.parts) if (part.type === 'tool-call') names.set(part.id, part.name);
        contents.push({ role: 'model', parts: encodeAssistantParts(message.parts, model) });
        break;
      case 'tool': {
        // The results of one turn's calls must come in one turn.
        const last = contents.at(-1);
        const { part, media } = encodeToolResult(message, names.get(message.toolCallId) ?? message.toolCallId, model);
        if (last?.media) {
          last.parts.push(part);
          last.media.push(...media);
        } else contents.push({ role: 'user', parts: [part], media });
      }
    }
  }
  return contents
    .filter(({ parts }) => parts.length > 0)
    .map(({ role, parts, media = [] }) => ({ role, parts: [...parts, ...media] }));
}

function encodeUserPart(part: UserPart): Json {
  switch (part.type) {
    case 'text':
      return { text: part.text };
    case 'audio':
      return { inlineData: { mimeType: `audio/${part.format}`, data: part.data } };
    case 'image':
      return encodeSource(part.source, 'image/jpeg');
    case 'file':
      return 'fileId' in part.source
        ? { fileData: { fileUri: part.source.fileId } }
        : encodeSource(part.source, 'application/pdf');
  }
}

/** `guess` is the type of a URL whose name does not tell. */
function encodeSource(source: Source, guess: string): JsonObject {
  if ('data' in source) return { inlineData: { mimeType: source.mediaType, data: source.data } };
  const ending = /\.(\w+)(?:[?#]|$)/.exec(source.url)?.[1]?.toLowerCase();
  return { fileData: { mimeType: (ending && typesByEnding[ending]) ?? guess, fileUri: source.url } };
}

const typesByEnding: Record<string, string> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  webp: 'image/webp',
  gif: 'image/gif',
  heic: 'image/heic',
  pdf: 'application/pdf',
  txt: 'text/plain',
};

/**
 * A thought's signature rides on the part that follows it; that of an empty thought on the part before, if there is one. Gemini 3 refuses
 * a call without one; calls that another model made carry the value that Google documents for that case.
 */
function encodeAssistantParts(parts: AssistantPart[], model: string): Json[] {
  const wire: JsonObject[] = [];
  let pending: string | undefined;
  const push = (part: JsonObject, own?: string) => {
    const thoughtSignature = own ?? pending;
    pending = undefined;
    wire.push({ ...part, ...(thoughtSignature && { thoughtSignature }) });
  };
  for (const part of parts) {
    switch (part.type) {
      case 'reasoning': {
        if (part.origin !== 'gemini') break;
        const last = wire.at(-1);
        if (part.text) wire.push({ text: part.text, thought: true });
        if (!part.signature) break;
        if (part.text || !last || last['thought']) pending = part.signature;
        else last['thoughtSignature'] ??= part.signature;
        break;
      }
      case 'text':
      case 'refusal':
        push({ text: part.text });
        break;
      case 'image':
        push(encodeSource(part.source, 'image/png'));
        break;
      case 'tool-call':
        push(
          { functionCall: { id: part.id, name: part.name, args: parseObject(part.arguments) ?? {} } },
          part.signature,
        );
    }
  }
  if (pending) push({ text: '' });
  if (!isOld(model)) markFirstCall(wire);
  return wire;
}

function markFirstCall(wire: JsonObject[]) {
  const call = wire.find((part) => part['functionCall']);
  if (call) call['thoughtSignature'] ??= 'skip_thought_signature_validator';
}

/** Older models sign no calls, and take no pictures inside results of tools. */
const isOld = (model: string) => /gemini-[12]\b/.test(model);

function encodeToolResult(
  message: Extract<Message, { role: 'tool' }>,
  name: string,
  model: string,
): { part: Json; media: Json[] } {
  const text = message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  const media = message.parts.flatMap((part) => (part.type === 'text' ? [] : [encodeUserPart(part)]));
  const inside = media.length > 0 && !isOld(model);
  const functionResponse = {
    id: message.toolCallId,
    name,
    response: message.isError ? { error: text } : { result: text },
    ...(inside && { parts: media }),
  };
  return { part: { functionResponse }, media: inside ? [] : media };
}

function encodeTool({ name, description, parameters }: Tool): Json {
  const schema = parameters && withoutReferences(parameters);
  return { name, ...(description && { description }), ...(schema && { parametersJsonSchema: schema }) };
}

function encodeToolChoice({ toolChoice, tools }: ChatRequest): JsonObject | undefined {
  if (toolChoice === undefined || !tools?.length) return undefined;
  const config = (mode: string, allowedFunctionNames?: string[]) => ({
    functionCallingConfig: { mode, ...(allowedFunctionNames && { allowedFunctionNames }) },
  });
  if (toolChoice === 'none') return config('NONE');
  if (toolChoice === 'auto') return config('AUTO');
  if (toolChoice === 'required') return config('ANY');
  if ('name' in toolChoice) return config('ANY', [toolChoice.name]);
  // VALIDATED is the only mode besides ANY that takes a list of names; it may also answer in words.
  return config(toolChoice.mode === 'required' ? 'ANY' : 'VALIDATED', toolChoice.allowed);
}

type Format = ChatRequest['responseFormat'];

/**
 * Where tools are offered, models before Gemini 3 take no format, and none does with a forced call. A call needs none; other answers can be
 * told theirs.
 */
function formatOf({ responseFormat, tools, toolChoice, model }: ChatRequest): { enforced?: Format; told?: string } {
  if (!responseFormat || responseFormat.type === 'text' || !tools?.length) return { enforced: responseFormat };
  if (isForced(toolChoice)) return {};
  return isOld(model) ? { told: toldFormat(responseFormat, true) } : { enforced: responseFormat };
}

const isForced = (choice: ChatRequest['toolChoice']) =>
  choice === 'required' || (typeof choice === 'object' && ('name' in choice || choice.mode === 'required'));

function encodeGenerationConfig(request: ChatRequest, format: Format): JsonObject {
  const thinkingConfig = encodeThinking(request);
  const fields = {
    maxOutputTokens: request.maxTokens,
    temperature: request.temperature,
    topP: request.topP,
    topK: request.topK,
    frequencyPenalty: request.frequencyPenalty,
    presencePenalty: request.presencePenalty,
    seed: request.seed,
    stopSequences: request.stop,
    responseLogprobs: request.logprobs,
    logprobs: request.topLogprobs,
    responseMimeType: format && format.type !== 'text' ? 'application/json' : undefined,
    responseJsonSchema: format?.type === 'json-schema' ? withoutReferences(format.schema) : undefined,
    thinkingConfig,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as JsonObject;
}

/** Gemini 2.5 counts thoughts in tokens, later models in levels. */
function encodeThinking({ reasoning, model }: ChatRequest): JsonObject | undefined {
  if (!reasoning) return undefined;
  const { effort, budgetTokens } = reasoning;
  const byTokens = /gemini-2\.5/.test(model);
  if (budgetTokens !== undefined) return { thinkingBudget: budgetTokens, includeThoughts: budgetTokens !== 0 };
  if (effort === undefined) return { includeThoughts: true };
  if (!byTokens) return { thinkingLevel: levelOf(model, effort), includeThoughts: effort !== 'none' };
  // 2.5 Pro cannot stop thinking: 128 is its least.
  const budget = effort === 'none' && /2\.5-pro/.test(model) ? 128 : budgets[effort];
  return { thinkingBudget: budget, includeThoughts: effort !== 'none' };
}

/** A level that the model lacks is answered with a 400: the next one above is taken. `low` and `high` are everywhere. */
function levelOf(model: string, effort: ReasoningEffort): string {
  const level = levels[effort];
  if (level === 'minimal') return /gemini-3(\.[0-5])?-flash/.test(model) ? level : 'low';
  return level === 'medium' && /gemini-3-pro/.test(model) ? 'high' : level;
}

const levels: Record<ReasoningEffort, string> = {
  none: 'minimal',
  minimal: 'minimal',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'high',
};

const budgets: Record<ReasoningEffort, number> = {
  none: 0,
  minimal: 512,
  low: 1024,
  medium: 8192,
  high: 24_576,
  xhigh: 24_576,
};
