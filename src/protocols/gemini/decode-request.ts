/**
 * Gemini's generateContent body → core. Pure. No front door speaks Gemini; this is the other half of the promise that
 * what we send means what we were asked, and tests hold both halves against each other.
 * Source: https://ai.google.dev/api/generate-content (read 2026-11)
 */
import type {
  AssistantPart,
  ChatRequest,
  Message,
  ReasoningEffort,
  Tool,
  ToolChoice,
  UserPart,
} from '../../core/chat.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { list, object, text } from '../read.ts';

/** Body and what the path says → request. */
export function decodeRequest(body: JsonObject, { model, stream }: { model: string; stream: boolean }): ChatRequest {
  const { contents, systemInstruction, tools, toolConfig, generationConfig, ...extras } = body;
  const declarations = list(tools).flatMap((tool) => list(object(tool)['functionDeclarations']));
  const hosted = list(tools).filter((tool) => !object(tool)['functionDeclarations']);
  const system = list(object(systemInstruction)['parts']).map((part) => ({
    type: 'text' as const,
    text: text(object(part)['text']),
  }));
  const choice = decodeToolChoice(object(object(toolConfig)['functionCallingConfig']));
  const kept = { ...extras, ...(hosted.length > 0 && { tools: hosted }) };
  return {
    model,
    stream,
    messages: [
      ...(system.length > 0 ? [{ role: 'system' as const, parts: system }] : []),
      ...list(contents).flatMap((content) => decodeContent(object(content))),
    ],
    ...(declarations.length > 0 && { tools: declarations.map((tool) => decodeTool(object(tool))) }),
    ...(choice !== undefined && { toolChoice: choice }),
    ...decodeGenerationConfig(object(generationConfig)),
    ...(Object.keys(kept).length > 0 && { extras: { gemini: kept } }),
  };
}

function decodeContent({ role, parts }: JsonObject): Message[] {
  const wire = list(parts).map(object);
  if (role === 'model') return [{ role: 'assistant', parts: wire.flatMap(decodeAssistantPart) }];
  if (wire.some((part) => part['functionResponse']))
    return wire.map((part) => decodeToolResult(object(part['functionResponse'])));
  return [{ role: 'user', parts: wire.map(decodeUserPart) }];
}

function decodeUserPart(part: JsonObject): UserPart {
  if (typeof part['text'] === 'string') return { type: 'text', text: part['text'] };
  const inline = object(part['inlineData']);
  const file = object(part['fileData']);
  const mediaType = text(inline['mimeType'] ?? file['mimeType']);
  const source = part['inlineData'] ? { data: text(inline['data']), mediaType } : { url: text(file['fileUri']) };
  if ('data' in source && mediaType.startsWith('audio/'))
    return { type: 'audio', data: source.data, format: mediaType.slice('audio/'.length) };
  if (!mediaType) return { type: 'file', source: { fileId: text(file['fileUri']) } };
  return { type: mediaType.startsWith('image/') ? 'image' : 'file', source };
}

function decodeAssistantPart(part: JsonObject): AssistantPart[] {
  const signature = text(part['thoughtSignature']);
  if (part['thought']) return [{ type: 'reasoning', text: text(part['text']), origin: 'gemini' }];
  const call = object(part['functionCall']);
  if (part['functionCall'])
    return [
      {
        type: 'tool-call',
        id: text(call['id']),
        name: text(call['name']),
        arguments: JSON.stringify(call['args'] ?? {}),
        ...(signature && { signature }),
      },
    ];
  const made = decodeUserPart(part);
  if (made.type === 'image')
    return [
      made,
      ...(signature ? [{ type: 'reasoning' as const, text: '', signature, origin: 'gemini' as const }] : []),
    ];
  const thought: AssistantPart[] = signature ? [{ type: 'reasoning', text: '', signature, origin: 'gemini' }] : [];
  return part['text'] === '' && signature ? thought : [{ type: 'text', text: text(part['text']) }, ...thought];
}

function decodeToolResult({ id, response, parts }: JsonObject): Message {
  const { error, result } = object(response);
  const media = list(parts).map((part) => decodeUserPart(object(part)));
  return {
    role: 'tool',
    toolCallId: text(id),
    parts: [
      { type: 'text', text: text(error ?? result) },
      ...media.filter((part) => part.type === 'image' || part.type === 'file'),
    ],
    ...(error !== undefined && { isError: true }),
  };
}

function decodeTool({ name, description, parametersJsonSchema, parameters }: JsonObject): Tool {
  const schema = parametersJsonSchema ?? parameters;
  return {
    name: text(name),
    ...(description && { description: text(description) }),
    ...(schema && { parameters: object(schema) }),
  };
}

function decodeToolChoice({ mode, allowedFunctionNames }: JsonObject): ToolChoice | undefined {
  const names = list(allowedFunctionNames).map(text);
  if (mode === 'NONE') return 'none';
  if (mode === 'ANY') {
    if (names.length === 0) return 'required';
    return names.length === 1 && names[0] ? { name: names[0] } : { allowed: names, mode: 'required' };
  }
  if (mode === 'VALIDATED' && names.length > 0) return { allowed: names, mode: 'auto' };
  return mode === 'AUTO' || mode === 'VALIDATED' ? 'auto' : undefined;
}

function decodeGenerationConfig(config: JsonObject): Partial<ChatRequest> {
  const schema = config['responseJsonSchema'] ?? config['responseSchema'];
  const json = config['responseMimeType'] === 'application/json';
  const fields: Partial<Record<keyof ChatRequest, Json | object | undefined>> = {
    maxTokens: config['maxOutputTokens'],
    temperature: config['temperature'],
    topP: config['topP'],
    topK: config['topK'],
    frequencyPenalty: config['frequencyPenalty'],
    presencePenalty: config['presencePenalty'],
    seed: config['seed'],
    stop: config['stopSequences'],
    logprobs: config['responseLogprobs'],
    topLogprobs: config['logprobs'],
    responseFormat: schema ? { type: 'json-schema', name: 'response', schema } : json ? { type: 'json' } : undefined,
    reasoning: config['thinkingConfig'] ? decodeThinking(object(config['thinkingConfig'])) : undefined,
  };
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<ChatRequest>;
}

function decodeThinking({ thinkingBudget, thinkingLevel }: JsonObject): ChatRequest['reasoning'] & object {
  if (typeof thinkingBudget === 'number') return { budgetTokens: thinkingBudget };
  return typeof thinkingLevel === 'string' ? { effort: thinkingLevel.toLowerCase() as ReasoningEffort } : {};
}
