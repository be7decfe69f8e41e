/**
 * Sources of an answer through the real server, read by the clients' own libraries: from providers that name them each
 * in its way, through every door that has a place for them, and back with the next turn.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import type Anthropic from '@anthropic-ai/sdk';
import type { Ollama } from 'ollama';
import type OpenAI from 'openai';
import { openProviderDoors, type ProviderDoors } from '../support/provider-doors.ts';
import { runPython } from '../support/python.ts';

const recorded = (name: string): string =>
  JSON.parse(readFileSync(join(import.meta.dirname, '../../src/protocols/gemini/__fixtures__', `${name}.json`), 'utf8'))
    .response.body;

const said = 'Tides 🌊 follow the moon (nasa.example). So it is.';
const annotation = (url: string, words: string, title: string) => {
  const start_index = [...said.slice(0, said.indexOf(words))].length;
  return {
    type: 'url_citation',
    url_citation: { url, title, start_index, end_index: start_index + [...words].length },
  };
};
const annotations = [
  annotation('https://nasa.example/tides', '(nasa.example)', 'Tides'),
  annotation('https://moon.example/', 'So it is.', 'Moon'),
];
const usage = { prompt_tokens: 3, completion_tokens: 5, total_tokens: 8 };
const chunk = (delta: object, more: object = {}) =>
  `data: ${JSON.stringify({ id: 'gen-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, delta, ...more }] })}\n\n`;

/** By provider: what it answers, whole or streamed. */
const replies: Record<string, { plain: string; stream?: string }> = {
  openrouter: {
    plain: JSON.stringify({
      id: 'gen-1',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, message: { role: 'assistant', content: said, annotations }, finish_reason: 'stop' }],
      usage,
    }),
    stream: `${chunk({ role: 'assistant', content: said.slice(0, 20) })}${chunk({ content: said.slice(20) })}${chunk({ annotations })}${chunk({}, { finish_reason: 'stop' })}data: ${JSON.stringify({ id: 'gen-1', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [], usage })}\n\ndata: [DONE]\n\n`,
  },
  gemini: {
    plain: recorded('test_google_model_web_search_tool.0.aa3305'),
    stream: recorded('sse-test_google_model_web_search_tool_stream.0.f4cd02'),
  },
  bedrock: {
    plain: JSON.stringify({
      output: {
        message: {
          role: 'assistant',
          content: [
            { text: 'It says: ' },
            {
              citationsContent: {
                content: [{ text: 'sales grew' }],
                citations: [
                  {
                    title: 'Report',
                    sourceContent: [{ text: 'Sales grew.' }],
                    location: { documentPage: { documentIndex: 0, start: 2, end: 3 } },
                  },
                ],
              },
            },
          ],
        },
      },
      stopReason: 'end_turn',
      usage: { inputTokens: 3, outputTokens: 5, totalTokens: 8 },
    }),
  },
  anthropic: {
    plain: JSON.stringify({
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude',
      content: [{ type: 'text', text: 'Yes.' }],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: { input_tokens: 3, output_tokens: 2 },
    }),
  },
};
const plainChat = (replies['openrouter']?.plain ?? '').replace(/,"annotations":\[.*?\}\]/, '');

/** What the upstream was sent, oldest first. */
const bodies: string[] = [];
const upstream = createServer(async (request, response) => {
  const [, kind = ''] = (request.url ?? '').split('/');
  const body = await text(request);
  bodies.push(body);
  const streams = JSON.parse(body).stream === true || /stream/i.test(request.url ?? '');
  const reply = replies[kind] ?? { plain: plainChat };
  response
    .writeHead(200, { 'content-type': streams ? 'text/event-stream' : 'application/json' })
    .end(streams ? reply.stream : reply.plain);
});
let server: ProviderDoors;
let openai: OpenAI;
let anthropic: Anthropic;
let ollama: Ollama;

before(async () => {
  server = await openProviderDoors(
    upstream,
    ['openrouter', 'gemini', 'bedrock', 'anthropic', 'groq', 'mistral'].map((kind) => ({ kind })),
  );
  ({ openai, anthropic, ollama } = server);
});
after(() => server?.close());

const question = [{ role: 'user' as const, content: 'Why tides?' }];

/** Source and words, as a client of each door finds them. */
type Found = [source: string, words: string][];
const words = (answer: string, from: number, to: number) => [...answer].slice(from, to).join('');

const doors: Record<string, (model: string, stream: boolean) => Promise<Found>> = {
  async chat(model, stream) {
    const ask = { model, messages: question };
    const { choices } = stream
      ? await openai.chat.completions.stream(ask).finalChatCompletion()
      : await openai.chat.completions.create(ask);
    const { content, annotations } = choices[0]?.message ?? {};
    return (annotations ?? []).map(({ url_citation: { url, start_index, end_index } }) => [
      url,
      words(content ?? '', start_index, end_index),
    ]);
  },

  async responses(model, stream) {
    const ask = { model, input: 'Why tides?' };
    if (!stream) return ofResponse(await openai.responses.create(ask));
    const events: OpenAI.Responses.ResponseStreamEvent[] = [];
    const running = openai.responses.stream(ask).on('event', (event) => events.push(event));
    const found = ofResponse(await running.finalResponse());
    assert.equal(events.filter(({ type }) => type === 'response.output_text.annotation.added').length, found.length);
    return found;
  },

  async anthropic(model, stream) {
    const ask = { model, max_tokens: 100, messages: question };
    const { content } = stream
      ? await anthropic.messages.stream(ask).finalMessage()
      : await anthropic.messages.create(ask);
    return content.flatMap(
      (block): Found =>
        block.type === 'text'
          ? (block.citations ?? []).map((citation) => ['url' in citation ? citation.url : '', block.text])
          : [],
    );
  },
};

function ofResponse({ output }: OpenAI.Responses.Response): Found {
  return output.flatMap((item) => {
    if (item.type !== 'message') return [];
    return item.content.flatMap((part): Found => {
      if (part.type !== 'output_text') return [];
      return part.annotations.flatMap(
        (annotation): Found =>
          annotation.type === 'url_citation'
            ? [[annotation.url, words(part.text, annotation.start_index, annotation.end_index)]]
            : [],
      );
    });
  });
}

const fromOpenRouter: Found = [
  ['https://nasa.example/tides', '(nasa.example)'],
  ['https://moon.example/', 'So it is.'],
];

for (const [door, ask] of Object.entries(doors))
  describe(door, () => {
    for (const stream of [false, true]) {
      test(`what OpenRouter names, ${stream ? 'streamed' : 'whole'}`, async () => {
        const found = await ask('openrouter/openai/gpt-4o:online', stream);
        // A streamed block cannot be cut after it went out.
        if (door === 'anthropic' && stream)
          assert.deepEqual(
            found,
            fromOpenRouter.map(([url]) => [url, said]),
          );
        else assert.deepEqual(found, fromOpenRouter);
      });

      test(`what Gemini found, ${stream ? 'streamed' : 'whole'}`, async () => {
        const found = await ask('gemini/gemini-2.5-flash', stream);
        assert.ok(found.length > 5);
        for (const [url, words] of found) {
          assert.match(url, /^https:/);
          assert.match(words, /\.\s*$/);
        }
      });
    }
  });

test('a place in a document that Claude names at Bedrock reaches a client of Anthropic as its own', async () => {
  const { content } = await anthropic.messages.create({
    model: 'bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0',
    max_tokens: 100,
    messages: [
      {
        role: 'user',
        content: [
          {
            type: 'document',
            title: 'Report',
            source: { type: 'base64', media_type: 'application/pdf', data: 'QQ==' },
            citations: { enabled: true },
          },
          { type: 'text', text: 'What does it say?' },
        ],
      },
    ],
  });
  const document = JSON.parse(bodies.at(-1) ?? '').messages[0].content[0].document;
  assert.deepEqual(document.citations, { enabled: true });
  assert.deepEqual(content, [
    { type: 'text', text: 'It says: ', citations: null },
    {
      type: 'text',
      text: 'sales grew',
      citations: [
        {
          type: 'page_location',
          cited_text: 'Sales grew.',
          document_index: 0,
          document_title: 'Report',
          file_id: null,
          start_page_number: 2,
          end_page_number: 3,
        },
      ],
    },
  ]);
});

test('the Python clients put a streamed answer together with its sources', async () => {
  const { code, stdout, stderr } = await runPython(
    `
import json, os
from anthropic import Anthropic
from openai import OpenAI

url, model = os.environ['VIADUCT_TEST_URL'], 'openrouter/openai/gpt-4o:online'
messages = [{'role': 'user', 'content': 'Why tides?'}]
openai, anthropic = OpenAI(base_url=url + '/v1', api_key='any'), Anthropic(base_url=url, api_key='any')
with openai.chat.completions.stream(model=model, messages=messages) as stream:
    message = stream.get_final_completion().choices[0].message
chat = [[a.url_citation.url, message.content[a.url_citation.start_index:a.url_citation.end_index]] for a in message.annotations]
with openai.responses.stream(model=model, input='Why tides?') as stream:
    part = stream.get_final_response().output[0].content[0]
responses = [[a.url, part.text[a.start_index:a.end_index]] for a in part.annotations]
with anthropic.messages.stream(model=model, max_tokens=100, messages=messages) as stream:
    content = stream.get_final_message().content
blocks = [[c.url, b.text] for b in content for c in b.citations or []]
print(json.dumps([chat, responses, blocks]))
`,
    { VIADUCT_TEST_URL: server.url },
  );
  assert.equal(code, 0, stderr);
  const whole = fromOpenRouter.map(([url]) => [url, said]);
  assert.deepEqual(JSON.parse(stdout), [fromOpenRouter, fromOpenRouter, whole]);
});

test('Ollama has no place for sources: the answer is whole without them', async () => {
  const { message } = await ollama.chat({ model: 'openrouter/openai/gpt-4o:online', messages: question });
  assert.equal(message.content, said);
});

describe('The next turn sends the answer back as the client got it', () => {
  /** `citations: null` is Anthropic's own, on every block without. */
  const marks = /annotation|citations":\[|encrypted_index/;

  test('from OpenAI’s door, to providers that refuse what they do not know', async () => {
    const { choices } = await openai.chat.completions.create({ model: 'gemini/gemini-2.5-flash', messages: question });
    const answer = choices[0]?.message;
    assert.ok(answer?.annotations?.length);
    for (const model of ['groq/llama', 'mistral/mistral-small-latest', 'gemini/gemini-2.5-flash', 'anthropic/claude']) {
      await openai.chat.completions.create({ model, messages: [...question, answer, ...question] });
      assert.doesNotMatch(bodies.at(-1) ?? '', marks);
    }
  });

  test('from Anthropic’s door, to Anthropic and others', async () => {
    const ask = { max_tokens: 100, messages: question };
    const { content } = await anthropic.messages.create({ ...ask, model: 'openrouter/openai/gpt-4o:online' });
    for (const model of ['anthropic/claude', 'openrouter/openai/gpt-4o:online', 'gemini/gemini-2.5-flash']) {
      await anthropic.messages.create({
        ...ask,
        model,
        messages: [...question, { role: 'assistant', content }, ...question],
      });
      assert.doesNotMatch(bodies.at(-1) ?? '', marks);
    }
  });

  test('through a stored response', async () => {
    const first = await openai.responses.create({ model: 'gemini/gemini-2.5-flash', input: 'Why tides?' });
    assert.deepEqual(ofResponse(await openai.responses.retrieve(first.id)), ofResponse(first));
    await openai.responses.create({
      model: 'openrouter/openai/gpt-4o:online',
      previous_response_id: first.id,
      input: 'Go on',
    });
    assert.doesNotMatch(bodies.at(-1) ?? '', marks);
  });
});
