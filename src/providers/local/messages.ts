/** Neutral messages → the messages that the engine's templates know: OpenAI's shape, pictures already loaded. */
import type { AssistantPart, ChatRequest, FilePart, ImagePart, Message, TextPart, Tool } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import type { ResolvedModel } from '../../models/store.ts';
import { type ImageOptions, loadImage } from './images.ts';
import { describeTools, writeCalls } from './tool-prompt.ts';

/** One message before it is rendered. `images` are base64, in the order of their marks in `content`. */
export type EngineMessage = {
  role: 'system' | 'user' | 'assistant' | 'tool';
  /** Texts and pictures in order; a picture is its base64. */
  content: ({ text: string } | { image: string })[];
  reasoning?: string;
  calls?: { id: string; name: string; arguments: string }[];
  toolCallId?: string;
};

export type PreparedMessages = { messages: EngineMessage[]; images: string[] };

/** Load pictures, put in what the Modelfile says, and keep only what a local model can read. */
export async function prepareMessages(
  request: ChatRequest,
  model: ResolvedModel,
  options: ImageOptions,
): Promise<PreparedMessages> {
  const messages: EngineMessage[] = [];
  const given = request.messages;
  const hasSystem = given.some(({ role }) => role === 'system' || role === 'developer');
  if (!hasSystem && model.system) messages.push({ role: 'system', content: [{ text: model.system }] });
  if (!given.some(({ role }) => role === 'assistant'))
    for (const { role, content } of model.messages)
      messages.push({ role: role === 'assistant' || role === 'system' ? role : 'user', content: [{ text: content }] });

  const sees = model.capabilities.includes('vision');
  for (const [index, message] of given.entries()) {
    messages.push(await prepare(message, `messages[${index}]`, sees, options));
    if (message.role !== 'tool') continue;
    // Templates know no pictures in tool results: they follow as the user's.
    const last = messages.at(-1) as EngineMessage;
    const pictures = last.content.filter((part) => 'image' in part);
    if (pictures.length === 0) continue;
    last.content = last.content.filter((part) => 'text' in part);
    messages.push({ role: 'user', content: pictures });
  }
  const images = messages.flatMap(({ content }) => content.flatMap((part) => ('image' in part ? [part.image] : [])));
  return { messages, images };
}

async function prepare(message: Message, at: string, sees: boolean, options: ImageOptions): Promise<EngineMessage> {
  switch (message.role) {
    case 'system':
    case 'developer':
      return { role: 'system', content: message.parts.map(({ text }) => ({ text })) };
    case 'assistant':
      return assistant(message.parts);
    case 'tool':
    case 'user': {
      const content: EngineMessage['content'] = [];
      for (const [index, part] of message.parts.entries()) {
        const param = `${at}.content[${index}]`;
        if (part.type === 'audio')
          throw new ViaductError('unsupported_capability', 'Local models do not take audio.', { param });
        content.push(await readPart(part, param, sees, options));
      }
      return message.role === 'tool'
        ? { role: 'tool', content, toolCallId: message.toolCallId }
        : { role: 'user', content };
    }
  }
}

async function readPart(
  part: TextPart | ImagePart | FilePart,
  param: string,
  sees: boolean,
  options: ImageOptions,
): Promise<{ text: string } | { image: string }> {
  if (part.type === 'text') return { text: part.text };
  const { source } = part;
  if ('fileId' in source)
    throw new ViaductError('unsupported_capability', 'Local models do not know uploaded files; send the content.', {
      param,
    });
  const mediaType = 'data' in source ? source.mediaType : (/^data:([^;,]*)/i.exec(source.url)?.[1] ?? '');
  if (part.type === 'file' && /^text\/|json|xml|yaml/.test(mediaType)) {
    const base64 = 'data' in source ? source.data : source.url.slice(source.url.indexOf(',') + 1);
    return { text: `${part.name ? `${part.name}:\n` : ''}${Buffer.from(base64, 'base64').toString('utf8')}` };
  }
  if (part.type === 'file' && !mediaType.startsWith('image/'))
    throw new ViaductError('unsupported_capability', 'Local models take files only as text or images.', { param });
  // Said before anything is downloaded.
  if (!sees) throw new ViaductError('unsupported_capability', 'This model cannot see images.', { param });
  return { image: await loadImage(source, param, options) };
}

function assistant(parts: AssistantPart[]): EngineMessage {
  const texts: { text: string }[] = [];
  const calls: NonNullable<EngineMessage['calls']> = [];
  let reasoning = '';
  for (const part of parts)
    if (part.type === 'text' || part.type === 'refusal') texts.push({ text: part.text });
    else if (part.type === 'reasoning') reasoning += part.text;
    else if (part.type === 'tool-call') calls.push({ id: part.id, name: part.name, arguments: part.arguments || '{}' });
  return { role: 'assistant', content: texts, ...(reasoning && { reasoning }), ...(calls.length > 0 && { calls }) };
}

export const textOf = ({ content }: EngineMessage): string =>
  content.map((part) => ('text' in part ? part.text : '')).join('');

/** The shape of the engine's chat endpoints. `picture` says how a picture is written. */
export function toEngineJson(messages: readonly EngineMessage[], picture: (base64: string) => string): JsonObject[] {
  return messages.map((message) => {
    const { role, content, reasoning, calls, toolCallId } = message;
    const hasPictures = content.some((part) => 'image' in part);
    const out: JsonObject = { role };
    out['content'] = hasPictures
      ? content.map(
          (part): JsonObject =>
            'text' in part
              ? { type: 'text', text: part.text }
              : { type: 'image_url', image_url: { url: picture(part.image) } },
        )
      : textOf(message);
    if (reasoning) out['reasoning_content'] = reasoning;
    if (calls)
      out['tool_calls'] = calls.map(({ id, name, arguments: text }) => ({
        id,
        type: 'function',
        function: { name, arguments: text },
      }));
    if (toolCallId !== undefined) out['tool_call_id'] = toolCallId;
    return out;
  });
}

/** For templates that know no tools: tools in the system message, calls and results as text. */
export function withoutToolRoles(messages: readonly EngineMessage[], tools: readonly Tool[]): EngineMessage[] {
  const names = new Map<string, string>();
  const out: EngineMessage[] = [];
  if (tools.length > 0) out.push({ role: 'system', content: [{ text: describeTools(tools) }] });
  for (const message of messages) {
    for (const { id, name } of message.calls ?? []) names.set(id, name);
    if (message.role === 'tool') {
      const name = names.get(message.toolCallId ?? '');
      out.push({ role: 'user', content: [{ text: `Result of ${name ?? 'the function'}:\n${textOf(message)}` }] });
    } else if (message.calls) {
      const { calls, ...rest } = message;
      const text = [textOf(message), writeCalls(calls)].filter(Boolean).join('\n');
      out.push({ ...rest, content: [{ text }] });
    } else out.push(message);
  }
  return joinSystems(out);
}

/** Many templates know one system message, and only as the first. */
export function joinSystems(messages: readonly EngineMessage[]): EngineMessage[] {
  const systems = messages.filter(({ role }) => role === 'system');
  if (systems.length === 0 || (systems.length === 1 && messages[0]?.role === 'system')) return [...messages];
  const text = systems.map(textOf).filter(Boolean).join('\n\n');
  return [{ role: 'system', content: [{ text }] }, ...messages.filter(({ role }) => role !== 'system')];
}

/** For the strictest templates: no system role, user and assistant in turn, the user first. */
export function alternating(messages: readonly EngineMessage[], tools: readonly Tool[]): EngineMessage[] {
  const plain = withoutToolRoles(messages, tools);
  const system = plain
    .filter(({ role }) => role === 'system')
    .map(textOf)
    .join('\n\n');
  const out: EngineMessage[] = [];
  for (const { role, content } of plain.filter((message) => message.role !== 'system')) {
    const last = out.at(-1);
    if (last?.role === role) last.content = [...last.content, { text: '\n\n' }, ...content];
    else out.push({ role, content: [...content] });
  }
  if (out[0]?.role !== 'user') out.unshift({ role: 'user', content: [] });
  const first = out[0] as EngineMessage;
  if (system) first.content = [{ text: first.content.length ? `${system}\n\n` : system }, ...first.content];
  return out;
}
