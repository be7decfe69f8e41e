import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createThinkSplitter, openedByPrompt } from './think-splitter.ts';

function split(pieces: string[], opened?: string) {
  const splitter = createThinkSplitter(opened);
  const said = [...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()];
  const join = (kind: string) => said.filter((item) => item.kind === kind).map(({ text }) => text).join(''); // biome-ignore format: one line
  return { text: join('text'), reasoning: join('reasoning') };
}

const cases: [name: string, whole: string, opened: string | undefined, text: string, reasoning: string][] = [
  ['no thought', 'Hello <think> is a tag', undefined, 'Hello <think> is a tag', ''],
  ['a thought', '<think>\nHm, so.\n</think>\n\nHello', undefined, 'Hello', 'Hm, so.'],
  ['blanks before', '\n <think>a</think>b', undefined, 'b', 'a'],
  ['opened by the prompt', 'Hm </think> Yes', '<think>', 'Yes', 'Hm'],
  ['never closed', '<think>forever', undefined, '', 'forever'],
  ['empty', '<think>\n\n</think>\n\nHi', undefined, 'Hi', ''],
  ['another tag', '[THINK]x < y[/THINK]z', undefined, 'z', 'x < y'],
  ['a tag in the thought', '<think>a </thin b</think>c', undefined, 'c', 'a </thin b'],
  ['only part of a tag', '<thi', undefined, '<thi', ''],
];

for (const [name, whole, opened, text, reasoning] of cases)
  test(`${name}, however it is cut`, () => {
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length), { maxLength: 6 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), whole.length];
        const pieces = at.slice(1).map((end, i) => whole.slice(at[i], end));
        assert.deepEqual(split(pieces, opened), { text, reasoning });
      }),
    );
  });

test('sees what the prompt has opened', () => {
  assert.equal(openedByPrompt('<|im_start|>assistant\n<think>\n'), '<think>');
  assert.equal(openedByPrompt('<|im_start|>assistant\n<think>\n\n</think>\n\n'), undefined);
});
