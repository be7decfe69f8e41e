/** Real recorded traffic, both ways: nothing that a provider said is lost, and a client's request comes out as it went in. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ChatEvent } from '../../core/chat.ts';
import { createFolder } from '../../core/collect.ts';
import type { JsonObject } from '../../core/json.ts';
import { createSseParser } from '../../lib/sse.ts';
import { createRelayScanner } from './relay-scanner.ts';
import { decodeRequest, encodeRequest } from './request.ts';
import { createStreamDecoder, decodeResponse } from './stream-decoder.ts';

type Annotation = { url: string; title: string; start_index: number; end_index: number };
type Part = { type: string; text?: string; refusal?: string; annotations?: Annotation[] };
type OutputItem = { type: string; content?: Part[]; call_id?: string; name?: string; arguments?: string };
type Final = { output: OutputItem[]; usage: { input_tokens: number; output_tokens: number } };
type Recording = { request: { body: string }; response: { body: string } };

const folder = join(import.meta.dirname, '__fixtures__');
const recordings = readdirSync(folder).map((file) => ({
  file,
  recording: JSON.parse(readFileSync(join(folder, file), 'utf8')) as Recording,
}));

/** What the provider says at the end, read by itself. */
function finalOf(body: string): Final {
  if (!isStream(body)) return JSON.parse(body) as Final;
  const last = body.split('\n').findLast((line) => line.startsWith('data:') && line.includes('response.completed'));
  return (JSON.parse(last?.slice('data:'.length) ?? '{}') as { response: Final }).response;
}

const isStream = (body: string) => /^(event|data):/.test(body);

function decode(body: string): ChatEvent[] {
  if (!isStream(body)) return decodeResponse(JSON.parse(body) as JsonObject);
  const parser = createSseParser();
  const decoder = createStreamDecoder();
  const messages = [...parser.push(body), ...parser.end()];
  return [...messages.flatMap((message) => decoder.push(message)), ...decoder.end()];
}

for (const { file, recording } of recordings)
  describe(file, () => {
    const { body } = recording.response;
    const final = finalOf(body);

    test('the answer is decoded whole', () => {
      const events = createFolder();
      for (const event of decode(body)) events.push(event);
      const { parts, finish, citations = [] } = events.result();
      const said = final.output.flatMap((item) => (item.type === 'message' ? (item.content ?? []) : []));
      assert.equal(
        parts.map((part) => (part.type === 'text' ? part.text : '')).join(''),
        said.map(({ text }) => text ?? '').join(''),
      );
      const answer = [...said.map(({ text }) => text ?? '').join('')];
      assert.deepEqual(
        citations.map(({ url, title, span }) => [url, title, answer.slice(span?.start, span?.end).join('')]),
        said.flatMap(({ text = '', annotations = [] }) =>
          annotations.map(({ url, title, start_index, end_index }) => [
            url,
            title,
            [...text].slice(start_index, end_index).join(''),
          ]),
        ),
      );
      assert.deepEqual(
        parts.flatMap((part) => (part.type === 'tool-call' ? [[part.id, part.name, part.arguments]] : [])),
        final.output.flatMap((item) =>
          item.type === 'function_call' ? [[item.call_id, item.name, item.arguments]] : [],
        ),
      );
      const { input, output } = finish.usage;
      assert.deepEqual({ input, output }, { input: final.usage.input_tokens, output: final.usage.output_tokens });
      const called = final.output.some(({ type }) => type === 'function_call');
      assert.equal(finish.reason, called ? 'tool-calls' : 'stop');
    });

    test('the scanner sees the same, however the bytes are cut', () => {
      const bytes = Buffer.from(body);
      for (const size of isStream(body) ? [1, 17, 4096, bytes.length] : [bytes.length]) {
        const scanner = createRelayScanner();
        for (let at = 0; at < bytes.length; at += size) scanner.push(bytes.subarray(at, at + size));
        scanner.end?.();
        assert.deepEqual(
          [scanner.done, scanner.contentSeen, scanner.error, scanner.usage?.input, scanner.usage?.output],
          [true, true, undefined, final.usage.input_tokens, final.usage.output_tokens],
        );
      }
    });

    test('the request survives our reading and writing', { skip: /web-search/.test(file) }, () => {
      const neutral = decodeRequest(JSON.parse(recording.request.body) as JsonObject);
      const again = decodeRequest(encodeRequest(neutral));
      // A plain thought goes back only to a provider that it came from.
      const withoutThoughts = (request: typeof neutral) => ({
        ...request,
        messages: request.messages.map((message) => ({
          ...message,
          parts: message.parts.filter((part) => part.type !== 'reasoning' || part.signature !== undefined),
        })),
      });
      assert.deepEqual(withoutThoughts(again), withoutThoughts(neutral));
    });
  });

test('items and tools of a provider itself are told apart from what any model takes', () => {
  const found = recordings.find(({ file }) => /web-search/.test(file));
  assert.throws(() => decodeRequest(JSON.parse(found?.recording.request.body ?? '{}') as JsonObject), {
    code: 'unsupported_capability',
    param: /^input\[\d+\]\.type$/,
  });
});
