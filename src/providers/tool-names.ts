/**
 * Tool names that a provider would refuse: agents make names longer than the 64 characters, or of other characters,
 * than most APIs take (`mcp__server__…` of Claude Code; dots and slashes of MCP servers). The model gets another name,
 * the client never sees it.
 * Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-tools,
 * https://ai.google.dev/api/caching#FunctionDeclaration
 */
import { createHash } from 'node:crypto';
import type { AssistantPart, ChatEvent, ChatRequest, Message, ToolChoice } from '../core/chat.ts';

const longestName = 64;
const refused = /[^\w-]/g;
const hashLength = 8;

export type RenamedTools = {
  /** With names that every provider takes. */
  request: ChatRequest;
  /** The client's own names again, in what the model says. */
  restore(events: readonly ChatEvent[]): readonly ChatEvent[];
};

/** Undefined when nothing has to be renamed, as with nearly every request. */
export function renameTools(request: ChatRequest): RenamedTools | undefined {
  const given = new Map<string, string>();
  const own = new Map<string, string>();
  const note = (name: string) => {
    const other = acceptable(name);
    if (other === name) return;
    given.set(name, other);
    own.set(other, name);
  };
  for (const { name } of request.tools ?? []) note(name);
  for (const message of request.messages)
    if (message.role === 'assistant') for (const part of message.parts) if (part.type === 'tool-call') note(part.name);
  if (given.size === 0) return undefined;

  const nameOf = (name: string) => given.get(name) ?? name;
  const renamed: ChatRequest = { ...request, messages: request.messages.map((message) => inMessage(message, nameOf)) };
  if (request.tools) renamed.tools = request.tools.map((tool) => ({ ...tool, name: nameOf(tool.name) }));
  if (request.toolChoice) renamed.toolChoice = inChoice(request.toolChoice, nameOf);
  return {
    request: renamed,
    restore: (events) =>
      events.map((event) =>
        event.type === 'tool-call' ? { ...event, name: own.get(event.name) ?? event.name } : event,
      ),
  };
}

/** The name itself, or as much of it as is taken and a hash that tells it from others like it. */
function acceptable(name: string): string {
  const plain = name.replace(refused, '_');
  if (plain === name && name.length <= longestName) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, hashLength);
  return `${plain.slice(0, longestName - hashLength - 1)}_${hash}`;
}

function inMessage(message: Message, nameOf: (name: string) => string): Message {
  if (message.role !== 'assistant') return message;
  const parts = message.parts.map(
    (part): AssistantPart => (part.type === 'tool-call' ? { ...part, name: nameOf(part.name) } : part),
  );
  return { ...message, parts };
}

function inChoice(choice: ToolChoice, nameOf: (name: string) => string): ToolChoice {
  if (typeof choice === 'string') return choice;
  return 'name' in choice ? { name: nameOf(choice.name) } : { ...choice, allowed: choice.allowed.map(nameOf) };
}
