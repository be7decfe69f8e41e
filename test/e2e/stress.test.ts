/**
 * 32 clients of every kind at once, of which some leave in the middle. Every request asks for a marker of its own, which
 * a schema forces: an answer with another client's marker would be another client's answer.
 * VIADUCT_STRESS_SECONDS says how long; 20 s unless set.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import Anthropic from '@anthropic-ai/sdk';
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { startTestServer, type TestServer } from '../support/server.ts';

const model = 'smollm2:135m';
const coder = 'qwen2.5-coder:0.5b';
const embedder = 'all-minilm';
const clients = 32;
const seconds = Number(process.env['VIADUCT_STRESS_SECONDS'] ?? 20);
/** Share of requests whose client leaves, and within how many milliseconds. */
const leaving = 0.3;
const patience = 2000;

let server: TestServer;
let openai: OpenAI;
let anthropic: Anthropic;

before(async () => {
  server = await startTestServer({ models: [model, coder, embedder] });
  openai = new OpenAI({ baseURL: `${server.url}/v1/`, apiKey: 'ollama', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: server.url, apiKey: 'any', maxRetries: 0 });
});
after(() => server?.close());

/** One request; gives the marker that came back. */
type Kind = (marker: string, signal: AbortSignal) => Promise<string>;

const ask = (marker: string) => [{ role: 'user' as const, content: `Say ${marker}` }];
const schemaOf = (marker: string) => ({
  type: 'object' as const,
  properties: { marker: { enum: [marker] } },
  required: ['marker'],
  additionalProperties: false,
});
const markerOf = (json: string | null | undefined) => (JSON.parse(json ?? '') as { marker: string }).marker;
const name = 'report';
const ollama = (signal: AbortSignal) =>
  new Ollama({ host: server.url, fetch: (url, init) => fetch(url, { ...init, signal }) });

const kinds: Record<string, Kind> = {
  async 'chat, JSON'(marker, signal) {
    const reply = await openai.chat.completions.create(chatJson(marker), { signal });
    return markerOf(reply.choices[0]?.message.content);
  },
  async 'chat, JSON, streamed'(marker, signal) {
    const stream = openai.chat.completions.stream(chatJson(marker), { signal });
    return markerOf(await stream.finalContent());
  },
  async 'chat, tool, streamed'(marker, signal) {
    const parameters = schemaOf(marker);
    const stream = openai.chat.completions.stream(
      {
        model: coder,
        messages: ask(marker),
        tools: [{ type: 'function', function: { name, parameters } }],
        tool_choice: 'required',
      },
      { signal },
    );
    const { tool_calls } = await stream.finalMessage();
    const [call] = tool_calls ?? [];
    return markerOf(call?.type === 'function' ? call.function.arguments : undefined);
  },
  async 'Responses, streamed'(marker, signal) {
    const format = { type: 'json_schema' as const, name, schema: schemaOf(marker) };
    const stream = openai.responses.stream({ model, input: `Say ${marker}`, text: { format } }, { signal });
    return markerOf((await stream.finalResponse()).output_text);
  },
  async 'Messages, tool'(marker, signal) {
    const reply = await anthropic.messages.create(
      {
        model,
        max_tokens: 100,
        messages: ask(marker),
        tools: [{ name, input_schema: schemaOf(marker) }],
        tool_choice: { type: 'any' },
      },
      { signal },
    );
    const call = reply.content.find((block) => block.type === 'tool_use');
    return markerOf(JSON.stringify(call?.input));
  },
  async 'Messages, streamed'(marker, signal) {
    const stream = anthropic.messages.stream(
      {
        model,
        max_tokens: 100,
        messages: ask(marker),
        output_config: { format: { type: 'json_schema', schema: schemaOf(marker) } },
      },
      { signal },
    );
    return markerOf(await stream.finalText());
  },
  async 'Ollama chat'(marker, signal) {
    const { message } = await ollama(signal).chat({ model, messages: ask(marker), format: schemaOf(marker) });
    return markerOf(message.content);
  },
  async 'Ollama generate, streamed'(marker, signal) {
    const stream = await ollama(signal).generate({
      model,
      prompt: `Say ${marker}`,
      format: schemaOf(marker),
      stream: true,
    });
    let text = '';
    for await (const { response } of stream) text += response;
    return markerOf(text);
  },
  async 'a long text, streamed'(marker, signal) {
    const stream = await openai.chat.completions.create(
      { model, messages: ask(marker), max_tokens: 60, stream: true },
      { signal, headers: { 'x-request-id': marker } },
    );
    const ids = new Set<string>();
    for await (const { id } of stream) ids.add(id);
    assert.equal(ids.size, 1, 'chunks of two answers in one stream');
    return marker;
  },
  async embeddings(marker, signal) {
    const input = [marker, `${marker} again`];
    const { data } = await openai.embeddings.create({ model: embedder, input }, { signal });
    // Asked once more and alone, the same text has the same vector.
    const alone = await openai.embeddings.create({ model: embedder, input: marker }, { signal });
    const [one = [], two = []] = [data[0]?.embedding, alone.data[0]?.embedding];
    const cosine = one.reduce((sum, value, at) => sum + value * (two[at] ?? 0), 0);
    assert.ok(cosine > 0.99, `not the vector of its text: ${cosine}`);
    return marker;
  },
};

function chatJson(marker: string) {
  const json_schema = { name, strict: true, schema: schemaOf(marker) };
  return { model, messages: ask(marker), response_format: { type: 'json_schema' as const, json_schema } };
}

test(`${clients} clients for ${seconds} s: no answer is another's, no error, no slot left behind`, async (t) => {
  const end = Date.now() + seconds * 1000;
  const done: Record<string, number> = {};
  const wrong: string[] = [];
  let left = 0;

  async function request(client: number, round: number) {
    const [kind, run] = Object.entries(kinds)[(client + round) % Object.keys(kinds).length] as [string, Kind];
    const marker = `m${client}-${round}-${Math.random().toString(36).slice(2, 7)}`;
    const leave = new AbortController();
    const timer = Math.random() < leaving && setTimeout(() => leave.abort(), Math.random() * patience);
    try {
      const got = await run(marker, leave.signal);
      if (got !== marker) wrong.push(`${kind}: asked for ${marker}, got ${got}`);
      done[kind] = (done[kind] ?? 0) + 1;
    } catch (error) {
      if (leave.signal.aborted) left++;
      else wrong.push(`${kind}: ${error}`);
    } finally {
      if (timer) clearTimeout(timer);
    }
  }
  async function client(id: number) {
    for (let round = 0; Date.now() < end; round++) await request(id, round);
  }
  await Promise.all(Array.from({ length: clients }, (_, id) => client(id)));

  t.diagnostic(`${left} left; answered: ${JSON.stringify(done)}`);
  assert.deepEqual(wrong, []);
  assert.deepEqual(
    Object.keys(kinds).filter((kind) => !done[kind]),
    [],
    'kinds that never came to an end',
  );
  assert.ok(left > 0, 'some clients left');
  const busy = async () => {
    const { models } = (await (await fetch(`${server.url}/api/ps`)).json()) as {
      models: { busy: number; queued: number }[];
    };
    return models.reduce((sum, { busy, queued }) => sum + busy + queued, 0);
  };
  for (let waited = 0; (await busy()) > 0 && waited < 5000; waited += 50) await sleep(50);
  assert.equal(await busy(), 0);
  assert.equal(server.process.exitCode, null);
  assert.doesNotMatch(server.log(), /uncaught|unhandled/i);
});
