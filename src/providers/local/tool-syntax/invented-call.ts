/** Bare JSON that has all of a call but the name of a tool that exists: models make up tools when they are offered some. */
import { scanJson, skipBlank, skipSeparator } from './json-text.ts';

const names = ['name', 'function', 'tool', 'tool_name', 'function_name'];
const wrappers = ['function', 'function_call', 'tool_call'];
const inputs = ['arguments', 'parameters', 'args'];
/** What may stand beside them. Any other field makes it a document. */
const others = ['type', 'id'];
const fields = [...names, ...wrappers, ...inputs, ...others];

/** `text` begins with a brace. Decides with the first field that no call has, so that other JSON is not held back. */
export function judgeInvented(text: string): 'call' | 'wait' | 'no' {
  let named = false;
  let given = false;
  let at = skipBlank(text, 1);
  while (at < text.length && text[at] !== '}') {
    const field = readKey(text, at);
    if (field === 'no') return 'no';
    if (field === 'wait') break;
    const { key, valueAt } = field;
    const end = valueEnd(text, valueAt, key);
    if (end === 'no') return 'no';
    if (end === 'inside') return judgeInvented(text.slice(valueAt));
    named ||= names.includes(key);
    given ||= inputs.includes(key);
    if (end === 'wait') break;
    at = skipSeparator(text, end);
  }
  if (named && given) return 'call';
  return text[at] === '}' ? 'no' : 'wait';
}

/** The key that begins at `at`; `no` when it is no call's. */
function readKey(text: string, at: number): { key: string; valueAt: number } | 'wait' | 'no' {
  const match = /^"(\w*)(?:"\s*(:?)\s*)?/.exec(text.slice(at));
  if (!match) return 'no';
  const [head, key = '', colon] = match;
  const isWhole = head.length > key.length + 1;
  if (!fields.some((name) => (isWhole ? name === key : name.startsWith(key)))) return 'no';
  const valueAt = at + head.length;
  if (valueAt === text.length) return 'wait';
  return colon ? { key, valueAt } : 'no';
}

/** Index after the value that begins at `at`; `inside` when the call is within it. */
function valueEnd(text: string, at: number, key: string): number | 'wait' | 'no' | 'inside' {
  if (text[at] === '{') {
    if (wrappers.includes(key)) return 'inside';
    return inputs.includes(key) ? scanJson(text, at) : 'no';
  }
  if (text[at] !== '"' || inputs.includes(key)) return 'no';
  const [string = ''] = /^"(?:[^"\\]|\\.)*"?/s.exec(text.slice(at)) ?? [];
  const isWhole = string.length > 1 && string.endsWith('"') && !string.endsWith('\\"');
  if (key === 'type' && isWhole && !/^"(function|tool)/.test(string)) return 'no';
  return isWhole ? at + string.length : 'wait';
}
