import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createNdjsonParser } from './ndjson.ts';
import { SseError } from './sse.ts';

const text = '{"a":"ü🌊"}\n\n{"b":2}\r\n{"c":3}';

test('lines come whole however the bytes are cut', () => {
  const bytes = Buffer.from(text);
  for (let size = 1; size <= bytes.length; size++) {
    const parser = createNdjsonParser();
    const lines: string[] = [];
    for (let at = 0; at < bytes.length; at += size)
      lines.push(...parser.push(bytes.subarray(at, at + size)).map(({ data }) => data));
    lines.push(...parser.end().map(({ data }) => data));
    assert.deepEqual(
      lines.map((line) => JSON.parse(line)),
      [{ a: 'ü🌊' }, { b: 2 }, { c: 3 }],
    );
  }
});

test('a line without end is refused', () => {
  const parser = createNdjsonParser(10);
  parser.push('0123456789');
  assert.throws(() => parser.push('x'), SseError);
});
