/** A chat as the text that the model reads, by whichever template rules. */
import type { ChatRequest, Tool } from '../../core/chat.ts';
import type { Json, JsonObject } from '../../core/json.ts';
import { readJson } from '../../engine/reply.ts';
import type { Runner } from '../../engine/runner.ts';
import type { ResolvedModel } from '../../models/store.ts';
import { succeeded, TemplateError } from './engine-errors.ts';
import { goPrompt } from './go-prompt.ts';
import { alternating, type EngineMessage, joinSystems, textOf, toEngineJson, withoutToolRoles } from './messages.ts';
import { toolJson } from './tool-prompt.ts';

/** What the engine says of a loaded model's template. */
export type TemplateFacts = {
  jinja: string;
  /** The template prints tools; without it, they go into the system message. */
  tools: boolean;
  /** Only the engine can read what such a model writes. */
  onlyEngineReads: boolean;
  /** Stands in the prompt where a picture belongs. */
  mediaMarker: string;
};

const known = new WeakMap<Runner, Promise<TemplateFacts>>();

export function templateFacts(runner: Runner, signal: AbortSignal): Promise<TemplateFacts> {
  const before = known.get(runner);
  if (before) return before;
  const facts = ask(runner, signal);
  known.set(runner, facts);
  facts.catch(() => known.delete(runner));
  return facts;
}

async function ask(runner: Runner, signal: AbortSignal): Promise<TemplateFacts> {
  const props = await readJson(await succeeded(await runner.request('/props', undefined, signal)));
  const jinja = String(props['chat_template'] ?? '');
  const caps = (props['chat_template_caps'] ?? {}) as { [name: string]: Json };
  return {
    jinja,
    tools: caps['supports_tools'] === true,
    // Harmony (gpt-oss) speaks in channels, which plain text does not show.
    onlyEngineReads: jinja.includes('<|channel|>'),
    mediaMarker: String(props['media_marker'] ?? '<__media__>'),
  };
}

/** The Go template that rules, if one does: the request's, the user's own, or the only one there is. */
export function goTemplateOf(request: ChatRequest, model: ResolvedModel): string | undefined {
  if (request.local?.template) return request.local.template;
  if (model.template === undefined) return undefined;
  return model.templateFromUser || !model.gguf.chatTemplate ? model.template : undefined;
}

/** What a template wants to know besides the messages. */
export function templateOptions(request: ChatRequest): JsonObject {
  const kwargs: JsonObject = {};
  const think = thinking(request);
  if (think !== undefined) {
    kwargs['enable_thinking'] = think;
    kwargs['thinking'] = think;
    const effort = request.reasoning?.effort;
    if (effort && effort !== 'none')
      kwargs['reasoning_effort'] = effort === 'minimal' ? 'low' : effort === 'xhigh' ? 'high' : effort;
  }
  return Object.keys(kwargs).length ? { chat_template_kwargs: kwargs } : {};
}

/** Whether the request asks for thoughts; undefined when it does not say. */
export function thinking({ reasoning }: ChatRequest): boolean | undefined {
  if (!reasoning) return undefined;
  if (reasoning.effort === 'none' || reasoning.budgetTokens === 0) return false;
  return reasoning.effort !== undefined || reasoning.budgetTokens !== undefined ? true : undefined;
}

export type RenderInput = {
  request: ChatRequest;
  model: ResolvedModel;
  messages: readonly EngineMessage[];
  tools: readonly Tool[];
  runner: Runner;
  facts: TemplateFacts;
  signal: AbortSignal;
};

/** The messages for a template that knows tools, or knows none. */
export function forTemplate(
  messages: readonly EngineMessage[],
  tools: readonly Tool[],
  facts: TemplateFacts,
): EngineMessage[] {
  return facts.tools ? joinSystems(messages) : withoutToolRoles(messages, tools);
}

/** A picture is only marked in the text; the template needs no more than its place. */
const placeholder = () => 'data:image/png;base64,AAAA';

/** The whole prompt. Throws invalid_modelfile for a Go template that cannot be used. */
export async function renderPrompt(input: RenderInput): Promise<string> {
  const { request, model, messages, tools, runner, facts, signal } = input;
  if (request.local?.raw) return textOf(messages.at(-1) ?? { role: 'user', content: [] });
  const go = goTemplateOf(request, model);
  if (go !== undefined)
    return goPrompt(go, {
      messages,
      tools,
      suffix: request.local?.suffix,
      think: thinking(request),
      mark: facts.mediaMarker,
      date: new Date().toISOString().slice(0, 10),
    });

  const apply = async (list: EngineMessage[]) => {
    const body: JsonObject = { messages: toEngineJson(list, placeholder), ...templateOptions(request) };
    if (facts.tools && tools.length > 0) body['tools'] = tools.map(toolJson);
    const reply = await readJson(await succeeded(await runner.request('/apply-template', body, signal)));
    return String(reply['prompt'] ?? '');
  };
  try {
    return await apply(forTemplate(messages, tools, facts));
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
  }
  const strict = alternating(messages, tools);
  try {
    return await apply(strict);
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    return chatMl(strict, facts.mediaMarker);
  }
}

/** The most widely known form, for a template that fails on everything. */
function chatMl(messages: readonly EngineMessage[], mark: string): string {
  const turns = messages.map(({ role, content }) => {
    const text = content.map((part) => ('text' in part ? part.text : mark)).join('');
    return `<|im_start|>${role}\n${text}<|im_end|>\n`;
  });
  return `${turns.join('')}<|im_start|>assistant\n`;
}
