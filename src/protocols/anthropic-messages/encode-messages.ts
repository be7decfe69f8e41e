/** Core messages → `system` and `messages`, with the order that the API insists on. */
import type { AssistantPart, FilePart, Message, TextPart, UserPart } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { joinBlankText } from '../blank-text.ts';
import { parseObject } from '../read.ts';

type Turn = { role: 'user' | 'assistant' | 'system'; content: JsonObject[] };
type Options = {
  /** The model takes `role: system` inside the conversation. */
  inlineSystem: boolean;
  /** One more line for the system prompt. */
  instruction?: string | undefined;
};

/** What the API accepts where a turn must be and nothing was said. */
const nothing: JsonObject = { type: 'text', text: '.' };

/**
 * Messages → system blocks and turns: neighbours of one role joined, tool results at the head of their turn, empty text left
 * out, a user turn first. System messages at the start become `system`; a later one stays where it is when the model
 * knows how, else it is marked text in the user's turn.
 * Throws unsupported_capability for audio, invalid_request for a tool call whose arguments are not a JSON object.
 */
export function encodeMessages(messages: Message[], options: Options): { system: JsonObject[]; messages: Json[] } {
  const body = messages.findIndex(({ role }) => role !== 'system' && role !== 'developer');
  const head = body === -1 ? messages : messages.slice(0, body);
  const system = head.flatMap(({ parts }) => encodeTexts(parts as TextPart[]));
  if (options.instruction) system.push({ type: 'text', text: options.instruction });

  const turns: Turn[] = [];
  const rest = body === -1 ? [] : messages.slice(body);
  for (const [index, message] of rest.entries()) {
    const turn = encodeTurn(message, options.inlineSystem && endsUserTurn(rest, index));
    const last = turns.at(-1);
    if (turn.content.length === 0) continue;
    if (last?.role === turn.role) last.content.push(...turn.content);
    else turns.push(turn);
  }
  if (turns.length === 0)
    return { system: [], messages: [{ role: 'user', content: system.length > 0 ? system : [nothing] }] };
  if (turns[0]?.role !== 'user') turns.unshift({ role: 'user', content: [nothing] });
  for (const turn of turns) if (turn.role === 'user') turn.content.sort(resultsFirst);
  trimPrefill(turns);
  return { system, messages: turns };
}

/** The API takes a system message only between a user's turn and the assistant's. */
function endsUserTurn(messages: Message[], index: number): boolean {
  const before = messages[index - 1]?.role;
  const after = messages[index + 1]?.role;
  return (before === 'user' || before === 'tool') && (after === undefined || after === 'assistant');
}

const resultsFirst = (a: JsonObject, b: JsonObject) =>
  Number(b['type'] === 'tool_result') - Number(a['type'] === 'tool_result');

/** The API refuses white space at the end of an answer that it is to go on with. */
function trimPrefill(turns: Turn[]) {
  const last = turns.at(-1);
  const block = last?.content.at(-1);
  if (last?.role === 'assistant' && block?.['type'] === 'text') block['text'] = String(block['text']).trimEnd();
}

function encodeTurn(message: Message, inline: boolean): Turn {
  switch (message.role) {
    case 'system':
    case 'developer': {
      const content = encodeTexts(message.parts);
      if (inline) return { role: 'system', content };
      return {
        role: 'user',
        content: content.map((block) => ({ ...block, text: `<system>${block['text']}</system>` })),
      };
    }
    case 'user':
      return { role: 'user', content: message.parts.flatMap(encodeUserPart) };
    case 'tool': {
      const content = message.parts.flatMap(encodeUserPart);
      return {
        role: 'user',
        content: [
          {
            type: 'tool_result',
            tool_use_id: safeId(message.toolCallId),
            ...(content.length > 0 && { content }),
            ...(message.isError !== undefined && { is_error: message.isError }),
          },
        ],
      };
    }
    case 'assistant':
      return { role: 'assistant', content: joinBlankText(message.parts).flatMap(encodeAssistantPart) };
  }
}

const encodeTexts = (parts: TextPart[]) => parts.flatMap(encodeText);

/** Text without a visible character is a 400. */
const encodeText = ({ text, cache }: TextPart): JsonObject[] =>
  text.trim() === '' ? [] : [{ type: 'text', text, ...cacheControl(cache) }];

export const cacheControl = (cache: TextPart['cache']): JsonObject =>
  cache ? { cache_control: { type: 'ephemeral', ...(cache.ttl && { ttl: cache.ttl }) } } : {};

function encodeUserPart(part: UserPart): JsonObject[] {
  switch (part.type) {
    case 'text':
      return encodeText(part);
    case 'image': {
      const { source } = part;
      return [
        {
          type: 'image',
          source:
            'url' in source
              ? { type: 'url', url: source.url }
              : { type: 'base64', media_type: source.mediaType, data: source.data },
          ...cacheControl(part.cache),
        },
      ];
    }
    case 'file':
      return [encodeFile(part)];
    case 'audio':
      throw new ViaductError('unsupported_capability', "Anthropic's models do not take audio.", { param: 'messages' });
  }
}

function encodeFile({ source, name, cited, cache }: FilePart): JsonObject {
  return {
    type: 'document',
    source: fileSource(source),
    ...(name !== undefined && { title: name }),
    ...(cited && { citations: { enabled: true } }),
    ...cacheControl(cache),
  };
}

function fileSource(source: FilePart['source']): JsonObject {
  if ('fileId' in source) return { type: 'file', file_id: source.fileId };
  if ('url' in source) return { type: 'url', url: source.url };
  if (source.mediaType.startsWith('text/'))
    return { type: 'text', media_type: 'text/plain', data: Buffer.from(source.data, 'base64').toString() };
  if (source.mediaType !== 'application/pdf')
    throw new ViaductError('unsupported_capability', `Anthropic's models do not read ${source.mediaType} files.`, {
      param: 'messages',
    });
  return { type: 'base64', media_type: source.mediaType, data: source.data };
}

function encodeAssistantPart(part: AssistantPart): JsonObject[] {
  switch (part.type) {
    case 'text':
      return encodeText(part);
    case 'refusal':
      return encodeText({ type: 'text', text: part.text });
    case 'reasoning':
      // Only what Anthropic signed: anything else is a 400.
      if (part.origin !== 'anthropic-messages') return [];
      if (part.redacted !== undefined) return [{ type: 'redacted_thinking', data: part.redacted }];
      return part.signature ? [{ type: 'thinking', thinking: part.text, signature: part.signature }] : [];
    case 'image':
      // Pictures are for users to show here.
      return [];
    case 'tool-call':
      return [
        {
          type: 'tool_use',
          id: safeId(part.id),
          name: part.name,
          input: callInput(part.name, part.arguments),
          ...cacheControl(part.cache),
        },
      ];
  }
}

function callInput(name: string, json: string): JsonObject {
  const input = json.trim() === '' ? {} : parseObject(json);
  if (input) return input;
  throw new ViaductError(
    'invalid_request',
    `The arguments of the call of "${name}" in the history are not a JSON object.`,
    {
      param: 'messages',
    },
  );
}

/** Ids of other providers, in the characters that this one allows. */
const safeId = (id: string) => id.replace(/[^\w-]/g, '_');
