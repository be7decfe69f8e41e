/** Items ⇄ neutral messages. Pure. */
import type {
  AssistantPart,
  FilePart,
  ImagePart,
  Message,
  ReasoningPart,
  Source,
  TextPart,
  UserPart,
} from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { mediaTypeOf } from '../picture.ts';
import type { InputContent, Item, ReasoningItem } from './wire.ts';

/** Opens what the server sealed: a reasoning item's `encrypted_content` → the thought. Throws invalid_encrypted_content. */
export type OpenReasoning = (encrypted: string) => ReasoningPart;

/** Thoughts as a provider of this protocol sealed them: opaque here, given back to it unchanged. */
export const foreignReasoning: OpenReasoning = (signature) => ({
  type: 'reasoning',
  text: '',
  signature,
  origin: 'openai-responses',
});

/**
 * Items → messages. Items of the assistant that follow each other are one turn of it, as chat templates expect; a change of
 * phase starts a new message. Throws invalid_request for a tool output that answers no call.
 */
export function decodeItems(items: readonly Item[], openReasoning: OpenReasoning = foreignReasoning): Message[] {
  const messages: Message[] = [];
  const calls = new Set<string>();

  const assistant = (part: AssistantPart[], phase?: 'commentary' | 'final_answer') => {
    const last = messages.at(-1);
    if (last?.role === 'assistant' && (!phase || !last.phase || last.phase === phase)) {
      last.parts.push(...part);
      if (phase) last.phase = phase;
    } else messages.push({ role: 'assistant', parts: part, ...(phase && { phase }) });
  };

  for (const item of items) {
    switch (item.type) {
      case 'message':
        if (item.role === 'assistant') {
          const parts = item.content.map(
            (part): AssistantPart =>
              part.type === 'refusal' ? { type: 'refusal', text: part.refusal } : { type: 'text', text: part.text },
          );
          assistant(parts, item.phase);
        } else if (item.role === 'user') messages.push({ role: 'user', parts: item.content.map(decodePart) });
        else
          messages.push({
            role: item.role,
            parts: item.content.flatMap((part): TextPart[] =>
              part.type === 'input_text' ? [{ type: 'text', text: part.text }] : [],
            ),
          });
        break;
      case 'reasoning':
        assistant(decodeReasoning(item, openReasoning));
        break;
      case 'function_call':
        calls.add(item.call_id);
        assistant([{ type: 'tool-call', id: item.call_id, name: item.name, arguments: item.arguments }]);
        break;
      case 'custom_tool_call':
        calls.add(item.call_id);
        assistant([
          { type: 'tool-call', id: item.call_id, name: item.name, arguments: JSON.stringify({ input: item.input }) },
        ]);
        break;
      case 'function_call_output':
      case 'custom_tool_call_output': {
        if (!calls.has(item.call_id))
          throw new ViaductError(
            'invalid_request',
            `No tool call found for function call output with call_id ${item.call_id}.`,
            { param: 'input' },
          );
        const parts =
          typeof item.output === 'string'
            ? [{ type: 'text' as const, text: item.output }]
            : item.output.map(decodePart).filter((part) => part.type !== 'audio');
        messages.push({ role: 'tool', toolCallId: item.call_id, parts });
        break;
      }
      case 'compaction':
        throw new ViaductError('invalid_encrypted_content', 'This compaction item was not made by this server.', {
          param: 'input',
        });
      case 'image_generation_call':
        if (typeof item.result === 'string')
          assistant([{ type: 'image', source: { data: item.result, mediaType: mediaTypeOf(item.result) } }]);
        break;
      default:
        // A provider's own kind of item, stored with an answer of it: other models do not need it.
        item satisfies never;
    }
  }
  return messages;
}

function decodeReasoning(item: ReasoningItem, open: OpenReasoning): ReasoningPart[] {
  const text = (item.content?.length ? item.content : item.summary).map((part) => part.text).join('\n\n');
  if (!item.encrypted_content) return text ? [{ type: 'reasoning', text, id: item.id }] : [];
  const opened = open(item.encrypted_content);
  return [{ ...opened, text: opened.text || text, id: opened.id ?? item.id }];
}

function decodePart(part: InputContent): UserPart {
  switch (part.type) {
    case 'input_text':
      return { type: 'text', text: part.text };
    case 'input_image':
      if (!part.image_url)
        throw new ViaductError('unsupported_parameter', 'Files are not kept here: send the picture as image_url.', {
          param: 'input',
        });
      return {
        type: 'image',
        source: decodeSource(part.image_url),
        ...(part.detail !== 'auto' && { detail: part.detail }),
      };
    case 'input_audio':
      return { type: 'audio', ...part.input_audio };
    case 'input_file': {
      const source = part.file_url
        ? { url: part.file_url }
        : part.file_data
          ? decodeSource(part.file_data, 'application/octet-stream')
          : { fileId: part.file_id ?? '' };
      return { type: 'file', source, ...(part.filename && { name: part.filename }) };
    }
    default:
      return part satisfies never;
  }
}

/** A data: URL or a plain one. Base64 without `data:` is taken too where `bareType` says what it is. */
function decodeSource(url: string, bareType?: string): Source {
  const data = /^data:([^;,]*)(?:;[^;,]*)*;base64,/i.exec(url.slice(0, 256));
  if (data) return { data: url.slice(data[0].length), mediaType: data[1] || 'application/octet-stream' };
  if (bareType && !/^https?:/i.test(url)) return { data: url, mediaType: bareType };
  return { url };
}

/** Messages → the `input` of a request to a provider of this protocol. Other providers' sealed thoughts stay out of it. */
export function encodeMessages(messages: readonly Message[]): JsonObject[] {
  return messages.flatMap((message): JsonObject[] => {
    switch (message.role) {
      case 'system':
      case 'developer':
        return [{ type: 'message', role: message.role, content: message.parts.map(encodePart) }];
      case 'user':
        return [{ type: 'message', role: 'user', content: message.parts.map(encodePart) }];
      case 'tool':
        return [{ type: 'function_call_output', call_id: message.toolCallId, output: encodeOutput(message.parts) }];
      case 'assistant':
        return encodeAssistant(message.parts, message.phase);
      default:
        return message satisfies never;
    }
  });
}

function encodeAssistant(parts: AssistantPart[], phase?: string): JsonObject[] {
  const items: JsonObject[] = [];
  for (const part of parts) {
    switch (part.type) {
      case 'text':
      case 'refusal': {
        const content =
          part.type === 'text' ? { type: 'output_text', text: part.text } : { type: 'refusal', refusal: part.text };
        const last = items.at(-1);
        if (last?.['role'] === 'assistant') (last['content'] as Json[]).push(content);
        else items.push({ type: 'message', role: 'assistant', content: [content], ...(phase && { phase }) });
        break;
      }
      case 'tool-call':
        items.push({ type: 'function_call', call_id: part.id, name: part.name, arguments: part.arguments });
        break;
      case 'reasoning':
        if (part.origin === 'openai-responses') items.push(encodeReasoning(part));
        break;
      case 'image':
        // Only pictures of its own may stand in an answer here.
        break;
      default:
        part satisfies never;
    }
  }
  return items;
}

/** Sealed where the provider sealed it; servers of open models give and take the plain thought. */
export function encodeReasoning({ id, text, signature }: ReasoningPart): JsonObject {
  return {
    type: 'reasoning',
    ...(id && { id }),
    summary: signature && text ? [{ type: 'summary_text', text }] : [],
    ...(signature ? { encrypted_content: signature } : { content: [{ type: 'reasoning_text', text }] }),
  };
}

function encodeOutput(parts: (TextPart | ImagePart | FilePart)[]): Json {
  const [only] = parts;
  return parts.length === 1 && only?.type === 'text' ? only.text : parts.map(encodePart);
}

function encodePart(part: UserPart): JsonObject {
  switch (part.type) {
    case 'text':
      return { type: 'input_text', text: part.text };
    case 'image':
      return { type: 'input_image', image_url: encodeSource(part.source), detail: part.detail ?? 'auto' };
    case 'audio':
      return { type: 'input_audio', input_audio: { data: part.data, format: part.format } };
    case 'file': {
      const name = part.name ? { filename: part.name } : {};
      if ('fileId' in part.source) return { type: 'input_file', file_id: part.source.fileId };
      if ('url' in part.source) return { type: 'input_file', file_url: part.source.url, ...name };
      return { type: 'input_file', file_data: encodeSource(part.source), ...name };
    }
    default:
      return part satisfies never;
  }
}

const encodeSource = (source: Source) =>
  'url' in source ? source.url : `data:${source.mediaType};base64,${source.data}`;
