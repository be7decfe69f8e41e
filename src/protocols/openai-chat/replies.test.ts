import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ChatEvent } from '../../core/chat.ts';
import { ViaductError } from '../../core/errors.ts';
import type { Json } from '../../core/json.ts';
import { createRelayScanner, createStreamDecoder, decodeResponse, decodeUsage } from '../openai-chat.ts';

const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };

/** Chunks as an upstream sends them; a text stands for itself. */
function decode(...chunks: (Json | string)[]): ChatEvent[] {
  const decoder = createStreamDecoder();
  const data = chunks.map((chunk) => (typeof chunk === 'string' ? chunk : JSON.stringify(chunk)));
  return [...data.flatMap((text) => decoder.push({ data: text })), ...decoder.end()];
}
const delta = (fields: { [key: string]: Json }, finish: string | null = null): Json => ({
  id: 'r1',
  model: 'm',
  choices: [{ index: 0, delta: fields, finish_reason: finish }],
});
const start = { type: 'start', id: 'r1', model: 'm' };
const calls = (events: ChatEvent[]) => events.filter(({ type }) => type.startsWith('tool'));
const toolDelta = (call: { [key: string]: Json }) => delta({ tool_calls: [call] });

describe('upstream streams', () => {
  test('without [DONE], usage with the last content, repeated starts, a ping', () => {
    const events = decode(
      delta({ role: 'assistant', content: '' }),
      'ping',
      delta({ role: 'assistant', content: 'a' }),
      { ...(delta({ content: 'b' }, 'length') as object), usage } as Json,
    );
    assert.deepEqual(events, [
      start,
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
      { type: 'finish', reason: 'length', rawReason: 'length', usage: { input: 3, output: 2 } },
    ]);
  });

  test('usage in a chunk of its own after the finish, chunks after [DONE] are ignored', () => {
    const events = decode(
      delta({ content: 'a' }, 'stop'),
      { id: 'r1', choices: [], usage },
      '[DONE]',
      delta({ content: 'z' }),
    );
    assert.deepEqual(events.at(-1), {
      type: 'finish',
      reason: 'stop',
      rawReason: 'stop',
      usage: { input: 3, output: 2 },
    });
  });

  test('an end without a finish is an error, with [DONE] it is a stop', () => {
    assert.throws(() => decode(delta({ content: 'a' })), { code: 'provider_invalid_response' });
    assert.equal(decode(delta({ content: 'a' }), '[DONE]').at(-1)?.type, 'finish');
    assert.throws(() => decode('[DONE]'), { code: 'provider_invalid_response' });
    assert.throws(() => decode(delta({ content: 'a' }), '{"choices":[{"del'), { code: 'provider_invalid_response' });
  });

  test('an error inside is thrown in our words', () => {
    assert.throws(() => decode(delta({ content: 'a' }), { error: { code: 503, message: 'busy' } }), {
      code: 'provider_overloaded',
    });
    assert.throws(() => createStreamDecoder().push({ event: 'error', data: '{"message":"x","code":429}' }), {
      code: 'provider_rate_limited',
    });
  });

  test('tool deltas without index', () => {
    const events = calls(
      decode(
        toolDelta({ id: 'a', function: { name: 'f', arguments: '' } }),
        toolDelta({ function: { arguments: '{"x":' } }),
        toolDelta({ function: { arguments: '1}' } }),
        toolDelta({ id: 'b', function: { name: 'g', arguments: '{}' } }),
        '[DONE]',
      ),
    );
    assert.deepEqual(events, [
      { type: 'tool-call', index: 0, id: 'a', name: 'f' },
      { type: 'tool-input', index: 0, json: '{"x":' },
      { type: 'tool-input', index: 0, json: '1}' },
      { type: 'tool-call', index: 1, id: 'b', name: 'g' },
      { type: 'tool-input', index: 1, json: '{}' },
    ]);
  });

  test('tool deltas without id get one, and a call waits for its name', () => {
    const events = calls(
      decode(
        toolDelta({ index: 0, function: { arguments: '{' } }),
        toolDelta({ index: 0, function: { name: 'f' } }),
        toolDelta({ index: 0, function: { arguments: '}' } }),
        '[DONE]',
      ),
    );
    assert.deepEqual(events, [
      { type: 'tool-call', index: 0, id: 'call_r1_0', name: 'f' },
      { type: 'tool-input', index: 0, json: '{' },
      { type: 'tool-input', index: 0, json: '}' },
    ]);
  });

  test('two calls under one index, and arguments as an object', () => {
    const events = calls(
      decode(
        toolDelta({ index: 0, id: 'a', function: { name: 'f', arguments: '{}' } }),
        toolDelta({ index: 0, id: 'b', function: { name: 'f', arguments: { x: 1 } } }),
        '[DONE]',
      ),
    );
    assert.deepEqual(
      events.map((event) => (event.type === 'tool-call' ? event.id : event.type === 'tool-input' && event.json)),
      ['a', '{}', 'b', '{"x":1}'],
    );
  });

  test('a call with "stop" is a turn of the tools', () => {
    const finish = decode(
      toolDelta({ index: 0, id: 'a', function: { name: 'f', arguments: '{}' } }),
      delta({}, 'stop'),
    ).at(-1);
    assert.ok(finish?.type === 'finish');
    assert.deepEqual([finish.reason, finish.rawReason], ['tool-calls', 'stop']);
  });
});

test('a whole reply without an answer is refused', () => {
  for (const body of [{}, { choices: [] }, [], 'x', null])
    assert.throws(() => decodeResponse(body), { code: 'provider_invalid_response' });
  assert.throws(() => decodeResponse({ error: { message: 'x', code: 401 } }), { code: 'provider_account' });
});

test('usage in every dialect', () => {
  assert.deepEqual(decodeUsage({ ...usage, prompt_cache_hit_tokens: 2 }), { input: 3, output: 2, cacheRead: 2 });
  assert.deepEqual(decodeUsage({ ...usage, prompt_tokens_details: { cached_tokens: 1, cache_write_tokens: 2 } }), {
    input: 3,
    output: 2,
    cacheRead: 1,
    cacheWrite: 2,
  });
  const beside = {
    prompt_tokens: 3,
    completion_tokens: 2,
    total_tokens: 9,
    completion_tokens_details: { reasoning_tokens: 4 },
  };
  assert.deepEqual(decodeUsage(beside), { input: 3, output: 6, reasoning: 4 });
  assert.deepEqual(decodeUsage({ ...beside, total_tokens: 5 }), { input: 3, output: 2, reasoning: 4 });
});

describe('relay scanner', () => {
  const scan = (...chunks: (string | Buffer)[]) => {
    const scanner = createRelayScanner();
    for (const chunk of chunks) scanner.push(Buffer.from(chunk));
    scanner.end();
    return scanner;
  };
  const line = (value: Json) => `data: ${JSON.stringify(value)}\n\n`;

  test('what the model says is never taken for usage, finish or error', () => {
    const text = '"usage":{"prompt_tokens":1} "finish_reason":"x" "error":{"message":"y"} data: [DONE] ';
    const scanner = scan(
      line(delta({ content: 'a' })),
      line(delta({ content: text })),
      line(delta({}, 'stop')),
      'data: [DONE]\n\n',
    );
    assert.equal(scanner.error, undefined);
    assert.equal(scanner.usage, undefined);
    assert.equal(scanner.finish, 'stop');
  });

  test('is not done before the end has come', () => {
    const scanner = createRelayScanner();
    scanner.push(Buffer.from(line(delta({ role: 'assistant' }))));
    assert.equal(scanner.contentSeen, false);
    scanner.push(Buffer.from(line(delta({ content: '[DONE]' }))));
    assert.deepEqual([scanner.contentSeen, scanner.done], [true, false]);
    scanner.push(Buffer.from('data: [DONE]\r\n\r\n'));
    assert.equal(scanner.done, true);
  });

  test('spaces after colons, CRLF, comments, usage without [DONE]', () => {
    const scanner = scan(
      ': hello\r\n\r\n',
      `data: ${'{"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}], "usage": null}'}\r\n\r\n`,
      `data: ${'{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}'}\r\n\r\n`,
    );
    assert.deepEqual([scanner.finish, scanner.usage, scanner.error], ['stop', { input: 3, output: 2 }, undefined]);
  });

  test('broken answers', () => {
    for (const body of ['<html>502</html>', '{"choices":[{"mess', '{"choices":[]}', '', line(delta({ content: 'a' }))])
      assert.equal(scan(body).error?.code, 'provider_invalid_response', body);
    assert.equal(scan('{"error":{"code":429,"message":"slow"}}').error?.code, 'provider_rate_limited');
    assert.ok(scan(line(delta({ content: 'a' })), line({ error: { message: 'x' } })).error instanceof ViaductError);
  });
});

describe('what only some answers hold', () => {
  test('the words of spoken answers are their text', () => {
    const message = { role: 'assistant', content: null, audio: { id: 'a', data: 'UklG', transcript: 'Fix the bug' } };
    const events = decodeResponse({ id: 'r1', model: 'm', choices: [{ index: 0, message, finish_reason: 'stop' }] });
    assert.deepEqual(events[1], { type: 'text', text: 'Fix the bug' });
    const streamed = decode(
      delta({ audio: { id: 'a', transcript: 'Fix ' } }),
      delta({ audio: { data: 'UklG' } }),
      delta({ audio: { transcript: 'it' } }, 'stop'),
    );
    assert.deepEqual(
      streamed.flatMap((event) => (event.type === 'text' ? [event.text] : [])),
      ['Fix ', 'it'],
    );
  });

  test('marks that gpt-oss leaves in the name of a call are taken off', () => {
    const events = decode(
      toolDelta({ index: 0, id: 'c', function: { name: 'find<|channel|>commentary', arguments: '{}' } }),
      delta({}, 'tool_calls'),
    );
    assert.deepEqual(calls(events)[0], { type: 'tool-call', index: 0, id: 'c', name: 'find' });
  });

  test('cached tokens of gateways that count as Anthropic names them', () => {
    const wire = {
      prompt_tokens: 675,
      completion_tokens: 1,
      cache_read_input_tokens: 600,
      cache_creation_input_tokens: 40,
    };
    assert.deepEqual(decodeUsage(wire), { input: 675, output: 1, cacheRead: 600, cacheWrite: 40 });
  });
});

describe('words that only some servers have', () => {
  test('an error without a field of its own ends the stream, and no whole reply either', () => {
    const error = { object: 'error', message: 'Worker died', type: 'InternalServerError', code: 503 };
    assert.throws(() => decode(delta({ content: 'par' }), error), { code: 'provider_overloaded' });
    assert.throws(() => decodeResponse(error), { code: 'provider_overloaded' });
    const scanner = createRelayScanner();
    scanner.push(Buffer.from(`data: ${JSON.stringify(error)}\n\n`));
    scanner.end?.();
    assert.equal(scanner.error?.code, 'provider_overloaded');
  });

  test('reasons with an explanation, and in capitals', () => {
    const reasons = {
      'content_filter: PROHIBITED_CONTENT': 'content-filter',
      'function_call_filter: MALFORMED_FUNCTION_CALL': 'error',
      malformed_function_call: 'error',
      MAX_TOKENS: 'length',
      eos: 'stop',
    };
    for (const [wire, reason] of Object.entries(reasons)) {
      const finish = decode(delta({ content: 'a' }), delta({}, wire)).at(-1);
      assert.deepEqual(finish?.type === 'finish' && [finish.reason, finish.rawReason], [reason, wire]);
    }
  });
});
