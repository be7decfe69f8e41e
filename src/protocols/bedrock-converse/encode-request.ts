/**
 * Core → Bedrock's Converse body. Pure.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html (read 2026-11)
 */
import type { AssistantPart, ChatRequest, Message, TextPart, Tool, UserPart } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { joinBlankText } from '../blank-text.ts';
import { object, parseObject } from '../read.ts';
import { encodeFormat } from './encode-format.ts';
import { encodeModelFields, takesSampling, thinksUnbound } from './model-fields.ts';

/**
 * Request → body of `model/NAME/converse` and `…/converse-stream`; the model is in the path.
 * Throws unsupported_capability for what Converse cannot do and the answer would show: log-probabilities, biased tokens, files by address.
 */
export function encodeRequest(request: ChatRequest): JsonObject {
  refuseImpossible(request);
  const { additionalModelRequestFields, ...extras } = request.extras?.['bedrock-converse'] ?? {};
  const { outputConfig, instruction } = encodeFormat(request);
  const system = [
    ...request.messages.flatMap((message) =>
      message.role === 'system' || message.role === 'developer' ? message.parts.flatMap(encodeText) : [],
    ),
    ...(instruction ? [{ text: instruction }] : []),
  ];
  const additional = { ...encodeModelFields(request), ...object(additionalModelRequestFields) };
  const inference = encodeInference(request);
  const toolConfig = encodeTools(request);
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

function refuseImpossible({ logprobs, logitBias }: ChatRequest) {
  const refuse = (param: string, what: string) =>
    new ViaductError('unsupported_capability', `Bedrock cannot ${what}.`, { param });
  if (logprobs) throw refuse('logprobs', 'give log-probabilities');
  if (logitBias && Object.keys(logitBias).length > 0) throw refuse('logit_bias', 'bias single tokens');
}

/** Converse wants turns of user and assistant in alternation, a turn's tool results together. */
function encodeMessages(messages: Message[]): Json[] {
  const turns: { role: 'user' | 'assistant'; content: Json[] }[] = [];
  const names = new Set<string>();
  for (const message of messages) {
    const role = message.role === 'assistant' ? 'assistant' : 'user';
    const content = encodeContent(message, names);
    const last = turns.at(-1);
    if (content.length === 0) continue;
    if (last?.role === role) last.content.push(...content);
    else turns.push({ role, content });
  }
  return turns;
}

function encodeContent(message: Message, names: Set<string>): Json[] {
  switch (message.role) {
    case 'system':
    case 'developer':
      return [];
    case 'user':
      return message.parts.flatMap((part) => encodeUserPart(part, names));
    case 'assistant':
      return joinBlankText(message.parts).flatMap(encodeAssistantPart);
    case 'tool':
      return [
        {
          toolResult: {
            toolUseId: idOf(message.toolCallId),
            content: message.parts.flatMap((part) => encodeUserPart(part, names)),
            status: message.isError ? 'error' : 'success',
          },
        },
      ];
  }
}

/** Ids that others gave their calls, in the letters Converse takes: the same one in call and result. */
const idOf = (id: string) => id.replaceAll(/[^\w-]/g, '_').slice(0, 64);

const cachePoint = (part: { cache?: { ttl?: '5m' | '1h' } }): Json[] =>
  part.cache ? [{ cachePoint: { type: 'default', ...(part.cache.ttl && { ttl: part.cache.ttl }) } }] : [];

/** Blank text is refused by Converse. */
const encodeText = (part: TextPart): Json[] => (part.text.trim() ? [{ text: part.text }, ...cachePoint(part)] : []);

function encodeUserPart(part: UserPart, names: Set<string>): Json[] {
  switch (part.type) {
    case 'text':
      return encodeText(part);
    case 'image':
      return [{ image: { format: formatOf(part), source: bytesOf(part) } }, ...cachePoint(part)];
    case 'file': {
      const document = {
        format: formatOf(part),
        name: documentName(part.name, names),
        source: bytesOf(part),
        ...(part.cited && { citations: { enabled: true } }),
      };
      return [{ document }, ...cachePoint(part)];
    }
    case 'audio':
      return [{ audio: { format: part.format, source: { bytes: part.data } } }];
  }
}

/** Few characters are taken, 200 of them, and no name twice. `names`: those of the request so far. */
function documentName(given = 'document', names: Set<string>): string {
  const plain = given
    .replace(/\.\w+$/, '')
    .replaceAll(/[^A-Za-z0-9\s()[\]-]/g, '-')
    .replaceAll(/\s+/g, ' ')
    .slice(0, 190);
  const base = plain.trim() === '' ? 'document' : plain;
  let name = base;
  for (let copy = 2; names.has(name); copy++) name = `${base} (${copy})`;
  names.add(name);
  return name;
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
    case 'image':
      // Converse has pictures in the user's turns only.
      return [];
    case 'tool-call':
      return [
        { toolUse: { toolUseId: idOf(part.id), name: part.name, input: parseObject(part.arguments) ?? {} } },
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

function encodeTools({ tools = [], toolChoice, messages }: ChatRequest): JsonObject | undefined {
  const used = toolsUsed(messages);
  const offered = toolChoice === 'none' ? [] : tools.filter(({ name }) => isAllowed(name, toolChoice));
  // A conversation with calls in it must name its tools, even where no more may be called; Converse has no "none".
  if (offered.length === 0)
    return used.length === 0 ? undefined : { tools: (tools.length > 0 ? tools : used).flatMap(encodeTool) };
  const choice = encodeToolChoice(toolChoice);
  return { tools: offered.flatMap(encodeTool), ...(choice && { toolChoice: choice }) };
}

const isAllowed = (name: string, choice: ChatRequest['toolChoice']) =>
  typeof choice !== 'object' || !('allowed' in choice) || choice.allowed.includes(name);

function toolsUsed(messages: Message[]): Tool[] {
  const calls = messages.flatMap((message) =>
    message.role === 'assistant' ? message.parts.filter((part) => part.type === 'tool-call') : [],
  );
  return [...new Set(calls.map(({ name }) => name))].map((name) => ({ name }));
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

function encodeInference(request: ChatRequest): JsonObject {
  const { maxTokens, temperature, topP, stop } = request;
  const sampling = takesSampling(request);
  return {
    ...(maxTokens !== undefined && !thinksUnbound(request) && { maxTokens }),
    ...(temperature !== undefined && sampling !== 'none' && { temperature: Math.min(1, temperature) }),
    ...(topP !== undefined && (sampling === 'both' || (sampling === 'one' && temperature === undefined)) && { topP }),
    ...(stop && { stopSequences: stop }),
  };
}
