/** `messages` and `system` of a request → core messages. Source: https://docs.anthropic.com/en/api/messages#body-messages */
import { z } from 'zod';
import type { AssistantPart, FilePart, ImagePart, Message, TextPart, UserPart } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import { invalid, jsonObject, validate } from '../validate.ts';
import { openSignature } from './signature.ts';

/** `cache_control` → the mark that core parts carry. */
export const cacheMark = z
  .looseObject({ type: z.string(), ttl: z.enum(['5m', '1h']).nullish() })
  .nullish()
  .transform((mark) => (mark ? { cache: mark.ttl ? { ttl: mark.ttl } : {} } : {}));

/** `content` is read block by block, so that a problem names its block. */
export const wireMessage = z.looseObject({
  role: z.enum(['user', 'assistant', 'system']),
  content: z.unknown().optional(),
});
const anyBlock = z.looseObject({ type: z.string() });

const textBlock = z.object({ text: z.string(), cache_control: cacheMark });
const imageBlock = z.object({
  source: z.discriminatedUnion('type', [
    z.object({ type: z.literal('base64'), media_type: z.string(), data: z.string() }),
    z.object({ type: z.literal('url'), url: z.string() }),
    z.object({ type: z.literal('file'), file_id: z.string() }),
  ]),
  cache_control: cacheMark,
});
const documentBlock = z.object({
  source: z.discriminatedUnion('type', [
    z.object({ type: z.literal('base64'), media_type: z.string(), data: z.string() }),
    z.object({ type: z.literal('text'), media_type: z.string(), data: z.string() }),
    z.object({ type: z.literal('url'), url: z.string() }),
    z.object({ type: z.literal('file'), file_id: z.string() }),
    z.object({ type: z.literal('content'), content: z.unknown().optional() }),
  ]),
  title: z.string().nullish(),
  context: z.string().nullish(),
  citations: z.object({ enabled: z.boolean().nullish() }).nullish(),
  cache_control: cacheMark,
});
const searchResultBlock = z.object({
  source: z.string(),
  title: z.string(),
  content: z.array(z.object({ text: z.string() })),
  cache_control: cacheMark,
});
const thinkingBlock = z.object({ thinking: z.string(), signature: z.string().nullish() });
const redactedBlock = z.object({ data: z.string() });
const toolUseBlock = z.object({
  id: z.string().min(1),
  name: z.string().min(1),
  input: jsonObject,
  cache_control: cacheMark,
});
const toolResultBlock = z.object({
  tool_use_id: z.string().min(1),
  content: z.unknown().optional(),
  is_error: z.boolean().nullish(),
  cache_control: cacheMark,
});
const compactionBlock = z.object({ content: z.string().nullish() });

type Block = z.infer<typeof anyBlock>;

/** A string or blocks → blocks. */
function blocks(content: unknown, at: string): Block[] {
  if (content === undefined) throw invalid(at, 'this field is required');
  return typeof content === 'string'
    ? [{ type: 'text', text: content }]
    : validate(z.array(anyBlock, 'must be a string or a list of content blocks'), content, at);
}

/** `system`, or the content of a system message, → at most one message. `at` is its path in the body. */
export function decodeSystem(content: unknown, at: string): Message[] {
  if (content == null || content === '') return [];
  const parts = blocks(content, at).flatMap((block, index) =>
    // Tool additions and the like mean something to Anthropic only.
    block.type === 'text' ? [decodeText(block, `${at}.${index}`)] : [],
  );
  return parts.length > 0 ? [{ role: 'system', parts }] : [];
}

/** Throws invalid_request or unsupported_capability, naming the message and the block. */
export function decodeMessages(messages: z.infer<typeof wireMessage>[]): Message[] {
  return messages.flatMap(({ role, content }, index) => {
    const at = `messages.${index}`;
    if (role === 'system') return decodeSystem(content, `${at}.content`);
    const turn = blocks(content, `${at}.content`);
    return role === 'user' ? decodeUserTurn(turn, `${at}.content`) : [decodeAssistantTurn(turn, `${at}.content`)];
  });
}

/** One user turn may carry the results of several tools; each becomes a message, in the order given. */
function decodeUserTurn(turn: Block[], at: string): Message[] {
  const messages: Message[] = [];
  for (const [index, block] of turn.entries()) {
    const path = `${at}.${index}`;
    if (block.type === 'tool_result') {
      messages.push(decodeToolResult(block, path));
      continue;
    }
    const parts = decodeUserBlock(block, path);
    const last = messages.at(-1);
    if (last?.role === 'user') last.parts.push(...parts);
    else messages.push({ role: 'user', parts });
  }
  return messages.length > 0 ? messages : [{ role: 'user', parts: [] }];
}

function decodeUserBlock(block: Block, at: string): (TextPart | ImagePart | FilePart)[] {
  switch (block.type) {
    case 'text':
      return [decodeText(block, at)];
    case 'image':
      return [decodeImage(block, at)];
    case 'document':
      return decodeDocument(block, at);
    case 'search_result': {
      const { source, title, content, cache_control } = validate(searchResultBlock, block, at);
      const body = content.map(({ text }) => text).join('\n');
      return [{ type: 'text', text: `${title}\n${source}\n${body}`, ...cache_control }];
    }
    default:
      throw new ViaductError(
        'unsupported_capability',
        `${at}.type: content blocks of type "${block.type}" are understood by Anthropic's models only.`,
        { param: `${at}.type` },
      );
  }
}

function decodeText(block: Block, at: string): TextPart {
  const { text, cache_control } = validate(textBlock, block, at);
  return { type: 'text', text, ...cache_control };
}

function decodeImage(block: Block, at: string): ImagePart {
  const { source, cache_control } = validate(imageBlock, block, at);
  if (source.type === 'file')
    throw new ViaductError('unsupported_capability', `${at}.source: send the image as base64 or as a URL.`, {
      param: `${at}.source`,
    });
  return {
    type: 'image',
    source: source.type === 'url' ? { url: source.url } : { data: source.data, mediaType: source.media_type },
    ...cache_control,
  };
}

function decodeDocument(block: Block, at: string): UserPart[] & (TextPart | ImagePart | FilePart)[] {
  const { source, title, context, citations, cache_control } = validate(documentBlock, block, at);
  const about: TextPart[] = context ? [{ type: 'text', text: context }] : [];
  const file = {
    ...(title != null && { name: title }),
    ...(citations?.enabled && { cited: true as const }),
    ...cache_control,
  };
  switch (source.type) {
    case 'base64':
      return [...about, { type: 'file', source: { data: source.data, mediaType: source.media_type }, ...file }];
    case 'text': {
      const data = Buffer.from(source.data).toString('base64');
      return [...about, { type: 'file', source: { data, mediaType: source.media_type }, ...file }];
    }
    case 'url':
      return [...about, { type: 'file', source: { url: source.url }, ...file }];
    case 'file':
      return [...about, { type: 'file', source: { fileId: source.file_id }, ...file }];
    case 'content': {
      const inner = blocks(source.content, `${at}.source.content`);
      const parts = inner.flatMap((part, index) => decodeUserBlock(part, `${at}.source.content.${index}`));
      return [...about, ...(title ? [{ type: 'text' as const, text: title }] : []), ...parts];
    }
  }
}

function decodeToolResult(block: Block, at: string): Message {
  const { tool_use_id, content, is_error, cache_control } = validate(toolResultBlock, block, at);
  const inner = content == null ? [] : blocks(content, `${at}.content`);
  const parts = inner.flatMap((part, index) =>
    ['text', 'image', 'document', 'search_result'].includes(part.type)
      ? decodeUserBlock(part, `${at}.content.${index}`)
      : [{ type: 'text' as const, text: JSON.stringify(part) }],
  );
  const last = parts.at(-1);
  if (last) Object.assign(last, cache_control);
  return { role: 'tool', toolCallId: tool_use_id, parts, ...(is_error != null && { isError: is_error }) };
}

function decodeAssistantTurn(turn: Block[], at: string): Message {
  const parts = turn.flatMap((block, index) => decodeAssistantBlock(block, `${at}.${index}`));
  return { role: 'assistant', parts };
}

function decodeAssistantBlock(block: Block, at: string): AssistantPart[] {
  switch (block.type) {
    case 'text':
      return [decodeText(block, at)];
    case 'thinking': {
      const { thinking, signature } = validate(thinkingBlock, block, at);
      return [{ type: 'reasoning', text: thinking, ...openSignature(signature ?? '') }];
    }
    case 'redacted_thinking': {
      const { data } = validate(redactedBlock, block, at);
      return [{ type: 'reasoning', text: '', redacted: data, origin: 'anthropic-messages' }];
    }
    case 'tool_use': {
      const { id, name, input, cache_control } = validate(toolUseBlock, block, at);
      return [{ type: 'tool-call', id, name, arguments: JSON.stringify(input), ...cache_control }];
    }
    case 'compaction': {
      const { content } = validate(compactionBlock, block, at);
      return content ? [{ type: 'text', text: content }] : [];
    }
    default:
      // What tools that run at Anthropic did (server_tool_use, …_tool_result): the text beside it says what came of it.
      return [];
  }
}
