/** Pictures that models make: from every provider that gives them, through every door, and back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChatEvent, Message } from '../core/chat.ts';
import { createFolder } from '../core/collect.ts';
import type { JsonObject } from '../core/json.ts';
import { createSseParser } from '../lib/sse.ts';
import * as anthropic from './anthropic-messages.ts';
import * as bedrock from './bedrock-converse.ts';
import * as gemini from './gemini.ts';
import * as ollama from './ollama.ts';
import * as openai from './openai-chat.ts';
import * as responses from './openai-responses.ts';

const picture = { data: 'iVBORw0KGgo=', mediaType: 'image/png' };
const url = `data:image/png;base64,${picture.data}`;

const events = gemini.decodeResponse({
  responseId: 'r1',
  modelVersion: 'gemini-image',
  candidates: [
    {
      content: {
        parts: [
          { inlineData: { mimeType: 'image/png', data: 'ZHJhZnQ=' }, thought: true },
          { text: 'Here:' },
          { inlineData: { mimeType: picture.mediaType, data: picture.data }, thoughtSignature: 'c2ln' },
        ],
      },
      finishReason: 'STOP',
    },
  ],
  usageMetadata: { promptTokenCount: 5, candidatesTokenCount: 1290 },
});

const result = (from: ChatEvent[]) => {
  const folder = createFolder();
  for (const event of from) folder.push(event);
  return folder.result();
};
const context = { created: 1, id: 'chatcmpl-1', model: 'm' };

test('Gemini’s picture is part of the answer, its drafts are not, and it goes back signed', () => {
  const { parts } = result(events);
  assert.deepEqual(parts.slice(0, 2), [
    { type: 'text', text: 'Here:' },
    { type: 'image', source: picture },
  ]);
  const messages: Message[] = [
    { role: 'user', parts: [{ type: 'text', text: 'Draw' }] },
    { role: 'assistant', parts },
    { role: 'user', parts: [{ type: 'text', text: 'Bluer' }] },
  ];
  const request = { model: 'gemini-3-pro-image', stream: false, messages };
  const { contents } = gemini.encodeRequest(request) as { contents: { parts: JsonObject[] }[] };
  assert.deepEqual(contents[1]?.parts, [
    { text: 'Here:' },
    { inlineData: { mimeType: 'image/png', data: picture.data }, thoughtSignature: 'c2ln' },
  ]);
  assert.deepEqual(gemini.decodeRequest(gemini.encodeRequest(request), request).messages, messages);
  // Others take none in an answer, and are spared it.
  for (const encode of [anthropic.encodeRequest, bedrock.encodeRequest, openai.encodeRequest, ollama.encodeRequest])
    assert.ok(!JSON.stringify(encode({ ...request, model: 'm' })).includes(picture.data));
});

test('OpenAI’s door gives it as OpenRouter does, streamed and whole, and takes it back', () => {
  const whole = openai.encodeResponse(result(events), context);
  const [choice] = whole['choices'] as { message: { content: string; images: JsonObject[] } }[];
  const images = [{ type: 'image_url', image_url: { url }, index: 0 }];
  assert.deepEqual([choice?.message.content, choice?.message.images], ['Here:', images]);
  const encoder = openai.createStreamEncoder(context);
  const text = events.map((event) => encoder.push(event)).join('') + encoder.end();
  const decoder = openai.createStreamDecoder();
  const back = createSseParser()
    .push(text)
    .flatMap((message) => decoder.push(message));
  assert.deepEqual(
    back.filter(({ type }) => type === 'image'),
    [{ type: 'image', source: picture }],
  );
  const { messages } = openai.decodeRequest({
    model: 'm',
    modalities: ['image', 'text'],
    messages: [
      { role: 'user', content: 'Draw' },
      { role: 'assistant', content: '', images },
    ],
  });
  assert.deepEqual(messages[1]?.parts, [{ type: 'image', source: picture }]);
});

test('a relayed answer that is nothing but a picture has content', () => {
  const scanner = openai.createRelayScanner();
  const delta = { role: 'assistant', content: '', images: [{ type: 'image_url', image_url: { url } }] };
  scanner.push(Buffer.from(`data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`));
  assert.equal(scanner.contentSeen, true);
});

test('Ollama’s door gives its base64, Anthropic’s has it in Markdown', () => {
  const now = () => 0;
  const reply = { model: 'm', now, startedAt: 0, loadMs: () => undefined };
  const chat = ollama.encodeChatResponse(result(events), reply);
  assert.deepEqual((chat['message'] as JsonObject)['images'], [picture.data]);
  const generate = ollama.encodeGenerateResponse(result(events), reply);
  assert.deepEqual([generate['response'], generate['image']], ['Here:', picture.data]);
  const encoder = ollama.createChatEncoder(reply);
  assert.match(events.map((event) => encoder.push(event)).join(''), /"images":\["iVBORw0KGgo="\]/);
  const blocks = anthropic.encodeResponse(result(events))['content'] as { text?: string }[];
  assert.equal(blocks[1]?.text, `![picture](${url})`);
});

test('Responses gives it as an item of its own, which may come back', () => {
  let ids = 0;
  const newId = (prefix: string) => `${prefix}_${++ids}`;
  const settings = responses.decodeSettings({ model: 'm', input: 'Draw' });
  const resource = responses.newResource(settings, {
    id: 'resp_1',
    createdAt: 1,
    conversationId: undefined,
    store: false,
  });
  const encoder = responses.createStreamEncoder({ resource, newId });
  const told = [...encoder.begin(), ...events.flatMap((event) => encoder.push(event, 2))];
  const done = told.filter(({ type }) => type === 'response.output_item.done').map(({ item }) => item as JsonObject);
  const made = done.find(({ type }) => type === 'image_generation_call');
  assert.deepEqual([made?.['status'], made?.['result']], ['completed', picture.data]);
  const { messages } = responses.decodeRequest({
    model: 'm',
    input: [{ role: 'user', content: 'Draw' }, made ?? {}, { role: 'user', content: 'Bluer' }],
  });
  assert.deepEqual(messages[1], { role: 'assistant', parts: [{ type: 'image', source: picture }] });
});
