/** Neutral request → body of POST /chat/completions at an upstream. Source: https://platform.openai.com/docs/api-reference/chat/create */
import type {
  AssistantPart,
  ChatRequest,
  FilePart,
  Message,
  ReasoningPart,
  ResponseFormat,
  Source,
  TextPart,
  Tool,
  ToolCallPart,
  ToolChoice,
  UserPart,
} from '../../core/chat.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { encodeReasoningDetail, encodeSignature } from './reply-parts.ts';

/** Where OpenAI-shaped upstreams differ. Every default suits most of them; a provider's file names what is special. */
export type ChatDialect = {
  /** Name of the token limit; OpenAI's newer models refuse the old one. Default `max_tokens`. */
  maxTokens?: 'max_tokens' | 'max_completion_tokens';
  /** How earlier thoughts go back. Default `reasoning_content`, with signed ones in `reasoning_details`. */
  reasoningHistory?: 'reasoning_content' | 'reasoning' | 'omit';
  /** How thought is asked for: OpenAI's `reasoning_effort` (default) or OpenRouter's `reasoning` object. */
  reasoning?: 'effort' | 'object';
  /** `system` turns developer messages into system messages. Default `keep`. */
  developerRole?: 'keep' | 'system';
  /** Ask for usage at the end of a stream. Default true. */
  streamUsage?: boolean;
  /** Send top_k, min_p and the like, which OpenAI itself refuses. Default true. */
  samplers?: boolean;
  /** Send `cache_control` marks. Default true. */
  cacheMarks?: boolean;
  /** Pictures and files in results of tools: OpenAI and most others take them from users only (default), where they follow the results. */
  toolMedia?: 'user' | 'keep';
};

/** `model` goes out as it stands in the request: the gateway has put the provider's own name there. */
export function encodeRequest(request: ChatRequest, dialect: ChatDialect = {}): JsonObject {
  const { maxTokens, reasoning, local } = request;
  const { samplers = true, streamUsage = true } = dialect;
  return defined({
    model: request.model,
    messages: encodeMessages(request.messages, dialect),
    stream: request.stream || undefined,
    stream_options: request.stream && streamUsage ? { include_usage: true } : undefined,
    tools: request.tools?.map((tool) => encodeTool(tool, dialect)),
    tool_choice: request.toolChoice && encodeToolChoice(request.toolChoice),
    parallel_tool_calls: request.parallelToolCalls,
    response_format: request.responseFormat && encodeFormat(request.responseFormat),
    [dialect.maxTokens ?? 'max_tokens']: maxTokens,
    temperature: request.temperature,
    top_p: request.topP,
    frequency_penalty: request.frequencyPenalty,
    presence_penalty: request.presencePenalty,
    seed: request.seed,
    stop: request.stop,
    logprobs: request.logprobs,
    top_logprobs: request.topLogprobs,
    logit_bias: request.logitBias,
    n: request.n,
    ...(reasoning && encodeReasoning(reasoning, dialect)),
    verbosity: request.verbosity,
    prompt_cache_key: request.cacheKey,
    user: request.user,
    metadata: request.metadata,
    service_tier: request.serviceTier,
    ...(samplers && {
      top_k: request.topK,
      min_p: local?.minP,
      typical_p: local?.typicalP,
      repeat_penalty: local?.repeatPenalty,
      repeat_last_n: local?.repeatLastN,
      mirostat: local?.mirostat,
      mirostat_tau: local?.mirostatTau,
      mirostat_eta: local?.mirostatEta,
      grammar: local?.grammar,
    }),
    ...request.extras?.['openai-chat'],
  });
}

function encodeMessages(messages: Message[], dialect: ChatDialect): JsonObject[] {
  if (dialect.toolMedia === 'keep' || !messages.some(hasMedia))
    return messages.map((message) => encodeMessage(message, dialect));
  const wire: JsonObject[] = [];
  /** Of the results so far: no other message may stand between those of one turn. */
  let media: UserPart[] = [];
  const flush = () => {
    if (media.length > 0) wire.push({ role: 'user', content: encodeParts(media, dialect) });
    media = [];
  };
  for (const message of messages) {
    if (message.role !== 'tool') flush();
    if (!hasMedia(message)) {
      wire.push(encodeMessage(message, dialect));
      continue;
    }
    const said = message.parts.filter((part) => part.type === 'text');
    const parts = said.length > 0 ? said : [{ type: 'text' as const, text: 'The result follows below.' }];
    wire.push(encodeMessage({ ...message, parts }, dialect));
    media.push(
      { type: 'text', text: `Part of the result of tool call ${message.toolCallId}:` },
      ...message.parts.filter((part) => part.type !== 'text'),
    );
  }
  flush();
  return wire;
}

const hasMedia = (message: Message): message is Extract<Message, { role: 'tool' }> =>
  message.role === 'tool' && message.parts.some(({ type }) => type !== 'text');

function encodeMessage(message: Message, dialect: ChatDialect): JsonObject {
  switch (message.role) {
    case 'system':
    case 'developer':
      return {
        role: dialect.developerRole === 'system' ? 'system' : message.role,
        content: encodeParts(message.parts, dialect),
        ...nameOf(message),
      };
    case 'user':
      return { role: 'user', content: encodeParts(message.parts, dialect), ...nameOf(message) };
    case 'assistant':
      return encodeAssistant(message.parts, message.name, dialect);
    case 'tool':
      return {
        role: 'tool',
        tool_call_id: message.toolCallId,
        content: encodeParts(message.parts, dialect),
      };
    default:
      return message satisfies never;
  }
}

function encodeAssistant(parts: AssistantPart[], name: string | undefined, dialect: ChatDialect): JsonObject {
  const said = parts.filter((part) => part.type === 'text' || part.type === 'refusal');
  const calls = parts.filter((part) => part.type === 'tool-call');
  const thoughts = parts.filter((part) => part.type === 'reasoning');
  return {
    role: 'assistant',
    content: encodeSaid(said, dialect),
    ...(name && { name }),
    ...encodeThoughts(thoughts, dialect),
    ...(calls.length > 0 && { tool_calls: calls.map((call) => encodeCall(call, dialect)) }),
  };
}

function encodeSaid(said: Extract<AssistantPart, { type: 'text' | 'refusal' }>[], dialect: ChatDialect): Json {
  if (said.length === 0) return null;
  if (said.every((part) => part.type === 'text')) return encodeParts(said, dialect);
  return said.map((part) =>
    part.type === 'refusal' ? { type: 'refusal', refusal: part.text } : encodePart(part, dialect),
  );
}

function encodeThoughts(
  thoughts: ReasoningPart[],
  { reasoningHistory = 'reasoning_content' }: ChatDialect,
): JsonObject {
  if (thoughts.length === 0 || reasoningHistory === 'omit') return {};
  const text = thoughts.map((part) => part.text).join('');
  const signed = thoughts.some((part) => part.signature || part.redacted);
  return {
    ...(text && { [reasoningHistory]: text }),
    ...(signed && {
      reasoning_details: thoughts.map(
        (part, index) => encodeReasoningDetail(part, index) ?? { type: 'reasoning.text', text: part.text, index },
      ),
    }),
  };
}

function encodeCall(call: ToolCallPart, dialect: ChatDialect): JsonObject {
  const { id, name, arguments: text, signature } = call;
  return {
    id,
    type: 'function',
    function: { name, arguments: text },
    ...encodeSignature(signature),
    ...cacheOf(call, dialect),
  };
}

/** One plain text goes as a string: every upstream takes that. */
function encodeParts(parts: (UserPart | TextPart)[], dialect: ChatDialect): Json {
  const [first] = parts;
  if (!first) return '';
  if (parts.length === 1 && first.type === 'text' && !cacheOf(first, dialect)['cache_control']) return first.text;
  return parts.map((part) => encodePart(part, dialect));
}

function encodePart(part: UserPart, dialect: ChatDialect): JsonObject {
  switch (part.type) {
    case 'text':
      return { type: 'text', text: part.text, ...cacheOf(part, dialect) };
    case 'image':
      return {
        type: 'image_url',
        image_url: { url: encodeSource(part.source), ...(part.detail && { detail: part.detail }) },
        ...cacheOf(part, dialect),
      };
    case 'audio':
      return { type: 'input_audio', input_audio: { data: part.data, format: part.format } };
    case 'file':
      return { type: 'file', file: encodeFile(part), ...cacheOf(part, dialect) };
    default:
      return part satisfies never;
  }
}

function encodeFile({ source, name }: FilePart): JsonObject {
  return {
    ...('fileId' in source ? { file_id: source.fileId } : { file_data: encodeSource(source) }),
    ...(name && { filename: name }),
  };
}

const encodeSource = (source: Source) =>
  'url' in source ? source.url : `data:${source.mediaType};base64,${source.data}`;

function encodeTool(tool: Tool, dialect: ChatDialect): JsonObject {
  const { name, description, parameters, strict } = tool;
  return { type: 'function', function: defined({ name, description, parameters, strict }), ...cacheOf(tool, dialect) };
}

function encodeToolChoice(choice: ToolChoice): Json {
  if (typeof choice === 'string') return choice;
  if ('name' in choice) return encodeNamed(choice.name);
  return { type: 'allowed_tools', allowed_tools: { mode: choice.mode, tools: choice.allowed.map(encodeNamed) } };
}

const encodeNamed = (name: string): JsonObject => ({ type: 'function', function: { name } });

function encodeFormat(format: ResponseFormat): JsonObject {
  if (format.type === 'text') return { type: 'text' };
  if (format.type === 'json') return { type: 'json_object' };
  const { name, schema, strict, description } = format;
  return { type: 'json_schema', json_schema: defined({ name, description, schema, strict }) };
}

function encodeReasoning(reasoning: NonNullable<ChatRequest['reasoning']>, dialect: ChatDialect): JsonObject {
  const { effort, budgetTokens, summary } = reasoning;
  if (dialect.reasoning === 'object')
    return { reasoning: defined({ enabled: effort !== 'none', effort, max_tokens: budgetTokens, summary }) };
  const level = effort ?? (budgetTokens === undefined ? 'medium' : effortOf(budgetTokens));
  return { reasoning_effort: level };
}

/** A budget in the words of upstreams that know only levels. */
const effortOf = (budget: number) => (budget <= 1024 ? 'low' : budget <= 8192 ? 'medium' : 'high');

function cacheOf({ cache }: { cache?: { ttl?: '5m' | '1h' } }, { cacheMarks = true }: ChatDialect): JsonObject {
  return cache && cacheMarks ? { cache_control: { type: 'ephemeral', ...cache } } : {};
}

const nameOf = ({ name }: { name?: string }): JsonObject => (name ? { name } : {});

function defined(fields: { [key: string]: Json | undefined }): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as JsonObject;
}
