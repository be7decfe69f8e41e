/** Real recorded replies decode without loss. The expectation is read out of the wire by other, simpler code than the decoder's. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import type { ChatEvent } from '../../core/chat.ts';
import { collect } from '../../core/collect.ts';
import { ViaductError } from '../../core/errors.ts';
import { createSseParser } from '../../lib/sse.ts';
import {
  createRelayScanner,
  createStreamDecoder,
  createStreamEncoder,
  decodeError,
  decodeResponse,
} from '../openai-chat.ts';

// biome-ignore lint/suspicious/noExplicitAny: the naive reading takes the wire as it is
type Wire = any;
type Recording = { name: string; status: number; headers: Record<string, string>; body: string };

const committed = join(import.meta.dirname, '__fixtures__');
const shared = join(import.meta.dirname, '../../../../shared/fixtures');

function recordings(): Recording[] {
  const found = new Map<string, Recording>();
  const add = (file: string) => {
    const recording = read(file);
    if (recording) found.set(basename(file), recording);
  };
  for (const folder of [committed, join(shared, 'recorded'), join(shared, 'tgi'), join(shared, 'vercel-ai')])
    if (existsSync(folder))
      for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) add(join(folder, file));
  return [...found.values()];
}

function read(file: string): Recording | undefined {
  const name = basename(file);
  if (file.endsWith('.chunks.txt')) {
    if (file.includes('/responses/')) return undefined;
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    return {
      name,
      status: 200,
      headers: {},
      body: `${lines.map((line) => `data: ${line}\n\n`).join('')}data: [DONE]\n\n`,
    };
  }
  if (!file.endsWith('.json')) return undefined;
  const content: Wire = JSON.parse(readFileSync(file, 'utf8'));
  if (content.response && content.request)
    return /chat\/completions/.test(content.request.url) ? { name, ...content.response } : undefined;
  const first = Array.isArray(content) ? content[0] : content;
  if (!String(first?.object ?? '').startsWith('chat.completion')) return undefined;
  // TGI's snapshots: one reply, or the list of a stream's chunks (or of several replies).
  if (Array.isArray(content) && first.object === 'chat.completion.chunk') {
    const body = content.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('');
    return { name, status: 200, headers: {}, body: `${body}data: [DONE]\n\n` };
  }
  return { name, status: 200, headers: {}, body: JSON.stringify(first) };
}

type Reading = { text: string; refusal: string; reasoning: string; calls: string[]; usage: number[]; finish: string };

const jsonLines = (body: string): Wire[] =>
  body
    .split('\n')
    .filter((line) => line.startsWith('data:') && !line.includes('[DONE]'))
    .map((line) => JSON.parse(line.slice(5)));

function addCall(calls: Record<string, [string, string]>, key: number, { name, arguments: given }: Wire) {
  const entry = calls[key] ?? ['', ''];
  calls[key] = entry;
  entry[0] ||= name ?? '';
  entry[1] += typeof given === 'string' ? given : JSON.stringify(given ?? {}).replace('{}', '');
}

function naive(body: string): Reading {
  const chunks: Wire[] = /^\s*\{/.test(body) ? [JSON.parse(body)] : jsonLines(body);
  const sum: Reading = { text: '', refusal: '', reasoning: '', calls: [], usage: [0, 0], finish: '' };
  const calls: Record<string, [string, string]> = {};
  for (const chunk of chunks) {
    if (chunk.usage) sum.usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens];
    const choice = chunk.choices?.[0];
    if (choice?.index === 0) addChoice(sum, choice, calls);
  }
  sum.calls = Object.values(calls).map((call) => call.join(' '));
  return sum;
}

function addChoice(sum: Reading, choice: Wire, calls: Record<string, [string, string]>) {
  const delta = choice.delta ?? choice.message ?? {};
  const content = Array.isArray(delta.content) ? delta.content : [{ text: delta.content }];
  for (const part of content) {
    sum.text += part.text ?? '';
    for (const thought of part.thinking ?? []) sum.reasoning += thought.text;
  }
  sum.refusal += delta.refusal ?? '';
  const details = (delta.reasoning_details ?? []).map((detail: Wire) => detail.text ?? detail.summary ?? '').join('');
  sum.reasoning += delta.reasoning_content || delta.reasoning || details;
  const wireCalls = [delta.tool_calls ?? []].flat();
  if (delta.function_call) wireCalls.push({ index: 0, function: delta.function_call });
  for (const [at, call] of wireCalls.entries()) addCall(calls, choice.message ? at : (call.index ?? at), call.function);
  sum.finish = choice.finish_reason ?? sum.finish;
}

async function reading(events: ChatEvent[]): Promise<Reading> {
  const result = await collect(
    (async function* () {
      yield events;
    })(),
  );
  const texts = (type: string) =>
    result.parts.map((part) => (part.type === type && 'text' in part ? part.text : '')).join('');
  const { input, output } = result.finish.usage;
  return {
    text: texts('text'),
    refusal: texts('refusal'),
    reasoning: texts('reasoning'),
    calls: result.parts.flatMap((part) => (part.type === 'tool-call' ? [`${part.name} ${part.arguments}`] : [])),
    usage: [input, output],
    finish: result.finish.reason,
  };
}

function decode(body: string): ChatEvent[] {
  if (/^\s*\{/.test(body)) return decodeResponse(JSON.parse(body));
  const parser = createSseParser();
  const decoder = createStreamDecoder();
  const messages = [...parser.push(Buffer.from(body)), ...parser.end()];
  return [...messages.flatMap((message) => decoder.push(message)), ...decoder.end()];
}

const finishNames: Record<string, string> = {
  stop: 'stop',
  length: 'length',
  tool_calls: 'tool-calls',
  function_call: 'tool-calls',
  content_filter: 'content-filter',
};

/** Where the wire counts thoughts beside the output (xAI), the total tells. */
function trueOutput(body: string, usage: number[]): number[] {
  const [, total, reasoning] =
    /"total_tokens":\s*(\d+)[\s\S]*?"reasoning_tokens":\s*(\d+)/.exec(body.slice(body.lastIndexOf('"usage"'))) ?? [];
  const [input = 0, output = 0] = usage;
  return Number(reasoning) > 0 && Number(total) === input + output + Number(reasoning)
    ? [input, output + Number(reasoning)]
    : [input, output];
}

for (const { name, status, headers, body } of recordings()) {
  if (status !== 200) {
    test(`${name}: the error keeps its meaning`, () => {
      const error = decodeError(status, headers, body);
      assert.ok(error instanceof ViaductError);
      assert.notEqual(error.code, 'internal_error');
    });
    continue;
  }
  if (/"error":\s*\{/.test(body)) {
    test(`${name}: an error inside a 200 is thrown`, () => {
      assert.throws(() => decode(body), ViaductError);
      const scanner = createRelayScanner();
      scanner.push(Buffer.from(body));
      scanner.end();
      assert.ok(scanner.error);
    });
    continue;
  }
  describe(name, () => {
    const expected = naive(body);
    test('decodes without loss', async () => {
      const actual = await reading(decode(body));
      const finish = finishNames[expected.finish] ?? 'stop';
      assert.deepEqual(actual, {
        ...expected,
        usage: trueOutput(body, expected.usage),
        finish: finish === 'stop' && expected.calls.length > 0 ? 'tool-calls' : finish,
      });
    });

    test('comes out of our own stream as it went in', async () => {
      const encoder = createStreamEncoder({ created: 1, id: 'x', model: 'm', includeUsage: true });
      const events = decode(body);
      const again = decode(events.map((event) => encoder.push(event)).join('') + encoder.end());
      assert.deepEqual(await reading(again), await reading(events));
    });

    test('is read along while it is relayed, cut anywhere', async () => {
      const bytes = Buffer.from(body);
      for (const size of [bytes.length, 1024, 61]) {
        const scanner = createRelayScanner();
        for (let at = 0; at < bytes.length; at += size) scanner.push(bytes.subarray(at, at + size));
        scanner.end();
        assert.equal(scanner.error, undefined);
        assert.ok(scanner.done);
        assert.equal(scanner.finish ?? '', expected.finish);
        const { input, output } = scanner.usage ?? { input: 0, output: 0 };
        assert.deepEqual([input, output], trueOutput(body, expected.usage));
        const spoke = [expected.text, expected.refusal, expected.reasoning, ...expected.calls].some((text) => text);
        assert.equal(scanner.contentSeen, spoke);
      }
    });
  });
}
