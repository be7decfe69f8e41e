/** Messages of a chat request: wire → core. Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages */
import { z } from 'zod';
import type {
  AssistantPart,
  FilePart,
  Message,
  Protocol,
  ReasoningPart,
  Source,
  TextPart,
  ToolCallPart,
  UserPart,
} from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import { jsonObject } from '../validate.ts';
import { encodeFreeText } from './custom-tools.ts';
import { reasoningFormats } from './decode-reply.ts';

const cacheControl = z.object({ type: z.string().optional(), ttl: z.enum(['5m', '1h']).nullish() }).nullish();

const textPart = z.object({ type: z.literal('text'), text: z.string(), cache_control: cacheControl });
const imagePart = z.object({
  type: z.literal('image_url'),
  // Bare strings are what many Ollama clients send.
  image_url: z.union([
    z.string(),
    z.object({ url: z.string(), detail: z.enum(['auto', 'low', 'high', 'original']).nullish() }),
  ]),
  cache_control: cacheControl,
});
const audioPart = z.object({
  type: z.literal('input_audio'),
  input_audio: z.object({ data: z.string(), format: z.string() }),
});
const filePart = z.object({
  type: z.literal('file'),
  file: z.object({ file_data: z.string().nullish(), file_id: z.string().nullish(), filename: z.string().nullish() }),
  cache_control: cacheControl,
});
const refusalPart = z.object({ type: z.literal('refusal'), refusal: z.string() });

const text = z.union([z.string(), z.array(textPart)]);
const userContent = z.union([
  z.string(),
  z.array(z.discriminatedUnion('type', [textPart, imagePart, audioPart, filePart])).min(1),
]);
const assistantContent = z.union([z.string(), z.array(z.discriminatedUnion('type', [textPart, refusalPart]))]);
const toolContent = z.union([z.string(), z.array(z.discriminatedUnion('type', [textPart, imagePart, filePart]))]);

const functionCall = z.object({
  name: z.string().min(1),
  arguments: z.union([z.string(), jsonObject]),
});
const toolCall = z.object({
  id: z.string().nullish(),
  type: z.enum(['function', 'custom']).nullish(),
  function: functionCall.optional(),
  custom: z.object({ name: z.string().min(1), input: z.string() }).optional(),
  extra_content: z.object({ google: z.object({ thought_signature: z.string().nullish() }).nullish() }).nullish(),
  cache_control: cacheControl,
});
const reasoningDetail = z.object({
  type: z.string().nullish(),
  text: z.string().nullish(),
  summary: z.string().nullish(),
  data: z.string().nullish(),
  signature: z.string().nullish(),
  id: z.string().nullish(),
  format: z.string().nullish(),
});

const name = z.string().nullish();

export const wireMessage = z.discriminatedUnion('role', [
  z.object({ role: z.literal('system'), content: text, name }),
  z.object({ role: z.literal('developer'), content: text, name }),
  z.object({ role: z.literal('user'), content: userContent, name }),
  z.object({
    role: z.literal('assistant'),
    content: assistantContent.nullish(),
    refusal: z.string().nullish(),
    name,
    tool_calls: z.array(toolCall).nullish(),
    function_call: functionCall.nullish(),
    reasoning_content: z.string().nullish(),
    reasoning: z.string().nullish(),
    reasoning_details: z.array(reasoningDetail).nullish(),
    images: z.array(imagePart).nullish(),
  }),
  z.object({ role: z.literal('tool'), content: toolContent.nullish(), tool_call_id: z.string() }),
  z.object({ role: z.literal('function'), content: z.string().nullish(), name: z.string() }),
]);

type WireMessage = z.infer<typeof wireMessage>;
type Wire<Role extends WireMessage['role']> = Extract<WireMessage, { role: Role }>;

/** Wire messages → core. Throws invalid_request or invalid_image with `param`. */
export function decodeMessages(messages: WireMessage[]): Message[] {
  let legacyCall = '';
  return messages.map((message, at): Message => {
    const where = `messages[${at}].content`;
    switch (message.role) {
      case 'system':
      case 'developer':
        return { role: message.role, parts: decodeText(message.content), ...nameOf(message) };
      case 'user':
        return { role: 'user', parts: decodeParts(message.content, where), ...nameOf(message) };
      case 'assistant':
        if (message.function_call) legacyCall = `call_${message.function_call.name}_${at}`;
        return { role: 'assistant', parts: decodeAssistant(message, legacyCall, at), ...nameOf(message) };
      case 'tool':
        return {
          role: 'tool',
          toolCallId: message.tool_call_id,
          parts: decodeParts(message.content, where) as (TextPart | FilePart)[],
        };
      case 'function':
        // The deprecated result names its function only; it answers the call before it.
        return {
          role: 'tool',
          toolCallId: legacyCall || `call_${message.name}`,
          parts: decodeText(message.content ?? ''),
        };
      default:
        return message satisfies never;
    }
  });
}

function decodeAssistant(message: Wire<'assistant'>, legacyCall: string, at: number): AssistantPart[] {
  const { content, refusal, tool_calls, function_call, images } = message;
  const parts: AssistantPart[] = decodeReasoning(message);
  const saysMore = Boolean(tool_calls?.length || function_call || refusal || images?.length);
  if (content == null && !saysMore && parts.length === 0)
    throw new ViaductError(
      'invalid_request',
      `Invalid value for 'messages[${at}].content': an assistant's message needs content or tool_calls.`,
      { param: `messages[${at}].content` },
    );
  if (typeof content === 'string') {
    if (content !== '' || !saysMore) parts.push({ type: 'text', text: content });
  } else
    for (const part of content ?? [])
      parts.push(part.type === 'text' ? decodeTextPart(part) : { type: 'refusal', text: part.refusal });
  parts.push(...decodeImages(images ?? [], `messages[${at}].images`));
  if (refusal) parts.push({ type: 'refusal', text: refusal });
  for (const [index, call] of (tool_calls ?? []).entries())
    parts.push(decodeCall(call, `call_${at}_${index}`, `messages[${at}].tool_calls[${index}]`));
  if (function_call) parts.push({ type: 'tool-call', id: legacyCall, ...decodeFunctionCall(function_call) });
  return parts;
}

/** Pictures of an earlier answer, as our own answers carry them, and OpenRouter's. */
const decodeImages = (images: z.infer<typeof imagePart>[], where: string) =>
  images.map(({ image_url }, index) => {
    const url = typeof image_url === 'string' ? image_url : image_url.url;
    return { type: 'image' as const, source: decodeUrl(url, `${where}[${index}].image_url.url`) };
  });

function decodeCall(call: z.infer<typeof toolCall>, fallbackId: string, param: string): ToolCallPart {
  const { function: fn, custom } = call;
  const what = fn ? decodeFunctionCall(fn) : custom && { name: custom.name, arguments: encodeFreeText(custom.input) };
  if (!what)
    throw new ViaductError('invalid_request', `Missing required parameter: '${param}.function'.`, {
      param: `${param}.function`,
    });
  const signature = call.extra_content?.google?.thought_signature;
  return {
    type: 'tool-call',
    id: call.id || fallbackId,
    ...what,
    ...(signature && { signature }),
    ...cacheOf(call.cache_control),
  };
}

function decodeFunctionCall({ name, arguments: given }: z.infer<typeof functionCall>) {
  return { name, arguments: typeof given === 'string' ? given : JSON.stringify(given) };
}

function decodeReasoning({ reasoning_content, reasoning, reasoning_details }: Wire<'assistant'>): ReasoningPart[] {
  const plain = reasoning_content || reasoning || '';
  const parts = (reasoning_details ?? []).map((detail): ReasoningPart => {
    const origin: Protocol | undefined = reasoningFormats.find(([format]) => format === detail.format)?.[1];
    return {
      type: 'reasoning',
      text: detail.text || detail.summary || '',
      ...(detail.id && { id: detail.id }),
      ...(detail.signature && { signature: detail.signature }),
      ...(detail.data && { redacted: detail.data }),
      ...(origin && { origin }),
    };
  });
  if (parts.length === 0) return plain ? [{ type: 'reasoning', text: plain }] : [];
  // A streamed signature comes without its text, which the client has gathered as plain text.
  if (plain && parts.every((part) => part.text === '')) {
    const signed = parts.find((part) => part.signature) ?? parts[0];
    if (signed) signed.text = plain;
  }
  return parts;
}

function decodeText(content: z.infer<typeof text> | null | undefined): TextPart[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return (content ?? []).map(decodeTextPart);
}

function decodeTextPart({ text, cache_control }: z.infer<typeof textPart>): TextPart {
  return { type: 'text', text, ...cacheOf(cache_control) };
}

function decodeParts(content: z.infer<typeof userContent> | null | undefined, where: string): UserPart[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return (content ?? []).map((part, at): UserPart => {
    switch (part.type) {
      case 'text':
        return decodeTextPart(part);
      case 'image_url': {
        const { url, detail } = typeof part.image_url === 'string' ? { url: part.image_url } : part.image_url;
        return {
          type: 'image',
          source: decodeUrl(url, `${where}[${at}].image_url.url`),
          ...(detail && { detail: detail === 'original' ? 'high' : detail }),
          ...cacheOf(part.cache_control),
        };
      }
      case 'input_audio':
        return { type: 'audio', data: part.input_audio.data, format: part.input_audio.format };
      case 'file':
        return decodeFile(part, `${where}[${at}].file`);
      default:
        return part satisfies never;
    }
  });
}

function decodeFile({ file, cache_control }: z.infer<typeof filePart>, where: string): FilePart {
  const rest = { ...(file.filename && { name: file.filename }), ...cacheOf(cache_control) };
  if (file.file_id) return { type: 'file', source: { fileId: file.file_id }, ...rest };
  const { file_data } = file;
  if (!file_data)
    throw new ViaductError('invalid_request', `Missing required parameter: '${where}.file_data'.`, { param: where });
  // OpenAI wants a data URL; plain base64 is common and can only be the PDF that OpenAI takes.
  const source: Source = /^(data:|https?:)/i.test(file_data)
    ? decodeUrl(file_data, `${where}.file_data`)
    : { data: file_data, mediaType: 'application/pdf' };
  return { type: 'file', source, ...rest };
}

const dataUrl = /^data:([\w.+-]+\/[\w.+-]+)?(?:;[\w-]+=[^;,]*)*;base64,/i;

function decodeUrl(url: string, param: string): Source {
  if (/^https?:\/\//i.test(url)) return { url };
  const head = dataUrl.exec(url.slice(0, 300));
  if (!head)
    throw new ViaductError('invalid_image', `'${param}' must be an http(s) URL or a data URL with base64 content.`, {
      param,
    });
  return { data: url.slice(head[0].length), mediaType: (head[1] ?? 'application/octet-stream').toLowerCase() };
}

function cacheOf(control: z.infer<typeof cacheControl>): { cache?: { ttl?: '5m' | '1h' } } {
  return control ? { cache: control.ttl ? { ttl: control.ttl } : {} } : {};
}

const nameOf = ({ name }: { name?: string | null | undefined }) => (name ? { name } : {});
