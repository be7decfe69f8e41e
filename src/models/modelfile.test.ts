import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Modelfile, parseModelfile, printModelfile } from './modelfile.ts';

test('everything a Modelfile can say', () => {
  const text = `# A comment
FROM ./model.gguf
from mmproj.gguf
ADAPTER ./lora.gguf
PARAMETER temperature 0.5
PARAMETER stop "<|end|>"
parameter STOP """two
lines"""
PARAMETER num_ctx 4096
TEMPLATE """{{ .System }}
# not a comment
FROM nothing
{{ .Prompt }}"""
SYSTEM You are "very" brief.
MESSAGE user "Hello"
MESSAGE assistant """Hi
there"""
LICENSE "MIT"
LICENSE """
And more
"""
RENDERER qwen3
`;
  assert.deepEqual(parseModelfile(text.replaceAll('\n', '\r\n')), {
    from: ['./model.gguf', 'mmproj.gguf'],
    adapters: ['./lora.gguf'],
    params: { temperature: 0.5, stop: ['<|end|>', 'two\nlines'], num_ctx: 4096 },
    template: '{{ .System }}\n# not a comment\nFROM nothing\n{{ .Prompt }}',
    system: 'You are "very" brief.',
    messages: [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hi\nthere' },
    ],
    licenses: ['MIT', '\nAnd more\n'],
  } satisfies Modelfile);
});

const bad: [text: string, message: RegExp][] = [
  ['', /no FROM/],
  ['SYSTEM hi', /no FROM/],
  ['FROM', /line 1: FROM needs a value/],
  ['FROM x\nFOO bar', /line 2: "FOO" is not an instruction/],
  ['FROM x\n\nPARAMETER warmth 1', /line 3: There is no parameter "warmth"/],
  ['FROM x\nPARAMETER num_ctx many', /line 2: The parameter "num_ctx" must be a whole number/],
  ['FROM x\nMESSAGE robot hi', /line 2: a MESSAGE is from/],
  ['FROM x\nSYSTEM """never ends', /line 2: .*does not end/],
];
for (const [text, message] of bad)
  test(`refused: ${JSON.stringify(text)}`, () => {
    assert.throws(() => parseModelfile(text), { code: 'invalid_modelfile', message });
  });

test('what is printed reads back the same', () => {
  const text = fc
    .string({ unit: 'grapheme' })
    .map((value) => value.replaceAll('"', "'").replaceAll('\r', ''))
    .filter((value) => !value.includes('\uFEFF'));
  const file = fc.record({
    from: fc.constant<string[]>(['x']),
    adapters: fc.constant<string[]>([]),
    template: text,
    system: text,
    params: fc.record({
      temperature: fc.double({ min: 0, max: 2, noNaN: true }),
      seed: fc.integer(),
      stop: fc.array(fc.constantFrom('<a>', 'b c', '"q"'), { minLength: 1 }),
    }),
    messages: fc.array(fc.record({ role: fc.constantFrom('user', 'assistant'), content: text })),
    licenses: fc.array(text.filter((value) => value !== '')),
  });
  fc.assert(
    fc.property(file, (given) => {
      assert.deepEqual(
        JSON.parse(JSON.stringify(parseModelfile(printModelfile(given)))),
        JSON.parse(JSON.stringify(given)),
      );
    }),
  );
});
