/** What an answer must look like, as a grammar: a JSON document, tool calls, or either. */
import type { ChatRequest, Tool } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { createRules, literal, type Rules, repeat } from './grammar/rules.ts';
import { anyObjectGrammar, checkSize, SchemaError, schemaGrammar } from './grammar/schema.ts';

export type Constraint = {
  kind: 'free' | 'document' | 'calls' | 'grammar';
  /** The grammar, once it is known whether a thought comes first. Absent for `free`. */
  grammar?: (thought: 'none' | 'maybe' | 'open') => string;
  /** False when a call that fits the grammar may still not fit its schema. */
  exact: boolean;
};

/** The tools of a request: what stands in the prompt, what may be called, and whether something must be. */
export type ToolPlan = { shown: readonly Tool[]; callable: readonly Tool[]; forced: boolean; many: boolean };

const maxTools = 1024;
const maxCalls = 8;
const emptyObject: JsonObject = { type: 'object', properties: {}, additionalProperties: false };

/**
 * Throws invalid_request for a choice of a tool that is not there, or too many tools; invalid_json_schema for arguments
 * that are no object.
 */
export function planTools({ tools = [], toolChoice = 'auto', parallelToolCalls }: ChatRequest): ToolPlan {
  if (tools.length > maxTools)
    throw new ViaductError('invalid_request', `There are ${tools.length} tools; at most ${maxTools} are allowed.`, {
      param: 'tools',
    });
  for (const [index, { parameters }] of tools.entries()) {
    const path = `tools[${index}].function.parameters`;
    if (!parameters) continue;
    asViaductError(() => checkSize(parameters, path));
    const { type } = parameters;
    if (typeof type === 'string' && type !== 'object')
      throw new ViaductError(
        'invalid_json_schema',
        `A tool's parameters must be a JSON Schema of "type": "object", not "${type}".`,
        { param: `${path}.type` },
      );
  }
  const many = parallelToolCalls !== false;
  if (toolChoice === 'none') return { shown: [], callable: [], forced: false, many };
  if (toolChoice === 'auto') return { shown: tools, callable: tools, forced: false, many };
  const pick = (names: string[]) =>
    names.map((name) => {
      const tool = tools.find((candidate) => candidate.name === name);
      if (tool) return tool;
      throw new ViaductError('invalid_request', `tool_choice names the tool "${name}", which is not among the tools.`, {
        param: 'tool_choice',
      });
    });
  if (toolChoice === 'required') {
    if (tools.length === 0)
      throw new ViaductError('invalid_request', 'tool_choice is "required", but there are no tools.', {
        param: 'tool_choice',
      });
    return { shown: tools, callable: tools, forced: true, many: parallelToolCalls === true };
  }
  if ('name' in toolChoice) return { shown: tools, callable: pick([toolChoice.name]), forced: true, many: false };
  const forced = toolChoice.mode === 'required';
  return { shown: tools, callable: pick(toolChoice.allowed), forced, many: forced ? parallelToolCalls === true : many };
}

/**
 * `budget` is the number of tokens that the answer may take: what the grammar leaves room for.
 * Throws invalid_json_schema, which names the keyword that cannot be enforced.
 */
export function constrain(request: ChatRequest, plan: ToolPlan, budget: number): Constraint {
  if (plan.forced) return callsConstraint(plan.callable, plan.many, budget);
  const { responseFormat: format, local } = request;
  if (local?.grammar) {
    const { grammar } = local;
    return { kind: 'grammar', grammar: () => grammar, exact: true };
  }
  if (!format || format.type === 'text') {
    for (const [index, tool] of plan.callable.entries())
      if (tool.strict) strictArguments(createRules(), tool, index, budget);
    return { kind: 'free', exact: true };
  }
  return asViaductError(() => {
    const rules = createRules();
    const document =
      format.type === 'json'
        ? anyObjectGrammar(rules, budget)
        : schemaGrammar(rules).document(format.schema, budget, true, 'response_format.json_schema.schema');
    const { callable } = plan;
    const root = callable.length > 0 ? `(${callsRoot(rules, callable, false, budget).root} | ${document})` : document;
    return { kind: 'document', grammar: (thought) => withThought(rules, root, thought), exact: true };
  });
}

/** Exactly one call of these tools, or one to some: what `required` means, and what a retry asks for. */
export function callsConstraint(tools: readonly Tool[], many: boolean, budget: number): Constraint {
  return asViaductError(() => {
    const rules = createRules();
    const { root, exact } = callsRoot(rules, tools, many, budget);
    return { kind: 'calls', grammar: (thought) => withThought(rules, root, thought), exact };
  });
}

/** `{"name": "f", "arguments": {…}}`, or a list of them; `createCallReader` reads this and nothing else. */
function callsRoot(rules: Rules, tools: readonly Tool[], many: boolean, budget: number) {
  let exact = true;
  const options = tools.map((tool, index) => {
    const written = strictArguments(rules, tool, index, many ? budget / 2 : budget);
    exact &&= written.exact;
    return `${literal(`{"name": ${JSON.stringify(tool.name)}, "arguments": `)} ${written.expression} "}"`;
  });
  const call = rules.add('call', options.join(' | '));
  if (!many) return { root: call, exact };
  const more = rules.add('more-calls', `", " ${call}`);
  return { root: `"[" ${call} ${repeat(rules, more, 0, maxCalls - 1)} "]"`, exact };
}

/** A tool that is not strict keeps what can be enforced; the rest is validated afterwards. */
function strictArguments(rules: Rules, tool: Tool, index: number, budget: number) {
  const schema = { ...(tool.parameters ?? emptyObject) };
  // Arguments are an object whatever the schema forgets to say.
  if (schema['type'] === undefined && !schema['$ref'] && !schema['anyOf'] && !schema['oneOf'] && !schema['allOf'])
    schema['type'] = 'object';
  const writer = schemaGrammar(rules);
  const path = `tools[${index}].function.parameters`;
  if (tool.strict)
    return { expression: asViaductError(() => writer.document(schema, budget, true, path)), exact: true };
  try {
    return { expression: writer.document(schema, budget, true, path), exact: true };
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
  }
  return { expression: asViaductError(() => writer.document(schema, budget, false, path)), exact: false };
}

function withThought(rules: Rules, root: string, thought: 'none' | 'maybe' | 'open'): string {
  if (thought === 'none') return rules.text(root);
  const text = rules.add('thought', '([^<] | "<" [^/])* "</think>" [ \\n]{0,4}');
  return rules.text(thought === 'open' ? `${text} ${root}` : `("<think>" ${text})? ${root}`);
}

function asViaductError<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw new ViaductError('invalid_json_schema', `${error.message}.`, { param: error.path });
  }
}
