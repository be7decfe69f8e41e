/** Calls as JSON objects, in the fields of any family. */
import { isObject, type Json } from '../../../core/json.ts';
import { jsonValues } from './json-text.ts';
import { broken, type FoundCall, type Reading } from './reading.ts';
import { argumentTags, functionTagCall } from './xml-tags.ts';

/** The fields that hold the name, as alternatives of a regular expression. */
export const nameKeys = 'name|function|tool|tool_name|function_name|action|recipient_name';

/** Calls in JSON text, or in the XML that stands for it. */
export function callsOf(text: string, end: number, mustAll = false): Reading {
  const trimmed = text.trim();
  if (trimmed.startsWith('<function=')) {
    const calls = trimmed
      .split('</function>')
      .map(functionTagCall)
      .filter((call) => call !== undefined);
    return calls.length ? { state: 'calls', calls, end } : broken(end);
  }
  const xml = argumentTags(trimmed);
  if (xml) return { state: 'calls', calls: [xml], end };
  const values = jsonValues(trimmed);
  const calls = values
    .flat()
    .map(callOf)
    .filter((call) => call !== undefined);
  if (calls.length === 0 || (mustAll && calls.length < values.flat().length)) return broken(end);
  return { state: 'calls', calls, end };
}

/** The fields in which families put name and arguments. */
function callOf(value: Json): FoundCall | undefined {
  if (!isObject(value)) return undefined;
  for (const wrapper of ['tool_call', 'function_call', 'function']) {
    const inner = value[wrapper];
    if (isObject(inner)) return callOf(inner);
  }
  const name = nameKeys
    .split('|')
    .map((key) => value[key])
    .find((item) => typeof item === 'string');
  if (typeof name !== 'string') return undefined;
  const input = ['arguments', 'parameters', 'args', 'input', 'params', 'kwargs']
    .map((key) => value[key])
    .find((item) => item !== undefined);
  return { name, input: input ?? {} };
}
