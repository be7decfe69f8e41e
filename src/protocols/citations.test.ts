/** Sources of an answer through every door: what each provider names, and how each of our protocols says it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ChatEvent, ChatResult, Citation } from '../core/chat.ts';
import { createFolder } from '../core/collect.ts';
import type { JsonObject } from '../core/json.ts';
import { createSseParser } from '../lib/sse.ts';
import * as anthropic from './anthropic-messages.ts';
import * as bedrock from './bedrock-converse.ts';
import { codePoints, stringIndex } from './citations.ts';
import * as gemini from './gemini.ts';
import * as ollama from './ollama.ts';
import * as chat from './openai-chat.ts';
import * as responses from './openai-responses.ts';

// biome-ignore lint/suspicious/noExplicitAny: what a client reads is looked at as it comes
type Wire = any;

const folded = (events: readonly ChatEvent[]): ChatResult => {
  const folder = createFolder();
  for (const event of events) folder.push(event);
  return folder.result();
};
const textOf = ({ parts }: ChatResult) => parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
const slice = (text: string, from: number | undefined, to: number | undefined) => [...text].slice(from, to).join('');

/** The address (or title) of each source and the words that it is for. */
function cited(events: readonly ChatEvent[]): string[][] {
  const result = folded(events);
  const text = textOf(result);
  return (result.citations ?? []).map(({ url, title, span }) => [
    url ?? title ?? '',
    span ? slice(text, span.start, span.end) : '',
  ]);
}

const messagesOf = (body: string) => {
  const parser = createSseParser();
  return [...parser.push(Buffer.from(body)), ...parser.end()];
};
const stream = (
  decoder: { push(message: { data: string; event?: string }): ChatEvent[]; end(): ChatEvent[] },
  list: object[],
) => [...list.flatMap((data) => decoder.push({ data: JSON.stringify(data) })), ...decoder.end()];

/** What the doors say of `events`, whole and streamed, in one shape: source and words. */
const doors = {
  chat(events: ChatEvent[]) {
    const context = { created: 1, id: 'chatcmpl-1', model: 'm' };
    const { choices } = chat.encodeResponse(folded(events), context) as Wire;
    const encoder = chat.createStreamEncoder(context);
    const sent = events.map((event) => encoder.push(event)).join('') + encoder.end();
    const chunks: Wire[] = messagesOf(sent).flatMap(({ data }) => (data === '[DONE]' ? [] : [JSON.parse(data)]));
    // In one list: the SDKs put no two together.
    const [streamed = [], ...more] = chunks.flatMap(({ choices: [choice] }) =>
      choice?.delta.annotations ? [choice.delta.annotations] : [],
    );
    assert.deepEqual(more, []);
    assert.deepEqual(streamed, choices[0].message.annotations ?? []);
    return streamed.map(({ type, url_citation: { url, start_index, end_index } }: Wire) => {
      assert.equal(type, 'url_citation');
      return [url, slice(choices[0].message.content, start_index, end_index)];
    });
  },

  responses(events: ChatEvent[]) {
    let ids = 0;
    const settings = responses.decodeSettings({ model: 'm', input: 'x' });
    const resource = responses.newResource(settings, { id: 'resp_1', createdAt: 1, store: false });
    const encoder = responses.createStreamEncoder({ resource, newId: (prefix) => `${prefix}_${ids++}` });
    // As text at once: later events must not change what an earlier one said.
    const lines = [...encoder.begin(), ...events.flatMap((event) => encoder.push(event, 2))].map((event) =>
      JSON.parse(JSON.stringify(event)),
    );
    const added = lines.filter(({ type }) => type === 'response.output_text.annotation.added');
    const parts = (encoder.resource.output as Wire[]).flatMap((item) => (item.type === 'message' ? item.content : []));
    const texts = parts.filter(({ type }) => type === 'output_text');
    assert.deepEqual(
      added.map(({ annotation }) => annotation),
      texts.flatMap(({ annotations }) => annotations),
    );
    assert.deepEqual(
      added.map(({ annotation_index }) => annotation_index),
      texts.flatMap(({ annotations }) => annotations.map((_: unknown, at: number) => at)),
    );
    for (const { part } of lines.filter(({ type }) => type === 'response.content_part.added'))
      if (part.type === 'output_text') assert.deepEqual(part.annotations, []);
    const again = responses
      .replay(encoder.resource)
      .filter(({ type }) => type === 'response.output_text.annotation.added');
    assert.deepEqual(
      again.map(({ annotation }) => annotation),
      added.map(({ annotation }) => annotation),
    );
    return texts.flatMap(({ text, annotations }: Wire) =>
      annotations.map(({ url, start_index, end_index }: Wire) => [url, slice(text, start_index, end_index)]),
    );
  },

  /** Blocks are what Anthropic cites, so the words are those of the whole block. */
  anthropic(events: ChatEvent[]) {
    const { content } = anthropic.encodeResponse(folded(events)) as Wire;
    const encoder = anthropic.createStreamEncoder();
    const sent = events.map((event) => encoder.push(event)).join('') + encoder.end();
    const streamed: Wire[] = [];
    for (const { data } of messagesOf(sent)) {
      const { type, index, content_block, delta } = JSON.parse(data);
      if (type === 'content_block_start') streamed[index] = { ...content_block };
      if (delta?.type === 'text_delta') streamed[index].text += delta.text;
      if (delta?.type === 'citations_delta')
        streamed[index].citations = [...(streamed[index].citations ?? []), delta.citation];
    }
    const all = (blocks: Wire[]) => blocks.flatMap(({ citations }) => citations ?? []);
    assert.deepEqual(all(streamed), all(content));
    assert.equal(text(streamed), text(content));
    for (const block of content) if (block.type === 'text') assert.notEqual(block.text.trim(), '');
    return content.flatMap(({ text, citations }: Wire) => (citations ?? []).map((citation: Wire) => [citation, text]));
  },
};
const text = (blocks: Wire[]) => blocks.map((block) => block.text ?? '').join('');

const recording = (protocol: string, name: string): string =>
  JSON.parse(readFileSync(join(import.meta.dirname, protocol, '__fixtures__', `${name}.json`), 'utf8')).response.body;

describe('Gemini', () => {
  test('a recorded answer: bytes become characters, chunks their pages', () => {
    const body = JSON.parse(recording('gemini', 'test_google_model_web_search_tool.0.aa3305'));
    const { groundingChunks, groundingSupports } = body.candidates[0].groundingMetadata;
    const expected = groundingSupports.flatMap(({ segment, groundingChunkIndices }: Wire) =>
      groundingChunkIndices.map((index: number) => [groundingChunks[index].web.uri, segment.text]),
    );
    const events = gemini.decodeResponse(body);
    assert.deepEqual(cited(events), expected);
    assert.deepEqual(doors.chat(events), expected);
    assert.deepEqual(doors.responses(events), expected);
    assert.equal(doors.anthropic(events).length, expected.length);
  });

  test('a recorded stream', () => {
    const decoder = gemini.createStreamDecoder();
    const messages = messagesOf(recording('gemini', 'sse-test_google_model_web_search_tool_stream.0.f4cd02'));
    const events = [...messages.flatMap((message) => decoder.push(message)), ...decoder.end()];
    const found = cited(events);
    assert.equal(found.length, 9);
    for (const [, words = ''] of found) assert.match(words, /^\S[\s\S]*\.$/);
    assert.deepEqual(doors.chat(events), found);
    assert.deepEqual(doors.responses(events), found);
    doors.anthropic(events);
  });

  const answer = (candidate: object) =>
    gemini.decodeResponse({ candidates: [{ finishReason: 'STOP', ...candidate }] } as unknown as JsonObject);
  const said = (...texts: string[]) => ({ parts: texts.map((text) => ({ text })) });
  const page = { web: { uri: 'https://a.example/', title: 'A' } };

  test('words are found by what they are where the count starts at a part', () => {
    const groundingSupports = [
      { segment: { startIndex: 0, endIndex: 8, text: '🌊 sea' }, groundingChunkIndices: [0, 7] },
    ];
    const events = answer({
      content: said('Look: ', '🌊 sea'),
      groundingMetadata: { groundingChunks: [page], groundingSupports },
    });
    assert.deepEqual(cited(events), [['https://a.example/', '🌊 sea']]);
  });

  test('sources of text that a call follows stay with the text', () => {
    const functionCall = { name: 'f', args: {} };
    const events = answer({
      content: { parts: [{ text: 'Hi.' }, { functionCall }] },
      groundingMetadata: {
        groundingChunks: [page],
        groundingSupports: [{ segment: { endIndex: 3 }, groundingChunkIndices: [0] }],
      },
    });
    for (const door of [doors.chat, doors.responses]) assert.deepEqual(door(events), [['https://a.example/', 'Hi.']]);
    assert.equal(doors.anthropic(events).length, 1);
  });

  test('pages without words, documents with an address, and what was taken over from elsewhere', () => {
    const pages = answer({ content: said('Hi'), groundingMetadata: { groundingChunks: [page] } });
    assert.deepEqual(cited(pages), [['https://a.example/', '']]);
    const store = { retrievedContext: { uri: 'gs://b/doc', title: 'Doc', text: 'Their words' } };
    const groundingSupports = [{ segment: { endIndex: 2 }, groundingChunkIndices: [0] }];
    const [citation] =
      folded(answer({ content: said('Hi'), groundingMetadata: { groundingChunks: [store], groundingSupports } }))
        .citations ?? [];
    assert.deepEqual(citation, { span: { start: 0, end: 2 }, url: 'gs://b/doc', title: 'Doc', quote: 'Their words' });
    const source = { startIndex: 3, endIndex: 5, uri: 'https://c.example/' };
    for (const field of ['citationSources', 'citations'])
      assert.deepEqual(cited(answer({ content: said('é hi'), citationMetadata: { [field]: [source] } })), [
        ['https://c.example/', 'hi'],
      ]);
    assert.deepEqual(answer({ content: said('Hi'), groundingMetadata: {} }).length, 3);
  });
});

describe('OpenAI-shaped upstreams', () => {
  const annotation = (url: string, start_index?: number, end_index?: number, more: object = {}) => ({
    type: 'url_citation',
    url_citation: { url, ...(end_index && { start_index, end_index }), ...more },
  });
  const chunk = (delta: object, more: object = {}) => ({
    id: 'c',
    model: 'm',
    choices: [{ index: 0, delta }],
    ...more,
  });
  const last = { id: 'c', model: 'm', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] };
  const whole = (message: object, more: object = {}) =>
    chat.decodeResponse({ choices: [{ index: 0, message, finish_reason: 'stop' }], ...more } as unknown as JsonObject);

  test('annotations at the end of a stream, as OpenAI sends them; twice the same is once', () => {
    const annotations = [annotation('https://a.example/', 3, 7, { title: 'A' })];
    const content = '🌊: wave! And more.';
    const events = stream(chat.createStreamDecoder(), [
      chunk({ content: '🌊: wa' }),
      chunk({ content: 've! And more.' }),
      chunk({ annotations }),
      chunk({ annotations }),
      last,
    ]);
    assert.deepEqual(cited(events), [['https://a.example/', 'wave']]);
    assert.deepEqual(cited(whole({ content, annotations })), cited(events));
    for (const door of [doors.chat, doors.responses]) assert.deepEqual(door(events), [['https://a.example/', 'wave']]);
    assert.deepEqual(doors.anthropic(events), [
      [
        {
          type: 'web_search_result_location',
          url: 'https://a.example/',
          title: 'A',
          cited_text: '',
          encrypted_index: 'viaduct',
        },
        'wave',
      ],
    ]);
  });

  test('OpenRouter’s come before the text and without a place', () => {
    const events = stream(chat.createStreamDecoder(), [
      chunk({ content: '', annotations: [annotation('https://a.example/', 0, 0, { content: 'Snippet' })] }),
      chunk({ content: 'Hello' }),
      last,
    ]);
    assert.deepEqual(cited(events), [['https://a.example/', '']]);
    assert.deepEqual(doors.chat(events), [['https://a.example/', '']]);
    assert.deepEqual(doors.responses(events), [['https://a.example/', '']]);
    const [[citation, words]] = doors.anthropic(events);
    assert.deepEqual([citation.cited_text, citation.title, words], ['Snippet', null, 'Hello']);
    const { choices } = chat.encodeResponse(folded(events), { created: 1, id: 'x', model: 'm' }) as Wire;
    assert.deepEqual(choices[0].message.annotations, [
      annotation('https://a.example/', 0, 0, {
        title: 'https://a.example/',
        start_index: 0,
        end_index: 0,
        content: 'Snippet',
      }),
    ]);
  });

  test('lists beside the choices: at their numbers in the text, else nowhere in particular', () => {
    const citations = ['https://a.example/', 'https://b.example/', 'https://c.example/'];
    const search_results = [{ title: 'B', url: 'https://b.example/', snippet: 'Bees' }];
    const lists = { citations, search_results };
    const content = '🌊 Bees[2] hum[2][1]. See [9].';
    const expected = [
      ['https://b.example/', '[2]'],
      ['https://b.example/', '[2]'],
      ['https://a.example/', '[1]'],
      ['https://c.example/', ''],
    ];
    const events = whole({ content }, lists);
    assert.deepEqual(cited(events), expected);
    assert.deepEqual(folded(events).citations?.[0], {
      span: { start: 6, end: 9 },
      url: 'https://b.example/',
      title: 'B',
      quote: 'Bees',
    });
    const streamed = stream(chat.createStreamDecoder(), [
      chunk({ content: content.slice(0, 9) }, lists),
      chunk({ content: content.slice(9) }, lists),
      { ...last, ...lists },
    ]);
    assert.deepEqual(cited(streamed), expected);
    assert.deepEqual(doors.chat(events), expected);
    const annotations = [annotation('https://a.example/', 0, 1)];
    assert.equal(cited(whole({ content, annotations }, lists)).length, 1, 'annotations say it better');
    assert.deepEqual(cited(whole({ content: 'Hi', annotations: null }, { citations: null })), []);
  });
});

describe('Responses', () => {
  test('annotations of xAI lack title and place; those of files are passed over', () => {
    const part = {
      type: 'output_text',
      text: 'Hi',
      annotations: [
        { type: 'url_citation', url: 'https://a.example/' },
        { type: 'file_citation', file_id: 'file_1', filename: 'a.pdf', index: 1 },
      ],
    };
    const output = [{ type: 'message', id: 'msg_1', content: [part] }];
    const events = responses.decodeResponse({ id: 'resp_1', status: 'completed', output } as unknown as JsonObject);
    assert.deepEqual(cited(events), [['https://a.example/', '']]);
  });

  test('each part counts from its own start; citations that come with the finished item only are not lost', () => {
    const annotation = { type: 'url_citation', url: 'https://a.example/', title: 'A', start_index: 1, end_index: 3 };
    const message = (id: string, text: string) => ({
      type: 'message',
      id,
      content: [{ type: 'output_text', text, annotations: [annotation] }],
    });
    const delta = (item_id: string, text: string) => ({
      type: 'response.output_text.delta',
      item_id,
      content_index: 0,
      delta: text,
    });
    const events = stream(responses.createStreamDecoder(), [
      { type: 'response.created', response: { id: 'r', model: 'm' } },
      delta('a', '🌊one'),
      {
        type: 'response.output_text.annotation.added',
        item_id: 'a',
        content_index: 0,
        annotation_index: 0,
        annotation,
      },
      { type: 'response.output_item.done', item: message('a', '🌊one') },
      delta('b', 'tw'),
      delta('b', 'o'),
      { type: 'response.output_item.done', item: message('b', 'two') },
      { type: 'response.completed', response: { status: 'completed' } },
    ]);
    assert.deepEqual(cited(events), [
      ['https://a.example/', 'on'],
      ['https://a.example/', 'wo'],
    ]);
    assert.deepEqual(doors.chat(events), cited(events));
  });
});

describe('Bedrock', () => {
  const location = { documentPage: { documentIndex: 1, start: 2, end: 3 } };
  const citation = { title: 'Report', sourceContent: [{ text: 'It grew.' }], location };
  const content = [
    { text: 'See: ' },
    { citationsContent: { content: [{ text: 'growth 🌱' }], citations: [citation] } },
    { text: '.' },
  ];
  const whole = (blocks: object[]) =>
    bedrock.decodeResponse({
      output: { message: { content: blocks } },
      stopReason: 'end_turn',
      usage: {},
    } as unknown as JsonObject);
  const streamed = (...blocks: object[][]) => {
    const decoder = bedrock.createStreamDecoder();
    const push = (event: string, data: object) => decoder.push({ event, data: JSON.stringify(data) });
    return [
      ...push('messageStart', { role: 'assistant' }),
      ...blocks.flatMap((deltas, contentBlockIndex) => [
        ...deltas.flatMap((delta) => push('contentBlockDelta', { contentBlockIndex, delta })),
        ...push('contentBlockStop', { contentBlockIndex }),
      ]),
      ...push('messageStop', { stopReason: 'end_turn' }),
      ...decoder.end(),
    ];
  };

  test('a place in a document is Anthropic’s own; OpenAI has no words for it', () => {
    const events = whole(content);
    const again = streamed([{ text: 'See: ' }], [{ text: 'growth ' }, { citation }, { text: '🌱' }], [{ text: '.' }]);
    for (const each of [events, again]) {
      assert.deepEqual(folded(each).citations, [
        {
          span: { start: 5, end: 13 },
          title: 'Report',
          quote: 'It grew.',
          place: { in: 'pages', index: 1, start: 2, end: 3 },
        },
      ]);
      assert.deepEqual(doors.anthropic(each), [
        [
          {
            type: 'page_location',
            cited_text: 'It grew.',
            document_index: 1,
            document_title: 'Report',
            file_id: null,
            start_page_number: 2,
            end_page_number: 3,
          },
          'growth 🌱',
        ],
      ]);
      assert.deepEqual(doors.chat(each), []);
      assert.deepEqual(doors.responses(each), []);
    }
  });

  test('each kind of place keeps its kind', () => {
    const kinds: [string, object, string][] = [
      ['documentChar', { documentIndex: 0 }, 'char_location'],
      ['documentChunk', { documentIndex: 0 }, 'content_block_location'],
      ['searchResultLocation', { searchResultIndex: 0 }, 'search_result_location'],
    ];
    for (const [field, index, type] of kinds) {
      const source = { source: 'https://a.example/', location: { [field]: { ...index, start: 1, end: 4 } } };
      const events = whole([{ citationsContent: { content: [{ text: 'Hi' }], citations: [source] } }]);
      const [[wire]] = doors.anthropic(events);
      assert.equal(wire.type, type);
      const back = anthropic.decodeResponse({ content: [{ type: 'text', text: 'Hi', citations: [wire] }] });
      assert.deepEqual(folded(back).citations?.[0]?.place, folded(events).citations?.[0]?.place);
    }
  });

  test('a page that Nova names in a block of its own is for the text before', () => {
    const web = { location: { web: { url: 'https://a.example/', domain: 'a.example' } } };
    const expected = [['https://a.example/', 'Hello']];
    for (const events of [
      whole([{ text: 'Hello' }, { citationsContent: { citations: [web] } }, { text: ' there' }]),
      streamed([{ text: 'Hello' }], [{ citation: web }], [{ text: ' there' }]),
    ]) {
      assert.deepEqual(cited(events), expected);
      assert.deepEqual(doors.chat(events), expected);
      assert.equal(folded(events).citations?.[0]?.title, 'a.example');
      assert.deepEqual(doors.anthropic(events)[0][1], 'Hello');
    }
  });

  test('a document that is to be cited says so to both', () => {
    const source = { type: 'base64', media_type: 'application/pdf', data: 'QQ==' };
    const document = { type: 'document', source, title: 'a', citations: { enabled: true } };
    const body = { model: 'm', max_tokens: 5, messages: [{ role: 'user', content: [document] }] };
    const request = anthropic.decodeRequest(body);
    const sent = (wire: JsonObject) => (wire as Wire).messages[0].content[0];
    assert.deepEqual(sent(bedrock.encodeRequest(request)).document.citations, { enabled: true });
    assert.deepEqual(sent(anthropic.encodeRequest(request)).citations, { enabled: true });
    assert.deepEqual(
      bedrock.decodeRequest(bedrock.encodeRequest(request), { model: 'm', stream: false }).messages,
      request.messages,
    );
  });
});

describe('Anthropic', () => {
  test('what another provider named is taken out of what goes back, and nothing else', () => {
    const events: ChatEvent[] = [
      { type: 'start', id: 'x', model: 'm' },
      { type: 'reasoning', text: 'Hm' },
      { type: 'reasoning-end', signature: 'sig', origin: 'gemini' },
      { type: 'text', text: 'Hello' },
      { type: 'citation', citation: { url: 'https://a.example/', span: { start: 0, end: 5 } } },
      { type: 'finish', reason: 'stop', usage: { input: 1, output: 1 } },
    ];
    const { content } = anthropic.encodeResponse(folded(events)) as Wire;
    const theirs = { type: 'web_search_result_location', url: 'https://b.example/', encrypted_index: 'EoAB' };
    const history = (blocks: object[]) =>
      ({
        messages: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: blocks },
        ],
      }) as unknown as JsonObject;
    const own = history([
      { type: 'text', text: 'Hello', citations: [theirs] },
      { type: 'thinking', signature: 'EqA' },
    ]);
    assert.equal(anthropic.withoutForeign(own), own);
    assert.deepEqual(anthropic.withoutForeign(history(content)), history([{ type: 'text', text: 'Hello' }]));
    content[1].citations.push(theirs);
    assert.deepEqual(
      anthropic.withoutForeign(history(content)),
      history([{ type: 'text', text: 'Hello', citations: [theirs] }]),
    );
  });

  test('every door takes an answer back with its sources, and sends none on', () => {
    const citations = [
      { type: 'web_search_result_location', url: 'u', title: null, cited_text: '', encrypted_index: 'x' },
    ];
    const annotations = [{ type: 'url_citation', url: 'u', title: 't', start_index: 0, end_index: 2 }];
    const requests = [
      anthropic.decodeRequest({
        model: 'm',
        max_tokens: 5,
        messages: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: [{ type: 'text', text: 'Yo', citations }] },
        ],
      }),
      chat.decodeRequest({
        model: 'm',
        messages: [
          { role: 'user', content: 'Hi' },
          {
            role: 'assistant',
            content: 'Yo',
            annotations: [{ type: 'url_citation', url_citation: annotations[0] as Wire }],
          },
        ],
      }),
      responses.decodeRequest({
        model: 'm',
        input: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: [{ type: 'output_text', text: 'Yo', annotations }] },
        ],
      }),
    ];
    for (const request of requests) {
      assert.deepEqual(request.messages.at(-1)?.parts, [{ type: 'text', text: 'Yo' }]);
      for (const encode of [anthropic, bedrock, chat, gemini, ollama, responses])
        assert.doesNotMatch(JSON.stringify(encode.encodeRequest(request)), /citation|annotation/);
    }
  });
});

test('a door gives sources that came between other things a place', () => {
  const events: ChatEvent[] = [
    { type: 'start', id: 'x', model: 'm' },
    { type: 'text', text: 'One. ' },
    { type: 'reasoning', text: 'hm' },
    { type: 'reasoning-end' },
    { type: 'citation', citation: { url: 'https://a.example/' } },
    { type: 'image', source: { url: 'https://pic.example/p.png' } },
    { type: 'text', text: 'Two.' },
    { type: 'citation', citation: { url: 'https://b.example/', span: { start: 5, end: 8 } } },
    { type: 'finish', reason: 'stop', usage: { input: 1, output: 1 } },
  ];
  assert.deepEqual(doors.responses(events), [
    ['https://a.example/', ''],
    ['https://b.example/', 'Two'],
  ]);
});

test('characters are code points', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(20), (text, at) => {
      assert.equal(codePoints(text), [...text].length);
      assert.equal(text.slice(0, stringIndex(text, at)), [...text].slice(0, at).join(''));
    }),
  );
});

/** An answer with the words each source is for: what follows nothing, or the piece said last. */
const answers = fc
  .array(
    fc.record({
      text: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
      cited: fc.boolean(),
      think: fc.boolean(),
    }),
    {
      minLength: 1,
      maxLength: 6,
    },
  )
  .map((pieces) => {
    let said = 0;
    const expected: string[][] = [];
    const events = pieces.flatMap(({ text, cited, think }, at): ChatEvent[] => {
      const start = said;
      said += [...text].length;
      const url = `https://example.com/${at}`;
      if (cited) expected.push([url, text]);
      const citation: Citation = { url, title: 'T', quote: 'Q', span: { start, end: said } };
      return [
        ...(think ? [{ type: 'reasoning' as const, text: 'hm' }, { type: 'reasoning-end' as const }] : []),
        { type: 'text', text, ...(at > 0 && { begins: true }) },
        ...(cited ? [{ type: 'citation' as const, citation }] : []),
      ];
    });
    const finish: ChatEvent = { type: 'finish', reason: 'stop', usage: { input: 1, output: 1 } };
    return { expected, events: [{ type: 'start' as const, id: 'x', model: 'm' }, ...events, finish] };
  });

test('any answer: every door gives each source its words, streamed and whole', () => {
  fc.assert(
    fc.property(answers, ({ events, expected }) => {
      assert.deepEqual(doors.chat(events), expected);
      assert.deepEqual(doors.responses(events), expected);
      // White space alone makes no block: it goes with the text before it.
      if (events.every((event) => event.type !== 'text' || event.text.trim() !== ''))
        assert.deepEqual(
          doors.anthropic(events).map(([{ url }, words]: Wire) => [url, words]),
          expected,
        );
    }),
  );
});

test('any answer comes out of each protocol as it went in', () => {
  const context = { created: 1, id: 'x', model: 'm' };
  fc.assert(
    fc.property(answers, ({ events }) => {
      const { citations } = folded(events);
      assert.deepEqual(folded(chat.decodeResponse(chat.encodeResponse(folded(events), context))).citations, citations);
      if (events.every((event) => event.type !== 'text' || event.text.trim() !== ''))
        assert.deepEqual(
          folded(anthropic.decodeResponse(anthropic.encodeResponse(folded(events)))).citations,
          citations,
        );
    }),
  );
});
