import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ChatEvent } from '../../core/chat.ts';
import { createFolder } from '../../core/collect.ts';
import { type ErrorCode, errorCodes, ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { createSseParser } from '../../lib/sse.ts';
import {
  createRelayScanner,
  createStreamDecoder,
  createStreamEncoder,
  decodeError,
  decodeRequest,
  decodeResponse,
  encodeError,
  encodeResponse,
  encodeStreamError,
  statusOf,
} from '../anthropic-messages.ts';

const start: ChatEvent = { type: 'start', id: 'msg_1', model: 'm' };
const finish = (more: Partial<Extract<ChatEvent, { type: 'finish' }>> = {}): ChatEvent => ({
  type: 'finish',
  reason: 'stop',
  usage: { input: 10, output: 5 },
  ...more,
});

function encode(events: ChatEvent[]): JsonObject[] {
  const encoder = createStreamEncoder();
  const text = events.map((event) => encoder.push(event)).join('') + encoder.end();
  return createSseParser()
    .push(text)
    .map(({ event, data }) => {
      const parsed = JSON.parse(data) as JsonObject;
      assert.equal(event, parsed['type'], 'every event has its name');
      return parsed;
    });
}

const decode = (...events: JsonObject[]): ChatEvent[] => {
  const decoder = createStreamDecoder();
  return [...events.flatMap((event) => decoder.push({ data: JSON.stringify(event) })), ...decoder.end()];
};

function result(events: ChatEvent[]) {
  const folder = createFolder();
  for (const event of events) folder.push(event);
  return folder.result();
}

describe('a stream to a client', () => {
  test('blocks are numbered, opened and closed one after the other', () => {
    const events = encode([
      start,
      { type: 'reasoning', text: 'hm' },
      { type: 'text', text: 'Hel' },
      { type: 'text', text: 'lo' },
      { type: 'tool-call', index: 0, id: 'a', name: 'f' },
      { type: 'tool-input', index: 0, json: '{"x":1}' },
      finish({ reason: 'tool-calls', usage: { input: 10, output: 5, cacheRead: 4, cacheWrite: 1, reasoning: 2 } }),
    ]);
    const shape = events.map(({ type, index, delta }) =>
      [type, index, (delta as JsonObject | undefined)?.['type']].filter((field) => field !== undefined).join(' '),
    );
    assert.deepEqual(shape, [
      'message_start',
      'content_block_start 0',
      'content_block_delta 0 thinking_delta',
      'content_block_delta 0 signature_delta',
      'content_block_stop 0',
      'content_block_start 1',
      'content_block_delta 1 text_delta',
      'content_block_delta 1 text_delta',
      'content_block_stop 1',
      'content_block_start 2',
      'content_block_delta 2 input_json_delta',
      'content_block_stop 2',
      'message_delta',
      'message_stop',
    ]);
    const { delta, usage } = events.at(-2) ?? {};
    assert.deepEqual(delta, { stop_reason: 'tool_use', stop_sequence: null });
    assert.deepEqual(usage, {
      input_tokens: 5,
      cache_creation_input_tokens: 1,
      cache_read_input_tokens: 4,
      output_tokens: 5,
      output_tokens_details: { thinking_tokens: 2 },
    });
  });

  test('calls that grow side by side come out whole and in order', () => {
    const calls: ChatEvent[] = [
      { type: 'tool-call', index: 0, id: 'a', name: 'f' },
      { type: 'tool-input', index: 0, json: '{"x"' },
      { type: 'tool-call', index: 1, id: 'b', name: 'g' },
      { type: 'tool-input', index: 1, json: '{"y":' },
      { type: 'tool-input', index: 0, json: ':1}' },
      { type: 'tool-input', index: 1, json: '2}' },
    ];
    const events = [start, ...calls, finish({ reason: 'tool-calls', rawReason: 'tool_use' })];
    assert.deepEqual(result(decode(...encode(events))).parts, result(events).parts);
  });

  test('any answer survives encoding and decoding, streamed or not', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1 });
    const word = fc.stringMatching(/^[a-z]{1,8}$/);
    const thought = fc.tuple(text, fc.option(word)).map(([said, signature]): ChatEvent[] => [
      { type: 'reasoning', text: said },
      { type: 'reasoning-end', ...(signature && { signature, origin: 'anthropic-messages' as const }) },
    ]);
    const redacted = word.map((data): ChatEvent[] => [
      { type: 'reasoning-end', redacted: data, origin: 'anthropic-messages' },
    ]);
    const speech = text.map((said): ChatEvent[] => [{ type: 'text', text: said }]);
    const call = fc
      .tuple(word, word, fc.dictionary(word, fc.jsonValue(), { noNullPrototype: true }))
      .map(([id, name, input]) => ({ id, name, json: JSON.stringify(JSON.parse(JSON.stringify(input))) }));
    const answer = fc
      .tuple(fc.array(fc.oneof(thought, redacted, speech), { maxLength: 5 }), fc.array(call, { maxLength: 3 }))
      .map(([spoken, calls]): ChatEvent[] => [
        start,
        ...spoken.flat(),
        ...calls.flatMap(({ id, name, json }, index): ChatEvent[] => [
          { type: 'tool-call', index, id, name },
          { type: 'tool-input', index, json },
        ]),
        finish({ rawReason: 'end_turn' }),
      ]);
    fc.assert(
      fc.property(answer, (events) => {
        const expected = result(events);
        assert.deepEqual(result(decode(...encode(events))), expected);
        assert.deepEqual(result(decodeResponse(encodeResponse(expected))), expected);
      }),
    );
  });

  test('thoughts that another provider signed come back to it and to nobody else', () => {
    const events: ChatEvent[] = [
      start,
      { type: 'reasoning', text: 'hm' },
      { type: 'reasoning-end', id: 'rs_1', redacted: 'sealed', origin: 'openai-responses' },
      { type: 'text', text: 'Hi' },
      finish(),
    ];
    const { content } = encodeResponse(result(events)) as { content: JsonObject[] };
    const { messages } = decodeRequest({
      model: 'm',
      max_tokens: 1,
      messages: [
        { role: 'user', content: 'Hello' },
        { role: 'assistant', content },
      ],
    });
    assert.deepEqual(messages[1]?.parts[0], {
      type: 'reasoning',
      text: 'hm',
      id: 'rs_1',
      redacted: 'sealed',
      origin: 'openai-responses',
    });
  });

  test('every reason has its word', () => {
    const reason = (more: Partial<Extract<ChatEvent, { type: 'finish' }>>) =>
      encodeResponse(result([start, finish(more)]));
    assert.equal(reason({ reason: 'length' })['stop_reason'], 'max_tokens');
    assert.equal(reason({ reason: 'content-filter' })['stop_reason'], 'refusal');
    assert.equal(reason({ rawReason: 'pause_turn' })['stop_reason'], 'pause_turn');
    assert.equal(reason({ rawReason: 'STOP' })['stop_reason'], 'end_turn');
    const stopped = reason({ stopSequence: 'END' });
    assert.deepEqual([stopped['stop_reason'], stopped['stop_sequence']], ['stop_sequence', 'END']);
  });
});

describe('a stream from Anthropic', () => {
  const message_start = { type: 'message_start', message: { id: 'msg_1', model: 'm', usage: { input_tokens: 3 } } };
  const block = (index: number, content_block: JsonObject) => ({ type: 'content_block_start', index, content_block });
  const delta = (index: number, fields: JsonObject) => ({ type: 'content_block_delta', index, delta: fields });
  const stop = (index: number) => ({ type: 'content_block_stop', index });
  const message_delta = {
    type: 'message_delta',
    delta: { stop_reason: 'end_turn' },
    usage: { output_tokens: 7, input_tokens: null },
  };
  const message_stop = { type: 'message_stop' };

  test('what is repeated, new, or meant for others is passed over', () => {
    const events = decode(
      message_start,
      { type: 'ping' },
      message_start,
      { type: 'weather', degrees: 20 },
      block(0, { type: 'server_tool_use', id: 's', name: 'web_search', input: {} }),
      delta(0, { type: 'input_json_delta', partial_json: '{"q":1}' }),
      stop(0),
      block(1, { type: 'text', text: 'A' }),
      delta(1, { type: 'citations_delta', citation: {} }),
      delta(1, { type: 'text_delta', text: 'B' }),
      stop(1),
      message_delta,
      message_stop,
      message_stop,
    );
    assert.deepEqual(events, [
      start,
      { type: 'text', text: 'A' },
      { type: 'text', text: 'B' },
      { type: 'finish', reason: 'stop', rawReason: 'end_turn', usage: { input: 3, output: 7 } },
    ]);
  });

  test('a call whose input comes at once, late or not at all is a JSON object in the end', () => {
    const events = decode(
      message_start,
      block(0, { type: 'tool_use', id: 'a', name: 'f', input: { x: 1 } }),
      stop(0),
      block(1, { type: 'tool_use', id: 'b', name: 'g', input: {} }),
      delta(1, { type: 'input_json_delta', partial_json: '' }),
      stop(1),
      message_delta,
      message_stop,
    );
    const calls = result(events).parts.map((part) => part.type === 'tool-call' && part.arguments);
    assert.deepEqual(calls, ['{"x":1}', '{}']);
  });

  test('the end may lack its last event, but not its reason', () => {
    assert.equal(decode(message_start, message_delta).at(-1)?.type, 'finish');
    assert.throws(() => decode(message_start), { code: 'provider_invalid_response' });
  });

  test('an error event is thrown as what it is', () => {
    const failing = (type: string) => () => decode(message_start, { type: 'error', error: { type, message: 'no' } });
    assert.throws(failing('overloaded_error'), { code: 'provider_overloaded' });
    assert.throws(failing('rate_limit_error'), { code: 'provider_rate_limited' });
    assert.throws(failing('api_error'), { code: 'provider_unavailable' });
    assert.throws(failing('authentication_error'), { code: 'provider_account' });
    assert.throws(() => createStreamDecoder().push({ data: '{"type":' }), { code: 'provider_invalid_response' });
  });

  test('a relayed stream is read along, its errors too', () => {
    const sse = (...events: JsonObject[]) =>
      events.map((event) => `event: ${event['type']}\r\ndata: ${JSON.stringify(event)}\r\n\r\n`).join('');
    const scanner = createRelayScanner();
    scanner.push(Buffer.from(sse(message_start, block(0, { type: 'text', text: '' }))));
    assert.equal(scanner.contentSeen, false);
    scanner.push(Buffer.from(sse(delta(0, { type: 'text_delta', text: '"error" "message_delta"' }))));
    assert.equal(scanner.contentSeen, true);
    assert.deepEqual([scanner.error], [undefined]);
    scanner.push(Buffer.from(sse({ type: 'error', error: { type: 'overloaded_error', message: 'busy' } })));
    assert.equal(scanner.error?.code, 'provider_overloaded');

    const cut = createRelayScanner();
    cut.push(Buffer.from(sse(message_start)));
    cut.end();
    assert.equal(cut.error?.code, 'provider_invalid_response');
    const page = createRelayScanner();
    page.push(Buffer.from('{"type":"error","error":{"type":"api_error","message":"no"}}'));
    page.end();
    assert.equal(page.error?.code, 'provider_unavailable');
  });
});

describe('failures', () => {
  test('every code has a type and a status that the SDKs know', () => {
    const types = new Set([
      'invalid_request_error',
      'authentication_error',
      'billing_error',
      'permission_error',
      'not_found_error',
      'conflict_error',
      'request_too_large',
      'rate_limit_error',
      'timeout_error',
      'api_error',
      'overloaded_error',
    ]);
    for (const code of Object.keys(errorCodes) as ErrorCode[]) {
      const body = encodeError(new ViaductError(code, 'why'), 'req_1');
      const { type, message } = body['error'] as JsonObject;
      assert.ok(types.has(String(type)), `${code}: ${type}`);
      assert.deepEqual([body['type'], body['request_id'], message], ['error', 'req_1', 'why']);
    }
    assert.equal(statusOf(new ViaductError('queue_full', '')), 529);
    assert.equal(statusOf(new ViaductError('model_not_found', '')), 404);
    assert.match(
      encodeStreamError(new ViaductError('provider_overloaded', 'busy')),
      /^event: error\ndata: .*overloaded_error/,
    );
  });

  test('what Anthropic answers is told apart', () => {
    const code = (status: number, type: string, message: string) =>
      decodeError(status, {}, JSON.stringify({ type: 'error', error: { type, message } })).code;
    assert.equal(
      code(400, 'invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'),
      'context_length_exceeded',
    );
    assert.equal(code(400, 'invalid_request_error', 'Your credit balance is too low'), 'provider_account');
    assert.equal(
      code(400, 'invalid_request_error', 'Output blocked by content filtering policy'),
      'content_policy_violation',
    );
    assert.equal(code(400, 'invalid_request_error', 'temperature: range: 0..1'), 'provider_rejected');
    assert.equal(code(401, 'authentication_error', 'invalid x-api-key'), 'provider_account');
    assert.equal(code(403, 'permission_error', 'no'), 'provider_account');
    assert.equal(code(404, 'not_found_error', 'model: claude-none'), 'model_not_found');
    assert.equal(code(413, 'request_too_large', 'too large'), 'payload_too_large');
    assert.equal(code(429, 'rate_limit_error', 'slow down'), 'provider_rate_limited');
    assert.equal(code(500, 'api_error', 'oops'), 'provider_unavailable');
    assert.equal(code(504, 'timeout_error', 'late'), 'provider_timeout');
    assert.equal(code(529, 'overloaded_error', 'Overloaded'), 'provider_overloaded');
    const limited = decodeError(429, { 'retry-after': '12' }, '');
    assert.equal(limited.retryAfter, 12);
  });
});
