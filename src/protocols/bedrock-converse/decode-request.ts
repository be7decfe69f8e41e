/**
 * Bedrock's Converse body → core. Pure. No front door speaks Converse; tests hold this against encode-request.ts.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html (read 2026-11)
 */
import type { AssistantPart, ChatRequest, Message, TextPart, Tool, ToolChoice, UserPart } from '../../core/chat.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { list, object, parseObject, text } from '../read.ts';

/** Body and what the path says → request. */
export function decodeRequest(body: JsonObject, { model, stream }: { model: string; stream: boolean }): ChatRequest {
  const { messages, system, inferenceConfig, toolConfig, outputConfig, additionalModelRequestFields, ...extras } = body;
  const { thinking, output_config, reasoning_effort, top_k, ...additional } = object(additionalModelRequestFields);
  const { maxTokens, temperature, topP, stopSequences } = object(inferenceConfig);
  const schema = object(object(object(object(outputConfig)['textFormat'])['structure'])['jsonSchema']);
  const tools = decodeTools(list(object(toolConfig)['tools']).map(object));
  const choice = decodeToolChoice(object(object(toolConfig)['toolChoice']));
  const kept = { ...extras, ...(Object.keys(additional).length > 0 && { additionalModelRequestFields: additional }) };
  const fields = {
    maxTokens,
    temperature,
    topP,
    topK: top_k,
    stop: stopSequences,
    tools: tools.length > 0 ? tools : undefined,
    toolChoice: choice,
    responseFormat: schema['schema']
      ? {
          type: 'json-schema',
          name: text(schema['name']),
          schema: parseObject(text(schema['schema'])) ?? {},
          ...(schema['description'] && { description: text(schema['description']) }),
        }
      : undefined,
    reasoning: decodeReasoning(object(thinking), text(object(output_config)['effort'] ?? reasoning_effort)),
    extras: Object.keys(kept).length > 0 ? { 'bedrock-converse': kept } : undefined,
  };
  return {
    model,
    stream,
    messages: [
      ...(system ? [{ role: 'system', parts: withCache(list(system), decodeText) }] : []),
      ...list(messages).flatMap((message) => decodeMessage(object(message))),
    ],
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
  } as ChatRequest;
}

function decodeReasoning({ type, budget_tokens }: JsonObject, effort: string): JsonObject | undefined {
  if (budget_tokens !== undefined) return { budgetTokens: budget_tokens };
  if (effort) return { effort };
  return type === 'adaptive' ? {} : undefined;
}

/** A cachePoint marks the part before it. */
function withCache<Part extends object>(blocks: Json[], decode: (block: JsonObject) => Part): Part[] {
  const parts: Part[] = [];
  for (const block of blocks.map(object)) {
    const point = block['cachePoint'];
    const last = parts.at(-1);
    if (!point) parts.push(decode(block));
    else if (last) Object.assign(last, { cache: object(point)['ttl'] ? { ttl: object(point)['ttl'] } : {} });
  }
  return parts;
}

const decodeText = (block: JsonObject): TextPart => ({ type: 'text', text: text(block['text']) });

function decodeMessage({ role, content }: JsonObject): Message[] {
  const blocks = list(content);
  if (role === 'assistant') return [{ role: 'assistant', parts: withCache(blocks, decodeAssistantBlock) }];
  const results = blocks.map(object).filter((block) => block['toolResult']);
  const rest = blocks.filter((block) => !object(block)['toolResult']);
  return [
    ...results.map((block) => decodeToolResult(object(block['toolResult']))),
    ...(rest.length > 0 ? [{ role: 'user' as const, parts: withCache(rest, decodeUserBlock) }] : []),
  ];
}

function decodeUserBlock(block: JsonObject): UserPart {
  const image = object(block['image']);
  const document = object(block['document']);
  const audio = object(block['audio']);
  if (block['image']) return { type: 'image', source: decodeSource(image, 'image') };
  if (block['document'])
    return {
      type: 'file',
      source: decodeSource(document, 'application'),
      name: text(document['name']),
      ...(object(document['citations'])['enabled'] === true && { cited: true }),
    };
  if (block['audio'])
    return { type: 'audio', format: text(audio['format']), data: text(object(audio['source'])['bytes']) };
  return decodeText(block);
}

function decodeSource({ format, source }: JsonObject, family: string) {
  const { bytes, s3Location } = object(source);
  if (s3Location) return { url: text(object(s3Location)['uri']) };
  return { data: text(bytes), mediaType: `${family}/${text(format)}` };
}

function decodeAssistantBlock(block: JsonObject): AssistantPart {
  const use = object(block['toolUse']);
  if (block['toolUse'])
    return {
      type: 'tool-call',
      id: text(use['toolUseId']),
      name: text(use['name']),
      arguments: JSON.stringify(use['input'] ?? {}),
    };
  const { reasoningText, redactedContent } = object(block['reasoningContent']);
  if (redactedContent)
    return { type: 'reasoning', text: '', redacted: text(redactedContent), origin: 'bedrock-converse' };
  if (reasoningText) {
    const { text: thought, signature } = object(reasoningText);
    return {
      type: 'reasoning',
      text: text(thought),
      ...(signature && { signature: text(signature) }),
      origin: 'bedrock-converse',
    };
  }
  return decodeText(block);
}

function decodeToolResult({ toolUseId, content, status }: JsonObject): Message {
  const parts = withCache(list(content), decodeUserBlock).filter((part) => part.type !== 'audio');
  return { role: 'tool', toolCallId: text(toolUseId), parts, ...(status === 'error' && { isError: true }) };
}

function decodeTools(wire: JsonObject[]): Tool[] {
  return withCache(wire, ({ toolSpec }) => {
    const { name, description, inputSchema, strict } = object(toolSpec);
    return {
      name: text(name),
      ...(description && { description: text(description) }),
      parameters: object(object(inputSchema)['json']),
      ...(typeof strict === 'boolean' && { strict }),
    };
  });
}

function decodeToolChoice(choice: JsonObject): ToolChoice | undefined {
  if (choice['any']) return 'required';
  if (choice['auto']) return 'auto';
  return choice['tool'] ? { name: text(object(choice['tool'])['name']) } : undefined;
}
