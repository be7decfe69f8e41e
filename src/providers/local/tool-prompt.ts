/** How tools are told to a model whose template knows none. */
import type { Tool } from '../../core/chat.ts';
import type { Json, JsonObject } from '../../core/json.ts';

/** OpenAI's shape, which templates print. */
export function toolJson({ name, description, parameters }: Tool): JsonObject {
  return {
    type: 'function',
    function: {
      name,
      description: description ?? '',
      parameters: parameters ?? { type: 'object', properties: {} },
    },
  };
}

export function describeTools(tools: readonly Tool[]): string {
  const lines = tools.map((tool) => JSON.stringify(toolJson(tool)['function']));
  return [
    'You can call these functions:',
    ...lines,
    'To call a function, answer with nothing but JSON: {"name": "<function>", "arguments": {<arguments>}}',
    'If no function is needed, answer as usual.',
  ].join('\n');
}

/** Calls of earlier turns, in the form that `describeTools` asks for. */
export function writeCalls(calls: readonly { name: string; arguments: string }[]): string {
  return calls
    .map(({ name, arguments: text }) => `{"name": ${JSON.stringify(name)}, "arguments": ${text || '{}'}}`)
    .join('\n');
}

/** Arguments as an object, as Go templates want them; unreadable ones as their text. */
export function argumentsObject(text: string): Json {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
