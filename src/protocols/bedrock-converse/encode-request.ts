/**
 * Core → Bedrock's Converse body. Pure.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html (read 2026-11)
 */
import type {
  AssistantPart,
  ChatRequest,
  Message,
  ReasoningEffort,
  TextPart,
  Tool,
  UserPart,
} from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { object, parseObject } from '../read.ts';

/** Request → body of `model/NAME/converse` and `…/converse-stream`; the model is in the path. */
export function encodeRequest(request: ChatRequest): JsonObject {
  const { additionalModelRequestFields, ...extras } = request.extras?.['bedrock-converse'] ?? {};
  const system = request.messages.flatMap((message) =>
    message.role === 'system' || message.role === 'developer' ? message.parts.flatMap(encodeText) : [],
  );
  const additional = { ...encodeReasoning(request), ...topK(request), ...object(additionalModelRequestFields) };
  const inference = encodeInference(request);
  const toolConfig = encodeTools(request);
  const outputConfig = encodeFormat(request);
  return {
    messages: encodeMessages(request.messages),
    ...(system.length > 0 && { system }),
    ...(Object.keys(inference).length > 0 && { inferenceConfig: inference }),
    ...(toolConfig && { toolConfig }),
    ...(outputConfig && { outputConfig }),
    ...(Object.keys(additional).length > 0 && { additionalModelRequestFields: additional }),
    ...extras,
  };
}

/** Converse wants turns of user and assistant in alternation, a turn's tool results together. */
function encodeMessages(messages: Message[]): Json[] {
  const turns: { role: 'user' | 'assistant'; content: Json[] }[] = [];
  for (const message of messages) {
    const role = message.role === 'assistant' ? 'assistant' : 'user';
    const content = encodeContent(message);
    const last = turns.at(-1);
    if (content.length === 0) continue;
    if (last?.role === role) last.content.push(...content);
    else turns.push({ role, content });
  }
  return turns;
}

function encodeContent(message: Message): Json[] {
  switch (message.role) {
    case 'system':
    case 'developer':
      return [];
    case 'user':
      return message.parts.flatMap(encodeUserPart);
    case 'assistant':
      return message.parts.flatMap(encodeAssistantPart);
    case 'tool':
      return [
        {
          toolResult: {
            toolUseId: message.toolCallId,
            content: message.parts.flatMap((part) => encodeUserPart(part)),
            status: message.isError ? 'error' : 'success',
          },
        },
      ];
  }
}

const cachePoint = (part: { cache?: { ttl?: '5m' | '1h' } }): Json[] =>
  part.cache ? [{ cachePoint: { type: 'default', ...(part.cache.ttl && { ttl: part.cache.ttl }) } }] : [];

/** Blank text is refused by Converse. */
const encodeText = (part: TextPart): Json[] => (part.text.trim() ? [{ text: part.text }, ...cachePoint(part)] : []);

function encodeUserPart(part: UserPart): Json[] {
  switch (part.type) {
    case 'text':
      return encodeText(part);
    case 'image':
      return [{ image: { format: formatOf(part), source: bytesOf(part) } }, ...cachePoint(part)];
    case 'file': {
      const name = (part.name ?? 'document').replace(/\.\w+$/, '').replaceAll(/[^\w\s()[\]-]/g, '-');
      return [{ document: { format: formatOf(part), name, source: bytesOf(part) } }, ...cachePoint(part)];
    }
    case 'audio':
      return [{ audio: { format: part.format, source: { bytes: part.data } } }];
  }
}

type MediaPart = Extract<UserPart, { type: 'image' | 'file' }>;

function bytesOf({ type, source }: MediaPart): Json {
  if ('data' in source) return { bytes: source.data };
  if ('url' in source && source.url.startsWith('s3://')) return { s3Location: { uri: source.url } };
  throw new ViaductError(
    'unsupported_capability',
    `Bedrock takes the bytes of ${type === 'image' ? 'an image' : 'a file'}, not its address: send it as base64.`,
  );
}

function formatOf({ source, type }: MediaPart): string {
  const mediaType = 'mediaType' in source ? source.mediaType : type === 'image' ? 'image/png' : 'application/pdf';
  const subtype = mediaType.split('/')[1] ?? '';
  return documentFormats[subtype] ?? subtype;
}

const documentFormats: Record<string, string> = {
  plain: 'txt',
  markdown: 'md',
  msword: 'doc',
  'vnd.openxmlformats-officedocument.wordprocessingml.document': 'docx',
  'vnd.ms-excel': 'xls',
  'vnd.openxmlformats-officedocument.spreadsheetml.sheet': 'xlsx',
};

function encodeAssistantPart(part: AssistantPart): Json[] {
  switch (part.type) {
    case 'text':
      return encodeText(part);
    case 'refusal':
      return encodeText({ type: 'text', text: part.text });
    case 'tool-call':
      return [
        { toolUse: { toolUseId: part.id, name: part.name, input: parseObject(part.arguments) ?? {} } },
        ...cachePoint(part),
      ];
    case 'reasoning':
      if (part.origin !== 'bedrock-converse') return [];
      if (part.redacted) return [{ reasoningContent: { redactedContent: part.redacted } }];
      return part.signature
        ? [{ reasoningContent: { reasoningText: { text: part.text, signature: part.signature } } }]
        : [{ reasoningContent: { reasoningText: { text: part.text } } }];
  }
}

function encodeTools({ tools, toolChoice }: ChatRequest): JsonObject | undefined {
  const allowed = typeof toolChoice === 'object' && 'allowed' in toolChoice ? new Set(toolChoice.allowed) : undefined;
  const offered = (tools ?? []).filter(({ name }) => !allowed || allowed.has(name));
  // Converse has no "none": without tools, no call.
  if (offered.length === 0 || toolChoice === 'none') return undefined;
  const choice = encodeToolChoice(toolChoice);
  return { tools: offered.flatMap(encodeTool), ...(choice && { toolChoice: choice }) };
}

const encodeTool = (tool: Tool): Json[] => [
  {
    toolSpec: {
      name: tool.name,
      ...(tool.description && { description: tool.description }),
      inputSchema: { json: tool.parameters ?? { type: 'object', properties: {} } },
      ...(tool.strict !== undefined && { strict: tool.strict }),
    },
  },
  ...cachePoint(tool),
];

function encodeToolChoice(choice: ChatRequest['toolChoice']): JsonObject | undefined {
  if (choice === undefined || choice === 'none') return undefined;
  if (choice === 'required') return { any: {} };
  if (choice === 'auto') return { auto: {} };
  if ('name' in choice) return { tool: { name: choice.name } };
  return choice.mode === 'required' ? { any: {} } : { auto: {} };
}

function encodeInference({ maxTokens, temperature, topP, stop }: ChatRequest): JsonObject {
  return {
    ...(maxTokens !== undefined && { maxTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(stop && { stopSequences: stop }),
  };
}

const topK = ({ topK, model }: ChatRequest): JsonObject => {
  if (topK === undefined) return {};
  return /nova/.test(model) ? { inferenceConfig: { topK } } : { top_k: topK };
};

function encodeFormat({ responseFormat: format }: ChatRequest): JsonObject | undefined {
  if (format?.type !== 'json-schema') return undefined;
  const { name, schema, description } = format;
  return {
    textFormat: {
      type: 'json_schema',
      structure: { jsonSchema: { name, schema: JSON.stringify(schema), ...(description && { description }) } },
    },
  };
}

/** Thinking is a field of the model, not of Converse: Claude's, and the effort of the others. */
function encodeReasoning({ reasoning, model, maxTokens }: ChatRequest): JsonObject {
  if (!reasoning) return {};
  const { effort, budgetTokens } = reasoning;
  if (!/anthropic|claude/.test(model)) return effort && effort !== 'none' ? { reasoning_effort: effort } : {};
  if (effort === 'none') return {};
  const wanted = budgetTokens ?? budgets[effort ?? 'medium'];
  const budget = maxTokens === undefined ? wanted : Math.max(1024, Math.min(wanted, maxTokens - 1));
  return { thinking: { type: 'enabled', budget_tokens: budget } };
}

const budgets: Record<Exclude<ReasoningEffort, 'none'>, number> = {
  minimal: 1024,
  low: 1024,
  medium: 8192,
  high: 24_576,
  xhigh: 32_768,
};
