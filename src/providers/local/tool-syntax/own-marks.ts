/** Families with marks for each part of a call: functionary, DeepSeek, Kimi. */
import { readJson, scanJson } from './json-text.ts';
import { broken, no, type Syntax, unfinished, wait } from './reading.ts';

/** `>>>f\n{…}` (functionary). */
export const functionary: Syntax = {
  marker: '>>>',
  read(text, known, ended) {
    const head = /^>>>([\w.-]*)(\n?)/.exec(text) as RegExpExecArray;
    const name = head[1] as string;
    if (!head[2]) return known.couldBeTool(name) && head[0].length === text.length && !ended ? wait : no;
    if (!known.isTool(name)) return no;
    const end = scanJson(text, head[0].length);
    if (end === 'wait') return unfinished(text, ended);
    if (end === 'no') return broken(text.length);
    return { state: 'calls', calls: [{ name, input: readJson(text.slice(head[0].length, end)) }], end };
  },
};

/** DeepSeek: the name, then the arguments in a fenced block or as they are, between its own marks. */
export const deepSeek: Syntax = {
  marker: '<｜tool▁calls▁begin｜>',
  read(text, _known, ended) {
    const close = '<｜tool▁calls▁end｜>';
    const at = text.indexOf(close);
    if (at < 0 && !ended) return wait;
    const body = at < 0 ? text : text.slice(0, at);
    const calls = [
      ...body.matchAll(
        /<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?([^\n<]+?)(?:<｜tool▁sep｜>|\n)(?:```json\n)?([\s\S]*?)(?:\n```)?<｜tool▁call▁end｜>/g,
      ),
    ].map(([, name, json]) => ({ name: (name as string).trim(), input: readJson(json as string) }));
    const end = at < 0 ? text.length : at + close.length;
    return calls.length ? { state: 'calls', calls, end } : broken(end);
  },
};

/** Kimi K2. */
export const kimi: Syntax = {
  marker: '<|tool_calls_section_begin|>',
  read(text, _known, ended) {
    const close = '<|tool_calls_section_end|>';
    const at = text.indexOf(close);
    if (at < 0 && !ended) return wait;
    const body = at < 0 ? text : text.slice(0, at);
    const calls = [
      ...body.matchAll(
        /<\|tool_call_begin\|>\s*([^\s<]+)\s*<\|tool_call_argument_begin\|>([\s\S]*?)<\|tool_call_end\|>/g,
      ),
    ].map(([, name, json]) => ({ name: name as string, input: readJson((json as string).trim()) }));
    const end = at < 0 ? text.length : at + close.length;
    return calls.length ? { state: 'calls', calls, end } : broken(end);
  },
};
