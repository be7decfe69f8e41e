/** Thoughts of a local model through every door: where each has its place for them, and never in what is said. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { startTestServer, type TestServer } from '../support/server.ts';

const model = 'smollm2:thinks';
const content = 'Why is the sky blue?';
const messages = [{ role: 'user' as const, content }];
let server: TestServer;
let openai: OpenAI;

before(async () => {
  server = await startTestServer({ models: [model] });
  openai = new OpenAI({ baseURL: `${server.url}/v1/`, apiKey: 'ollama', maxRetries: 0 });
});
after(() => server?.close());

/** `reasoning_content` and `reasoning`, as clients of several servers read them. */
type Thoughtful = { content?: string | null; reasoning_content?: string; reasoning?: string };
const isSaid = (text: unknown) => assert.ok(typeof text === 'string' && !/<\/?think>/.test(text), String(text));

test('Chat Completions: a budget ends the thought, and the answer follows', async () => {
  const request = { model, messages, temperature: 0, reasoning: { max_tokens: 12 } };
  const { choices, usage } = await openai.chat.completions.create(request);
  const message = choices[0]?.message as Thoughtful;
  assert.ok(message.reasoning_content);
  assert.equal(message.reasoning, message.reasoning_content);
  assert.ok(message.content);
  isSaid(message.content);
  const spent = usage?.completion_tokens_details?.reasoning_tokens ?? 0;
  assert.ok(spent > 0 && spent <= 14, `${spent} tokens of thought`);
});

test('Chat Completions, streamed: the same thought and the same answer', async () => {
  const request = { model, messages, temperature: 0, reasoning: { max_tokens: 12 } };
  const whole = (await openai.chat.completions.create(request)).choices[0]?.message as Thoughtful;
  const streamed = { content: '', reasoning_content: '' };
  for await (const { choices } of await openai.chat.completions.create({ ...request, stream: true })) {
    const delta = (choices[0]?.delta ?? {}) as Thoughtful;
    streamed.content += delta.content ?? '';
    streamed.reasoning_content += delta.reasoning_content ?? '';
  }
  assert.deepEqual(streamed, { content: whole.content, reasoning_content: whole.reasoning_content });
});

test('Responses: an item of reasoning before the message', async () => {
  const request = {
    model,
    input: content,
    temperature: 0,
    reasoning: { effort: 'low' as const, summary: 'auto' as const },
  };
  const { output, usage } = await openai.responses.create(request);
  assert.equal(output[0]?.type, 'reasoning');
  assert.ok((usage?.output_tokens_details.reasoning_tokens ?? 0) > 0);
  for (const item of output)
    if (item.type === 'message') isSaid(item.content[0]?.type === 'output_text' ? item.content[0].text : '');
});

test('Messages: a thinking block first, streamed too', async () => {
  const anthropic = new Anthropic({ baseURL: server.url, apiKey: 'any', maxRetries: 0 });
  const request = { model, max_tokens: 2000, messages, thinking: { type: 'enabled' as const, budget_tokens: 1024 } };
  const whole = await anthropic.messages.create(request);
  assert.equal(whole.content[0]?.type, 'thinking');
  const streamed = await anthropic.messages.stream(request).finalMessage();
  const [block] = streamed.content;
  assert.ok(block?.type === 'thinking' && block.thinking.length > 0);
  for (const { content: blocks } of [whole, streamed])
    for (const part of blocks) if (part.type === 'text') isSaid(part.text);
});

test('Ollama: `thinking` beside `content`', async () => {
  const ollama = new Ollama({ host: server.url });
  const { message } = await ollama.chat({ model, messages, think: true });
  assert.ok(message.thinking);
  isSaid(message.content);
  let thinking = '';
  for await (const part of await ollama.chat({ model, messages, think: true, stream: true })) {
    thinking += part.message.thinking ?? '';
    isSaid(part.message.content);
  }
  assert.ok(thinking);
});
