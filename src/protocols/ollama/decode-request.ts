/** Bodies of POST /api/chat and /api/generate → ChatRequest. Source: https://docs.ollama.com/api (read 2026-08) */
import { z } from 'zod';
import type { AssistantPart, ChatRequest, ImagePart, Message, Tool, UserPart } from '../../core/chat.ts';
import type { JsonObject } from '../../core/json.ts';
import { invalid, jsonObject, validate } from '../validate.ts';
import { openContext } from './context.ts';
import { decodeSettings, generationFields } from './settings.ts';

const wireCall = z.object({
  id: z.string().nullish(),
  function: z.object({ name: z.string().min(1), arguments: jsonObject.nullish() }),
});
const wireMessage = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.string().nullish(),
  thinking: z.string().nullish(),
  images: z.array(z.string()).nullish(),
  tool_calls: z.array(wireCall).nullish(),
  tool_name: z.string().nullish(),
  tool_call_id: z.string().nullish(),
});
type WireMessage = z.infer<typeof wireMessage>;

const wireTool = z.object({
  function: z.object({
    name: z.string().min(1),
    description: z.string().nullish(),
    parameters: jsonObject.nullish(),
    strict: z.boolean().nullish(),
  }),
});

/** Body of /api/chat. */
export const wireChat = z.object({
  ...generationFields,
  messages: z.array(wireMessage).nullish(),
  tools: z.array(wireTool).nullish(),
});

const text = z.string().nullish();
/** Body of /api/generate. */
export const wireGenerate = z.object({
  ...generationFields,
  prompt: text,
  suffix: text,
  system: text,
  template: text,
  raw: z.boolean().nullish(),
  images: z.array(z.string()).nullish(),
  context: z.array(z.int()).nullish(),
});

/**
 * Body of POST /api/chat → request. No messages means: load the model, or unload it when `keep_alive` is 0.
 * Throws invalid_request naming the first bad field or option.
 */
export function decodeRequest(body: JsonObject): ChatRequest {
  const wire = validate(wireChat, body);
  return {
    model: wire.model,
    messages: decodeMessages(wire.messages ?? []),
    ...decodeSettings(wire),
    ...(wire.tools?.length && { tools: wire.tools.map(decodeTool) }),
  };
}

/**
 * Body of POST /api/generate → request. An empty prompt means the same as no messages in a chat.
 * Throws invalid_request naming the first bad field or option.
 */
export function decodeGenerate(body: JsonObject): ChatRequest {
  const wire = validate(wireGenerate, body);
  const { prompt, suffix, system, template, raw, images, context } = wire;
  if (raw && (system || template || context?.length))
    throw invalid('raw', 'a raw prompt goes without system, template and context');
  const settings = decodeSettings(wire, {
    ...(raw && { raw: true }),
    ...(template && { template }),
    ...(suffix && { suffix }),
  });
  const history = openContext(context ?? []);
  const asked: Message = { role: 'user', parts: [...(images ?? []).map(decodeImage), ...textParts(prompt)] };
  return {
    model: wire.model,
    messages: prompt || images?.length ? [...withSystem(history, system), asked] : [],
    ...settings,
  };
}

/** A system text given now replaces the one that the context began with. */
function withSystem(history: Message[], system: string | null | undefined): Message[] {
  if (!system) return history;
  return [
    { role: 'system', parts: [{ type: 'text', text: system }] },
    ...history.filter(({ role }) => role !== 'system'),
  ];
}

/** Ollama's clients drop the ids of calls, so a result is matched by id, else by name, else by order. */
function decodeMessages(wire: WireMessage[]): Message[] {
  const open: { id: string; name: string }[] = [];
  let calls = 0;
  const settle = ({ tool_call_id, tool_name }: WireMessage): string => {
    const at = open.findIndex(({ id, name }) =>
      tool_call_id ? id === tool_call_id : !tool_name || name === tool_name,
    );
    const [call] = at === -1 ? [] : open.splice(at, 1);
    return call?.id ?? tool_call_id ?? `call_${calls++}`;
  };
  const decodeAssistant = ({ content, thinking, tool_calls }: WireMessage): Message => {
    const parts: AssistantPart[] = textParts(content);
    if (thinking) parts.unshift({ type: 'reasoning', text: thinking });
    for (const { id: given, function: called } of tool_calls ?? []) {
      const id = given || `call_${calls}`;
      calls++;
      open.push({ id, name: called.name });
      parts.push({ type: 'tool-call', id, name: called.name, arguments: JSON.stringify(called.arguments ?? {}) });
    }
    return { role: 'assistant', parts };
  };
  return wire.map((message): Message => {
    const { role, content } = message;
    if (role === 'assistant') return decodeAssistant(message);
    if (role === 'tool') return { role, toolCallId: settle(message), parts: contentParts(message) };
    if (role === 'user') return { role, parts: contentParts(message) };
    return { role: 'system', parts: textParts(content) };
  });
}

const textParts = (content: string | null | undefined) => (content ? [{ type: 'text' as const, text: content }] : []);

const contentParts = ({ content, images }: WireMessage): Extract<UserPart, { type: 'text' | 'image' }>[] => [
  ...(images ?? []).map(decodeImage),
  ...textParts(content),
];

/** What base64 begins with, by the magic bytes of the formats. */
const formats: [string, string][] = [
  ['iVBORw0KGgo', 'image/png'],
  ['/9j/', 'image/jpeg'],
  ['R0lGOD', 'image/gif'],
  ['UklGR', 'image/webp'],
];

/** Base64 as Ollama's clients send it; a URL and a data URL are welcome too. */
function decodeImage(image: string): ImagePart {
  if (/^https?:\/\//.test(image)) return { type: 'image', source: { url: image } };
  const inline = /^data:([^;,]+);base64,/.exec(image);
  const data = inline ? image.slice(inline[0].length) : image;
  const known = formats.find(([head]) => data.startsWith(head))?.[1];
  return { type: 'image', source: { data, mediaType: known ?? inline?.[1] ?? 'application/octet-stream' } };
}

function decodeTool({ function: { name, description, parameters, strict } }: z.infer<typeof wireTool>): Tool {
  return {
    name,
    ...(description != null && { description }),
    ...(parameters != null && { parameters }),
    ...(strict != null && { strict }),
  };
}
