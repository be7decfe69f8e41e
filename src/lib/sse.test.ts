import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createSseParser, formatSse, SseError, type SseMessage } from './sse.ts';

function parse(...chunks: (Buffer | string)[]): SseMessage[] {
  const parser = createSseParser();
  return [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()];
}

test('messages are ended by LF, CRLF or CR', () => {
  const expected = [{ data: 'a' }, { data: 'b', event: 'e' }];
  assert.deepEqual(parse('data: a\n\nevent: e\ndata: b\n\n'), expected);
  assert.deepEqual(parse('data: a\r\n\r\nevent: e\r\ndata: b\r\n\r\n'), expected);
  assert.deepEqual(parse('data: a\r\revent: e\rdata: b\r\r'), expected);
});

test('a message is given as soon as its blank line has come, even where CRLF is cut in two', () => {
  const parser = createSseParser();
  assert.deepEqual(parser.push('data: a\r\n\r'), [{ data: 'a' }]);
  assert.deepEqual(parser.push('\ndata: b\r\n\r\n'), [{ data: 'b' }]);
  assert.deepEqual(parser.end(), []);
});

test('comments, unknown fields and messages without data are skipped; a BOM is dropped', () => {
  assert.deepEqual(parse('\uFEFFdata: a\n\n: ping\n\nevent: nothing\n\nx: y\ndata\n\n'), [{ data: 'a' }, { data: '' }]);
});

test('several data lines are joined, one space after the colon is dropped, id and retry are kept', () => {
  assert.deepEqual(parse('data:  a\ndata:b\nid: 7\nretry: 100\n\n'), [{ data: ' a\nb', id: '7', retry: 100 }]);
});

test('a last message without its blank line counts', () => {
  assert.deepEqual(parse('data: a\n\ndata: [DONE]'), [{ data: 'a' }, { data: '[DONE]' }]);
});

test('an event beyond the limit is an error', () => {
  const parser = createSseParser(100);
  parser.push('data: '.padEnd(90, 'x'));
  assert.throws(() => parser.push('xxxxxxxxxxxxxxxx'), SseError);
  const lines = createSseParser(100);
  assert.throws(() => lines.push('data: 123456789\n'.repeat(20)), SseError);
});

test('formatted messages come back whole, cut anywhere', () => {
  const text = fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\r', ''));
  const message = fc.record(
    { data: text, event: fc.constantFrom('delta', 'done') },
    { requiredKeys: ['data'], noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.nat(200)), (messages, cuts) => {
      const bytes = Buffer.from(messages.map(formatSse).join(''));
      const chunks: Buffer[] = [];
      let from = 0;
      for (const cut of [...cuts, bytes.length]) {
        chunks.push(bytes.subarray(from, from + cut));
        from += cut;
      }
      assert.deepEqual(parse(...chunks), messages);
    }),
  );
});
