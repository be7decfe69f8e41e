/** Is a tool call what its schema asks for? And if not, is it near enough to be put right? */
import type { ValidateFunction } from 'ajv/dist/2020.js';
import type { Tool } from '../../core/chat.ts';
import { isObject, type Json } from '../../core/json.ts';
import { validatorOf } from './json-schema.ts';
import { parseLoosely, repairedArguments } from './tool-repair.ts';

export type CheckedCall =
  | { state: 'valid' | 'repaired'; name: string; arguments: string }
  /** `name` is the tool that was meant; `invented` says that there is none. */
  | { state: 'rejected'; name: string | undefined; reason: string; invented?: true };

/** Knows the tools of one request. */
export type ToolChecker = {
  /** Name as the model wrote it, arguments as JSON text or as what it parsed to. */
  check(name: string, input: Json): CheckedCall;
  /** The tool that a model means by a name that is nearly right. */
  find(name: string): Tool | undefined;
};

export function createToolChecker(tools: readonly Tool[]): ToolChecker {
  const byName = new Map(tools.map((tool) => [tool.name, tool]));

  const find = (name: string): Tool | undefined => {
    const exact = byName.get(name) ?? byName.get(withoutSpace(name).replace(/:\d+$/, ''));
    return exact ?? tools.find((tool) => plain(tool.name) === plain(name));
  };

  /** `get_current_weather` for `get_weather`: one has all the words of the other. */
  const nearest = (name: string): Tool | undefined => {
    const called = wordsOf(withoutSpace(name));
    return tools.find((tool) => {
      const own = wordsOf(tool.name);
      const shared = called.filter((word) => own.includes(word));
      return shared.length === Math.min(called.length, own.length) && shared.some((word) => word.length >= tellingWord);
    });
  };

  return {
    find,
    check(called, input) {
      const tool = find(called);
      if (!tool) {
        const name = nearest(called)?.name;
        const reason = `there is no tool "${called}"`;
        return { state: 'rejected', name, reason, ...(name === undefined && { invented: true }) };
      }
      return checkArguments(tool, called, input);
    },
  };
}

function checkArguments(tool: Tool, called: string, input: Json): CheckedCall {
  const { name } = tool;
  const parsed = parseLoosely(input);
  if (!parsed) return { state: 'rejected', name, reason: 'its arguments are not JSON' };
  const validate = tool.parameters && validatorOf(tool.parameters);
  if (isObject(parsed.value) && (!validate || validate(parsed.value))) {
    const text = typeof input === 'string' && !parsed.repaired ? input : JSON.stringify(parsed.value);
    return { state: name === called && !parsed.repaired ? 'valid' : 'repaired', name, arguments: text };
  }
  const repaired = repairedArguments(parsed.value, tool, validate);
  if (repaired) return { state: 'repaired', name, arguments: JSON.stringify(repaired) };
  return { state: 'rejected', name, reason: `its arguments do not fit: ${complaint(parsed.value, validate)}` };
}

/** The first thing that is wrong, in ajv's words: `"days" must be integer`. */
function complaint(value: Json, validate: ValidateFunction | undefined): string {
  validate?.(isObject(value) ? value : {});
  const first = validate?.errors?.[0];
  const where = first?.instancePath ? `"${first.instancePath.slice(1).replaceAll('/', '.')}" ` : '';
  return `${where}${first?.message ?? ''}`;
}

/** Without the name space that some models put before every tool. */
const withoutSpace = (name: string) => name.replace(/^(functions?|tools?)[.:]/, '');

const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** Letters of a word that says more than `get` and `add` do. */
const tellingWord = 4;

const wordsOf = (name: string) =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);
