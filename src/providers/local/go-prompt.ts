/**
 * A prompt from a Go template, with the data that Ollama gives its templates.
 * Source: https://github.com/ollama/ollama/blob/main/docs/template.md
 */
import type { Tool } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { compileGoTemplate, type GoTemplate, GoTemplateError } from '../../models/go-template.ts';
import { type EngineMessage, joinSystems, textOf, withoutToolRoles } from './messages.ts';
import { argumentsObject, toolJson } from './tool-prompt.ts';

export type GoPromptInput = {
  messages: readonly EngineMessage[];
  tools: readonly Tool[];
  suffix?: string | undefined;
  /** Undefined when the request does not say. */
  think?: boolean | undefined;
  /** How a picture is marked in the text. */
  mark: string;
  /** `2026-11-24`. */
  date: string;
};

const compiled = new Map<string, GoTemplate>();
const maxCompiled = 100;
/** Where the model's answer belongs: what stands after it in the template comes after the answer. */
const answerMark = '\u0000answer\u0000';

/** Throws invalid_modelfile when the template cannot be read or run. */
export function goPrompt(source: string, input: GoPromptInput): string {
  try {
    const template = compile(source);
    return template.uses('Messages') ? fromMessages(template, input) : fromTurns(template, input);
  } catch (error) {
    if (!(error instanceof GoTemplateError)) throw error;
    throw new ViaductError('invalid_modelfile', `The model's template cannot be used: ${error.message}.`, {
      param: 'template',
    });
  }
}

/** True when the template prints tools by itself. Throws invalid_modelfile. */
export function templateKnows(source: string, field: 'Tools' | 'Suffix' | 'Thinking' | 'IsThinkSet'): boolean {
  try {
    return compile(source).uses(field);
  } catch (error) {
    throw new ViaductError('invalid_modelfile', `The model's template cannot be used: ${String(error)}.`, {
      param: 'template',
    });
  }
}

function compile(source: string): GoTemplate {
  let template = compiled.get(source);
  if (!template) {
    template = compileGoTemplate(source);
    if (compiled.size >= maxCompiled) compiled.clear();
    compiled.set(source, template);
  }
  return template;
}

function prepared(template: GoTemplate, { messages, tools }: GoPromptInput): EngineMessage[] {
  return template.uses('Tools') ? joinSystems(messages) : withoutToolRoles(messages, tools);
}

const common = (input: GoPromptInput) => ({
  Suffix: input.suffix ?? '',
  Think: input.think === true,
  ThinkLevel: '',
  IsThinkSet: input.think !== undefined,
  Tools: input.tools.map(goTool),
  Response: answerMark,
});

const functions = ({ date }: GoPromptInput) => ({ currentDate: () => date });

function fromMessages(template: GoTemplate, input: GoPromptInput): string {
  const messages = prepared(template, input);
  const system = messages.find(({ role }) => role === 'system');
  const names = new Map(messages.flatMap(({ calls = [] }) => calls.map(({ id, name }) => [id, name])));
  const data = {
    ...common(input),
    System: system ? textOf(system) : '',
    Messages: messages.map((message) => ({
      Role: message.role,
      Content: marked(message, input.mark),
      Thinking: message.reasoning ?? '',
      Images: message.content.filter((part) => 'image' in part),
      ToolCalls: message.calls?.map((call, index) => goCall(call, index)) ?? [],
      ToolName: names.get(message.toolCallId ?? '') ?? '',
      ToolCallID: message.toolCallId ?? '',
    })),
  };
  return untilAnswer(template.render(data, functions(input)));
}

/** The older form renders one turn at a time: system, prompt, response. */
function fromTurns(template: GoTemplate, input: GoPromptInput): string {
  let out = '';
  let turn = { System: '', Prompt: '' };
  const flush = (response: string | undefined) => {
    const data = { ...common(input), ...turn, ...(response !== undefined && { Response: response }) };
    const text = template.render(data, functions(input));
    const answered = template.uses('Response') ? text : text + (response ?? '');
    out += response === undefined ? untilAnswer(text) : answered;
    turn = { System: '', Prompt: '' };
  };
  for (const message of prepared(template, input)) {
    const text = marked(message, input.mark);
    if (message.role === 'system') turn.System += (turn.System && '\n\n') + text;
    else if (message.role === 'assistant') flush(text);
    else turn.Prompt += (turn.Prompt && '\n\n') + text;
  }
  flush(undefined);
  return out;
}

function untilAnswer(text: string): string {
  const at = text.indexOf(answerMark);
  return at < 0 ? text : text.slice(0, at);
}

function marked(message: EngineMessage, mark: string): string {
  return message.content.map((part) => ('text' in part ? part.text : mark)).join('');
}

/** Fields by Go's names, printed as JSON by JSON's. */
function goTool(tool: Tool) {
  const json = toolJson(tool);
  const { name, description, parameters } = json['function'] as JsonObject;
  const inner = {
    Name: name,
    Description: description,
    Parameters: goParameters(parameters as JsonObject),
    toJSON: () => json['function'],
  };
  return { Type: 'function', Function: inner, toJSON: () => json };
}

function goParameters(parameters: JsonObject) {
  return {
    Type: parameters['type'] ?? 'object',
    Required: parameters['required'] ?? [],
    Properties: parameters['properties'] ?? {},
    toJSON: () => parameters,
  };
}

function goCall(call: { id: string; name: string; arguments: string }, index: number) {
  const input = argumentsObject(call.arguments);
  const json = { name: call.name, arguments: input };
  return {
    ID: call.id,
    Function: { Index: index, Name: call.name, Arguments: input, toJSON: () => json },
    toJSON: () => ({ function: json }),
  };
}
