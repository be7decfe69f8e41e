/** Real recorded traffic decodes without loss. The expectation is read out of the wire by other, simpler code than the decoder's. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { ChatEvent } from '../../core/chat.ts';
import { createFolder } from '../../core/collect.ts';
import { createSseParser } from '../../lib/sse.ts';
import {
  createRelayScanner,
  createStreamDecoder,
  createStreamEncoder,
  decodeError,
  decodeRequest,
  decodeResponse,
  encodeRequest,
  encodeResponse,
} from '../anthropic-messages.ts';

// biome-ignore lint/suspicious/noExplicitAny: the naive reading takes the wire as it is
type Wire = any;
type Recording = { url: string; request: Wire; status: number; body: string };

const folders = [
  join(import.meta.dirname, '__fixtures__'),
  // All of them, where they lie beside the clone.
  ...['anthropic', 'bedrock', 'vertex'].map((name) =>
    join(import.meta.dirname, '../../../../shared/fixtures/recorded', name),
  ),
];

function recordings(): Map<string, Recording> {
  const found = new Map<string, Recording>();
  for (const folder of folders) {
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder)) {
      const { request, response }: Wire = JSON.parse(readFileSync(join(folder, file), 'utf8'));
      const url: string = request.url;
      const speaksMessages =
        /\/v1\/messages/.test(url) || (/anthropic.*\/invoke/.test(url) && request.body?.includes('"messages"'));
      if (!speaksMessages) continue;
      found.set(file, { url, request: JSON.parse(request.body), status: response.status, body: response.body });
    }
  }
  return found;
}

type Reading = {
  text: string;
  thoughts: string;
  signatures: string;
  redacted: string;
  calls: string[];
  /** Source, its words, and those of the answer that stand on it. */
  citations: string[][];
  usage: number[];
  stop: string;
};

const eventsOf = (body: string): Wire[] =>
  body
    .split('\n')
    .filter((line) => line.startsWith('data:'))
    .map((line) => JSON.parse(line.slice(5)));

/** Which field of its block a delta grows, and which of its own it has the text in. */
const growth: Record<string, [string, string]> = {
  text_delta: ['text', 'text'],
  thinking_delta: ['thinking', 'thinking'],
  signature_delta: ['signature', 'signature'],
  input_json_delta: ['json', 'partial_json'],
};

/** A stream put together into one message, as the SDKs do. */
function assembled(events: Wire[]): Wire {
  const message = { content: [] as Wire[], usage: {} as Wire, stop_reason: '' };
  for (const event of events) {
    if (event.type === 'message_start') message.usage = event.message.usage;
    if (event.type === 'content_block_start') message.content[event.index] = { ...event.content_block, json: '' };
    const [field, source] = growth[event.delta?.type] ?? [];
    if (field && source) message.content[event.index][field] += event.delta[source];
    if (event.delta?.type === 'citations_delta') {
      const block = message.content[event.index];
      block.citations = [...(block.citations ?? []), event.delta.citation];
    }
    if (event.type === 'message_delta') {
      Object.assign(
        message.usage,
        Object.fromEntries(Object.entries(event.usage).filter(([, value]) => value != null)),
      );
      message.stop_reason = event.delta.stop_reason;
    }
  }
  for (const block of message.content) if (block.json) block.input = JSON.parse(block.json);
  return message;
}

function naive(message: Wire): Reading {
  const all = (type: string, field: string) =>
    message.content.map((block: Wire) => (block.type === type ? block[field] : '')).join('');
  const { usage } = message;
  const input = usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0);
  return {
    text: all('text', 'text'),
    thoughts: all('thinking', 'thinking'),
    signatures: all('thinking', 'signature'),
    redacted: all('redacted_thinking', 'data'),
    calls: message.content
      .filter((block: Wire) => block.type === 'tool_use')
      .map((block: Wire) => `${block.id} ${block.name} ${JSON.stringify(block.input)}`),
    citations: message.content.flatMap(({ citations, text }: Wire) =>
      (citations ?? []).map(({ url, title, cited_text }: Wire) => [url, title, cited_text, text.trimEnd()]),
    ),
    usage: [input, usage.output_tokens, usage.cache_read_input_tokens ?? 0, usage.cache_creation_input_tokens ?? 0],
    stop: message.stop_reason ?? '',
  };
}

function folded(events: ChatEvent[]) {
  const folder = createFolder();
  for (const event of events) folder.push(event);
  return folder.result();
}

function reading(events: ChatEvent[]): Reading {
  const { parts, finish, citations = [] } = folded(events);
  const said = [...parts.map((part) => (part.type === 'text' ? part.text : '')).join('')];
  const all = (type: string, field: string) =>
    parts.map((part) => (part.type === type ? ((part as Wire)[field] ?? '') : '')).join('');
  const { usage } = finish;
  return {
    text: all('text', 'text'),
    thoughts: all('reasoning', 'text'),
    signatures: all('reasoning', 'signature'),
    redacted: all('reasoning', 'redacted'),
    calls: parts.flatMap((part) =>
      part.type === 'tool-call' ? [`${part.id} ${part.name} ${JSON.stringify(JSON.parse(part.arguments))}`] : [],
    ),
    citations: citations.map(({ url = '', title = '', quote = '', span }) => [
      url,
      title,
      quote,
      said.slice(span?.start, span?.end).join('').trimEnd(),
    ]),
    usage: [usage.input, usage.output, usage.cacheRead ?? 0, usage.cacheWrite ?? 0],
    stop: finish.rawReason ?? '',
  };
}

function decodeStream(body: string | Buffer): ChatEvent[] {
  const parser = createSseParser();
  const decoder = createStreamDecoder();
  const events = [...parser.push(Buffer.from(body)), ...parser.end()].flatMap((message) => decoder.push(message));
  return [...events, ...decoder.end()];
}

function scan(body: string, size: number) {
  const scanner = createRelayScanner();
  const bytes = Buffer.from(body);
  for (let at = 0; at < bytes.length; at += size) scanner.push(bytes.subarray(at, at + size));
  scanner.end();
  return scanner;
}

for (const [name, { url, request, status, body }] of recordings())
  describe(name, () => {
    const counting = url.includes('count_tokens');

    test('the request decodes, and comes back from our own encoding the same', () => {
      const decode = () => decodeRequest({ model: 'claude-opus-4-8', ...request }, { counting: true });
      if (JSON.stringify(request).includes('container_upload')) {
        assert.throws(decode, { code: 'unsupported_capability' });
        return;
      }
      const once = decode();
      const again = decodeRequest(encodeRequest(once));
      // White space alone is left out, and a system message may have become marked text.
      const said = ({ messages }: typeof once) =>
        messages
          .filter(({ role }) => role !== 'system')
          .flatMap(({ parts }): Wire[] => parts)
          .filter((part) => part.text?.trim() !== '');
      assert.deepEqual(said(again), said(once));
      assert.deepEqual(again.tools, once.tools);
      assert.deepEqual(again.extras, once.extras);
    });

    if (status >= 400) {
      test('the failure is told apart', () => {
        const error = decodeError(status, {}, body);
        assert.notEqual(error.code, 'internal_error');
        assert.ok(error.message.length > 0);
      });
      return;
    }
    if (counting) return;

    test('the reply decodes without loss', () => {
      const streamed = !/^\s*\{/.test(body);
      const wire = streamed ? assembled(eventsOf(body)) : JSON.parse(body);
      const events = streamed ? decodeStream(body) : decodeResponse(JSON.parse(body));
      const expected = naive(wire);
      assert.deepEqual(reading(events), expected);

      for (const size of [1, 7, 4096]) {
        const { usage, finish, done, error, contentSeen } = scan(body, size);
        assert.deepEqual([usage?.input, usage?.output], expected.usage.slice(0, 2));
        assert.deepEqual([finish ?? '', done, error], [expected.stop, true, undefined]);
        assert.equal(contentSeen, wire.content.length > 0);
      }

      const encoder = createStreamEncoder();
      const text = events.map((event) => encoder.push(event)).join('') + encoder.end();
      assert.deepEqual(reading(decodeStream(text)), expected, 'through our own stream');
      assert.deepEqual(reading(decodeResponse(encodeResponse(folded(events)))), expected, 'through our own reply');
    });
  });
