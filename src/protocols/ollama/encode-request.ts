/** ChatRequest → body of POST /api/chat. */
import type { AssistantPart, ChatRequest, Message, UserPart } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { parseObject } from '../read.ts';
import { encodeSettings } from './settings.ts';

/**
 * Request → body.
 * Throws unsupported_capability for what Ollama's chat cannot do and the answer would show: a forced tool call, biased
 * tokens, files, audio, pictures by URL, raw prompts.
 * Source: https://docs.ollama.com/api/chat (read 2026-08)
 */
export function encodeRequest(request: ChatRequest): JsonObject {
  refuseImpossible(request);
  const tools = request.toolChoice === 'none' ? [] : offered(request);
  const names = new Map<string, string>();
  return {
    model: request.model,
    messages: request.messages.map((message) => encodeMessage(message, names)),
    ...(tools.length > 0 && {
      tools: tools.map(({ name, description, parameters, strict }) => ({
        type: 'function',
        function: {
          name,
          ...(description !== undefined && { description }),
          ...(parameters !== undefined && { parameters }),
          ...(strict !== undefined && { strict }),
        },
      })),
    }),
    ...encodeSettings(request),
  };
}

const refuse = (param: string, what: string) =>
  new ViaductError('unsupported_capability', `An Ollama server cannot ${what}.`, { param });

function refuseImpossible({ toolChoice, logitBias, local }: ChatRequest) {
  const forced = toolChoice === 'required' || (typeof toolChoice === 'object' && !isOffer(toolChoice));
  if (forced) throw refuse('tool_choice', 'be made to call a tool');
  if (logitBias && Object.keys(logitBias).length > 0) throw refuse('logit_bias', 'bias single tokens');
  if (local?.raw) throw refuse('raw', 'take a raw prompt in a chat');
  if (local?.suffix !== undefined) throw refuse('suffix', 'fill in the middle of a chat');
  if (local?.template !== undefined) throw refuse('template', 'take a template with a chat');
  if (local?.grammar !== undefined) throw refuse('grammar', 'take a grammar');
}

const isOffer = (choice: object) => 'mode' in choice && choice.mode === 'auto';

function offered({ tools = [], toolChoice }: ChatRequest) {
  if (typeof toolChoice !== 'object' || !('allowed' in toolChoice)) return tools;
  return tools.filter(({ name }) => toolChoice.allowed.includes(name));
}

/** `names` remembers what each call was of, for its result to say. */
function encodeMessage(message: Message, names: Map<string, string>): JsonObject {
  switch (message.role) {
    case 'system':
    case 'developer':
      return { role: 'system', content: texts(message.parts) };
    case 'user':
      return { role: 'user', ...content(message.parts) };
    case 'tool': {
      const name = names.get(message.toolCallId);
      return {
        role: 'tool',
        ...content(message.parts),
        tool_call_id: message.toolCallId,
        ...(name !== undefined && { tool_name: name }),
      };
    }
    case 'assistant': {
      const thinking = message.parts.map((part) => (part.type === 'reasoning' ? part.text : '')).join('');
      const calls = message.parts.filter((part) => part.type === 'tool-call');
      for (const { id, name } of calls) names.set(id, name);
      return {
        role: 'assistant',
        content: texts(message.parts),
        ...(thinking !== '' && { thinking }),
        ...(calls.length > 0 && { tool_calls: calls.map(encodeCall) }),
      };
    }
  }
}

function encodeCall({ id, name, arguments: json }: Extract<AssistantPart, { type: 'tool-call' }>): JsonObject {
  const input = json.trim() === '' ? {} : parseObject(json);
  if (!input)
    throw new ViaductError(
      'invalid_request',
      `The arguments of the call of "${name}" in the history are not a JSON object.`,
      {
        param: 'messages',
      },
    );
  return { id, function: { name, arguments: input } };
}

const texts = (parts: (UserPart | AssistantPart)[]) =>
  parts.flatMap((part) => (part.type === 'text' || part.type === 'refusal' ? [part.text] : [])).join('\n');

function content(parts: UserPart[]): JsonObject {
  const images = parts.flatMap((part) => {
    if (part.type === 'file') throw refuse('messages', 'read files');
    if (part.type === 'audio') throw refuse('messages', 'listen to audio');
    if (part.type === 'text') return [];
    if ('url' in part.source) throw refuse('messages', 'fetch pictures: send them as base64');
    return [part.source.data];
  });
  return { content: texts(parts), ...(images.length > 0 && { images }) };
}
