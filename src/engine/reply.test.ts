import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEventReader, readJson } from './reply.ts';

async function* chunks(...texts: string[]) {
  for (const text of texts) yield Buffer.from(text);
}

const read = (...texts: string[]) => {
  const reader = createEventReader();
  return texts.map((text) => reader(Buffer.from(text)));
};

test('events come in batches, one per read, wherever the reads were cut', () => {
  assert.deepEqual(read('data: {"a":1}\n\ndata: {"a":2}\n\n', 'data: {"a":3}\n\n'), [
    ['{"a":1}', '{"a":2}'],
    ['{"a":3}'],
  ]);
  assert.deepEqual(read('da', 'ta: {"a"', ':"é', '"}\n', '\n'), [[], [], [], ['{"a":"é"}'], []]);
  assert.deepEqual(read(': ping\n\ndata: {"a":1}\n\ndata: [DONE]\n\n'), [['{"a":1}']]);
});

test('a letter cut in two bytes comes whole', () => {
  const bytes = Buffer.from('data: {"a":"é"}\n\n');
  const reader = createEventReader();
  assert.deepEqual(
    [bytes.subarray(0, 13), bytes.subarray(13)].map((part) => reader(part)),
    [[], ['{"a":"é"}']],
  );
});

test('what is not a JSON object is said to be the engine’s fault', async () => {
  await assert.rejects(readJson({ status: 200, body: chunks('<html>') }), { code: 'provider_invalid_response' });
  await assert.rejects(readJson({ status: 200, body: chunks('[1]') }), { code: 'provider_invalid_response' });
  assert.deepEqual(await readJson({ status: 200, body: chunks('{"a"', ':1}') }), { a: 1 });
});
