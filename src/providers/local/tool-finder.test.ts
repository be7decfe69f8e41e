import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createToolFinder, type Found } from './tool-finder.ts';

const names = ['get_weather', 'add'];
const paris = { name: 'get_weather', input: { city: 'Paris' } };
const sum = { name: 'add', input: { a: 1, b: 2 } };

function find(pieces: string[]) {
  const finder = createToolFinder(names);
  const found: Found[] = [...pieces.flatMap((piece) => finder.push(piece)), ...finder.end()];
  return {
    text: found.map((item) => (item.kind === 'text' ? item.text : '')).join(''),
    calls: found.flatMap((item) => (item.kind === 'calls' ? item.calls : [])),
    broken: found.filter((item) => item.kind === 'broken').length,
  };
}

type Expected = { text?: string; calls?: object[]; broken?: number };
const json = '{"name": "get_weather", "arguments": {"city": "Paris"}}';
const cases: [name: string, whole: string, expected: Expected][] = [
  ['Hermes', `<tool_call>\n${json}\n</tool_call>`, { calls: [paris] }],
  ['two Hermes calls with text before', `Let me see.\n<tool_call>\n${json}\n</tool_call>\n<tool_call>{"name":"add","arguments":{"a":1,"b":2}}</tool_call>`, { text: 'Let me see.', calls: [paris, sum] }],
  ['Hermes without an end', `<tool_call>\n${json}`, { calls: [paris] }],
  ['bare JSON', json, { calls: [paris] }],
  ['bare JSON after a sentence', `Here is the call:\n\n${json}`, { text: 'Here is the call:', calls: [paris] }],
  ['several bare ones', `${json}\n{"name": "add", "arguments": {"a": 1, "b": 2}}`, { calls: [paris, sum] }],
  ['parameters for arguments', '{"name": "get_weather", "parameters": {"city": "Paris"}}', { calls: [paris] }],
  ['type first', '{"type": "function", "name": "get_weather", "parameters": {"city": "Paris"}}', { calls: [paris] }],
  ['wrapped as OpenAI does', '{"function": {"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}}', { calls: [{ name: 'get_weather', input: '{"city": "Paris"}' }] }],
  ['fenced JSON', `\`\`\`json\n${json}\n\`\`\``, { calls: [paris] }],
  ['fenced after text', `Sure:\n\`\`\`\n${json}\n\`\`\``, { text: 'Sure:', calls: [paris] }],
  ['a list in a fence', `\`\`\`json\n[${json}]\n\`\`\``, { calls: [paris] }],
  ['Mistral', `[TOOL_CALLS][${json}]`, { calls: [paris] }],
  ['newer Mistral', '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}', { calls: [paris] }],
  ['Llama 3', '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris"}}', { calls: [paris] }],
  ['Llama 3 function tag', '<function=get_weather>{"city": "Paris"}</function>', { calls: [paris] }],
  ['Qwen3-coder', '<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>', { calls: [paris] }],
  ['GLM', '<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Paris</arg_value>\n</tool_call>', { calls: [paris] }],
  ['pythonic', '[get_weather(city="Paris"), add(a=1, b=2)]', { calls: [paris, sum] }],
  ['pythonic in marks', '<|python_tag|>get_weather(city="Paris")', { calls: [paris] }],
  ['functionary', '>>>get_weather\n{"city": "Paris"}', { calls: [paris] }],
  ['DeepSeek', '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{"city": "Paris"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>', { calls: [paris] }],
  ['DeepSeek 3.1', '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{"city": "Paris"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>', { calls: [paris] }],
  ['Kimi', '<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>{"city": "Paris"}<|tool_call_end|><|tool_calls_section_end|>', { calls: [{ ...paris, name: 'functions.get_weather:0' }] }],
  ['invoke', '<function_calls><invoke name="get_weather"><parameter name="city">Paris</parameter></invoke></function_calls>', { calls: [paris] }],
  ['broken JSON that can be mended', "<tool_call>{'name': 'get_weather', 'arguments': {'city': 'Paris',}}</tool_call>", { calls: [paris] }],
  ['a call of no tool', '{"name": "hello", "arguments": {}}', { calls: [{ name: 'hello', input: {} }] }],
  ['a call of no tool in a fence', '```json\n{\n  "name": "joke",\n  "parameters": {"text": "Why? \\"}{\\""}\n}\n```', { calls: [{ name: 'joke', input: { text: 'Why? "}{"' } }] }],
  ['a call of no tool, as OpenAI writes it', '{"type": "function", "function": {"name": "hello", "arguments": {"a": 1}}}', { calls: [{ name: 'hello', input: { a: 1 } }] }],
  ['a call of no tool in a list', '[{"name": "hello", "arguments": {}}]', { calls: [{ name: 'hello', input: {} }] }],
  ['a call of no tool cut off', '{"name": "hello", "arguments": {"a', { broken: 1 }],
  ['a call of no tool after text', 'Like {"name": "hello", "arguments": {}}.', { text: 'Like {"name": "hello", "arguments": {}}.' }],
  ['a document with more fields than a call', '{"name": "Bob", "parameters": {"speed": 3}, "age": 3}', { text: '{"name": "Bob", "parameters": {"speed": 3}, "age": 3}' }],
  ['a document with other values', '{"name": "Bob", "arguments": ["a"]}', { text: '{"name": "Bob", "arguments": ["a"]}' }],
  ['a document of another type', '{"type": "robot", "name": "Bob", "parameters": {}}', { text: '{"type": "robot", "name": "Bob", "parameters": {}}' }],
  ['in a tag', `<json>\n${json}\n</json>`, { calls: [paris] }],
  ['a tag around anything else', '<json>{"a": 1}</json>', { text: '<json>{"a": 1}</json>' }],
  ['a call cut off', '<tool_call>{"name": "get_weather", "argum', { broken: 1 }],
  ['a bare call cut off', '{"name": "get_weather", "argum', { broken: 1 }],
  ['other JSON', '{"name": "Bob", "age": 3}', { text: '{"name": "Bob", "age": 3}' }],
  ['JSON with other keys', '{"city": "Paris"}', { text: '{"city": "Paris"}' }],
  ['code', '```python\nprint({"a": 1})\n```', { text: '```python\nprint({"a": 1})\n```' }],
  ['a list', '[1, 2, 3] and [link](x)', { text: '[1, 2, 3] and [link](x)' }],
  ['comparison', 'a < b <toolbox> `x` ``` y', { text: 'a < b <toolbox> `x` ``` y' }],
  ['plain text', 'It is sunny in Paris.\n\nBye', { text: 'It is sunny in Paris.\n\nBye' }],
]; // biome-ignore format: a table

for (const [name, whole, { text = '', calls = [], broken = 0 }] of cases)
  test(`${name}, however it is cut`, () => {
    assert.deepEqual(find([whole]), { text, calls, broken });
    assert.deepEqual(find([...whole]), { text, calls, broken });
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 5 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), whole.length];
        assert.deepEqual(find(at.slice(1).map((end, i) => whole.slice(at[i], end))), { text, calls, broken });
      }),
      { numRuns: 50 },
    );
  });

test('text without calls passes unchanged, whatever it is', () => {
  const pieces = fc.array(
    fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      'name',
      ': ',
      '```',
      '<',
      '>',
      '\n',
      ' ',
      'a',
      '(',
      ')',
      '|',
      'add',
      'x=1',
      'é',
    ),
  );
  fc.assert(
    fc.property(pieces, (list) => {
      const { text, calls, broken } = find(list);
      if (calls.length === 0 && broken === 0) assert.equal(text, list.join(''));
    }),
  );
});

test('text is not held back longer than needed', () => {
  const finder = createToolFinder(names);
  assert.deepEqual(finder.push('Hello'), [{ kind: 'text', text: 'Hello' }]);
  assert.deepEqual(finder.push(' {"city"'), [{ kind: 'text', text: ' {"city"' }]);
  assert.deepEqual(finder.push('{"name": "Bo'), [{ kind: 'text', text: '{"name": "Bo' }]);
  // At the beginning it might be a call of a tool that there is not, until it has a field that no call has.
  const document = createToolFinder(names);
  assert.deepEqual(document.push('{"name": "Bob", "a'), []);
  assert.deepEqual(document.push('ge'), [{ kind: 'text', text: '{"name": "Bob", "age' }]);
  assert.deepEqual(createToolFinder(names, true).push('{"name": "Bo'), [{ kind: 'text', text: '{"name": "Bo' }]);
});
