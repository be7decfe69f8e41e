/** Calls in tags: Qwen3-coder, Llama, GLM and those that write as Claude does. */
import { looseValue, readJson } from './json-text.ts';
import { broken, type FoundCall, no, type Syntax, unfinished } from './reading.ts';

/** `<function=f><parameter=x>1</parameter></function>` (Qwen3-coder) and `<function=f>{…}</function>` (Llama). */
export const functionTag: Syntax = {
  marker: '<function=',
  read(text, _known, ended) {
    const at = text.indexOf('</function>');
    if (at < 0) return unfinished(text, ended);
    const call = functionTagCall(text.slice(0, at));
    return call ? { state: 'calls', calls: [call], end: at + 11 } : broken(at + 11);
  },
};

export function functionTagCall(text: string): FoundCall | undefined {
  const head = /^\s*<function=([^>\s]+)>/.exec(text);
  if (!head) return undefined;
  const body = text.slice(head[0].length);
  const parameters = [...body.matchAll(/<parameter=([^>\s]+)>\n?([\s\S]*?)\n?(?:<\/parameter>|(?=<parameter=)|$)/g)];
  if (parameters.length === 0) return { name: head[1] as string, input: body.trim() ? readJson(body.trim()) : {} };
  return {
    name: head[1] as string,
    input: Object.fromEntries(parameters.map(([, key, value]) => [key, looseValue(value as string)])),
  };
}

/** `<invoke name="f"><parameter name="x">1</parameter></invoke>`. */
export const invoke: Syntax = {
  marker: '<invoke ',
  read(text, _known, ended) {
    const at = text.indexOf('</invoke>');
    if (at < 0) return unfinished(text, ended);
    const name = /^<invoke name="([^"]+)"/.exec(text)?.[1];
    if (!name) return no;
    const parameters = [...text.slice(0, at).matchAll(/<parameter name="([^"]+)"[^>]*>([\s\S]*?)<\/parameter>/g)];
    const input = Object.fromEntries(parameters.map(([, key, value]) => [key, looseValue(value as string)]));
    return { state: 'calls', calls: [{ name, input }], end: at + 9 };
  },
};

/** A mark around calls that says nothing by itself. */
export const wrapper = (marker: string): Syntax => ({
  marker,
  read: () => ({ state: 'calls', calls: [], end: marker.length }),
});

/** `f\n<arg_key>x</arg_key>\n<arg_value>1</arg_value>` (GLM). */
export function argumentTags(text: string): FoundCall | undefined {
  const name = /^([\w.-]+)\s*(?=<arg_key>|$)/.exec(text)?.[1];
  if (!name) return undefined;
  const pairs = [...text.matchAll(/<arg_key>([\s\S]*?)<\/arg_key>\s*<arg_value>([\s\S]*?)<\/arg_value>/g)];
  return {
    name,
    input: Object.fromEntries(pairs.map(([, key, value]) => [(key as string).trim(), looseValue(value as string)])),
  };
}
