import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { decodeRequest } from './openai-completions.ts';
import * as completionReply from './openai-completions-reply.ts';
import * as embeddings from './openai-embeddings.ts';

const completion = (fields: JsonObject) => decodeRequest({ model: 'm', prompt: 'p', ...fields });

test('one call for every candidate of every prompt', () => {
  const { calls, candidates, echo } = completion({ prompt: ['a', 'b'], n: 2, best_of: 3, seed: 1, echo: true });
  assert.equal(candidates, 3);
  assert.deepEqual(echo, ['a', 'b']);
  assert.deepEqual(
    calls.map(({ seed }) => seed),
    [1, 2, 3, 1, 2, 3],
  );
  assert.ok(calls.every(({ local, logprobs }) => local?.raw && logprobs));
});

test('token prompts, one or many', () => {
  assert.deepEqual(
    completion({ prompt: [1, 2] }).calls.map(({ local }) => local?.promptTokens),
    [[1, 2]],
  );
  assert.deepEqual(
    completion({ prompt: [[1], [2]] }).calls.map(({ local }) => local?.promptTokens),
    [[1], [2]],
  );
});

for (const [fields, param] of [
  [{ prompt: 5 }, 'prompt'],
  [{ prompt: [] }, 'prompt'],
  [{ best_of: 1, n: 2 }, 'best_of'],
  [{ best_of: 2, stream: true }, 'best_of'],
  [{ max_tokens: 0 }, 'max_tokens'],
  [{ logprobs: 6 }, 'logprobs'],
  [{ echo: true, logprobs: 1 }, 'echo'],
  [{ temperature: 3 }, 'temperature'],
] as [JsonObject, string][])
  test(`refused: ${JSON.stringify(fields)}`, () => {
    assert.throws(
      () => completion(fields),
      (error) => error instanceof ViaductError && error.status === 400 && error.param === param,
    );
  });

test('vectors survive both formats, in the order of the inputs', () => {
  fc.assert(
    fc.property(
      fc.array(fc.float32Array({ noNaN: true, noDefaultInfinity: true, maxLength: 8 }), { minLength: 1 }),
      (vectors) => {
        const result = {
          model: 'm',
          vectors: vectors.map((vector) => vector.map((value) => value + 0)),
          usage: { input: 3, output: 0 },
        };
        const base64 = embeddings.encodeResponse(result, 'base64');
        assert.deepEqual(embeddings.decodeResponse(base64), result);
        const shuffled = { ...base64, data: (base64['data'] as JsonObject[]).toReversed() };
        assert.deepEqual(embeddings.decodeResponse(shuffled), result);
        assert.deepEqual(
          embeddings.decodeResponse(JSON.parse(JSON.stringify(embeddings.encodeResponse(result, 'float')))),
          result,
        );
      },
    ),
  );
  assert.equal(embeddings.decodeResponse({ error: 'x' }), undefined);
});

for (const input of ['', [], [''], 5, [1.5], [[]], Array(2049).fill('a'), [['a']]])
  test(`refused as input of an embedding: ${JSON.stringify(input).slice(0, 30)}`, () => {
    const body = { model: 'm', input } as JsonObject;
    assert.throws(
      () => embeddings.decodeRequest(body),
      (error) => error instanceof ViaductError && /^input/.test(error.param ?? ''),
    );
  });

test('replies of completions as events: whole, and streamed with an unfinished line of junk between', () => {
  const usage = { prompt_tokens: 2, completion_tokens: 3 };
  const choice = (text: string, finish_reason: string | null) => ({
    choices: [{ index: 0, text, logprobs: null, finish_reason }],
  });
  const said = (events: { type: string; text?: string }[]) =>
    events.map(({ type, text }) => (type === 'text' ? text : type)).join(' ');
  const whole = completionReply.decodeResponse({ id: 'c', model: 'm', ...choice('Hello', 'length'), usage });
  assert.equal(said(whole), 'start Hello finish');
  const last = whole.at(-1);
  assert.ok(last?.type === 'finish' && last.reason === 'length' && last.usage.output === 3);
  const decoder = completionReply.createStreamDecoder();
  const push = (data: object | string) =>
    decoder.push({ event: '', data: typeof data === 'string' ? data : JSON.stringify(data) } as never);
  const events = [
    ...push({ id: 'c', model: 'm', ...choice('Hel', null) }),
    ...push('ping'),
    ...push(choice('lo', 'stop')),
    ...push({ choices: [], usage }),
    ...push('[DONE]'),
    ...decoder.end(),
  ];
  assert.equal(said(events), 'start Hel lo finish');
  assert.throws(() => completionReply.createStreamDecoder().push({ data: '{"a":' } as never), {
    code: 'provider_invalid_response',
  });
});
