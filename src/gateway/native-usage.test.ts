import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureNative } from './native-usage.ts';

const measured = (path: string, reply: unknown) =>
  measureNative(path, typeof reply === 'string' ? reply : JSON.stringify(reply));

test('OpenAI: both APIs, whole and streamed; what a model says is no count', () => {
  const usage = { prompt_tokens: 9, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } };
  const content = '{"model":"fake","prompt_tokens":1000}';
  const chat = { model: 'gpt-5', choices: [{ message: { content } }], usage };
  const expected = { model: 'gpt-5', usage: { input: 9, output: 3, cacheRead: 4 }, estimated: false };
  assert.deepEqual(measured('/v1/chat/completions', chat), expected);
  const stream = `data: ${JSON.stringify({ model: 'gpt-5', usage: null })}\n\ndata: ${JSON.stringify({ model: 'gpt-5', choices: [], usage })}\n\n`;
  assert.deepEqual(measured('/v1/chat/completions', stream), expected);
});

test('Anthropic: cached tokens stand beside the input, and the prompt’s counts at the beginning', () => {
  const start = {
    type: 'message_start',
    message: {
      model: 'claude-haiku-4-5',
      usage: { input_tokens: 5, cache_read_input_tokens: 100, cache_creation_input_tokens: 10, output_tokens: 1 },
    },
  };
  const end = { type: 'message_delta', usage: { output_tokens: 40 } };
  const { model, usage } = measured(
    '/v1/messages',
    `data: ${JSON.stringify(start)}\n\ndata: ${JSON.stringify(end)}\n\n`,
  );
  assert.equal(model, 'claude-haiku-4-5');
  assert.deepEqual(usage, { input: 115, output: 40, cacheRead: 100, cacheWrite: 10 });
});

test('Gemini and Bedrock name the model in the path', () => {
  const gemini = { usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 2, thoughtsTokenCount: 30 } };
  const of = measured('/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse', gemini);
  assert.deepEqual([of.model, of.usage], ['gemini-2.5-pro', { input: 7, output: 32, reasoning: 30 }]);
  const bedrock = { usage: { inputTokens: 7, outputTokens: 2 } };
  assert.equal(measured('/model/eu.amazon.nova-lite-v1%3A0/converse', bedrock).model, 'eu.amazon.nova-lite-v1:0');
  assert.equal(measured('/v1/files', { model: 'gpt-5' }).model, undefined);
});
