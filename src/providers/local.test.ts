/** Chats, embeddings and counts on the real engine with real weights. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { callContext, startLocal, system, type TestLocal, user } from '../../test/support/local-provider.ts';
import type { AssistantPart, ChatRequest, Tool } from '../core/chat.ts';
import type { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import { validatorOf } from './local/json-schema.ts';

const model = 'smollm2:135m';
let local: TestLocal;
before(async () => {
  local = await startLocal([model, 'all-minilm']);
});
after(() => local?.close());

const fails = (work: Promise<unknown>, code: string, param?: string, message = /./) =>
  assert.rejects(work, (error: ViaductError) => {
    assert.equal(error.code, code, String(error.stack));
    if (param !== undefined) assert.equal(error.param, param);
    assert.match(error.message, message);
    return true;
  });

describe('text', () => {
  test('start, text, finish; tokens add up', async () => {
    const { events, finish, text } = await local.ask({ model, temperature: 0, maxTokens: 12 });
    assert.equal(events[0]?.type, 'start');
    assert.equal(events.at(-1)?.type, 'finish');
    assert.ok(text.length > 0);
    assert.equal(finish.reason, 'length');
    assert.equal(finish.usage.output, 12);
    const counted = await local.provider.countTokens?.(
      { model, stream: false, messages: [user('Say hi.')] },
      callContext(),
    );
    assert.equal(finish.usage.input, counted);
    for (const ms of Object.values(finish.timings ?? {})) assert.ok(ms > 0);
  });

  test('the prompt is not evaluated twice', async () => {
    const messages = [user(`Remember this: ${'a long text, '.repeat(100)}`)];
    await local.ask({ model, messages, maxTokens: 1 });
    const { finish } = await local.ask({ model, messages, maxTokens: 1 });
    assert.ok((finish.usage.cacheRead ?? 0) > finish.usage.input * 0.9);
  });

  test('the same seed says the same', async () => {
    const request = { model, temperature: 1, seed: 11, maxTokens: 20 };
    const [a, b] = [await local.ask(request), await local.ask(request)];
    assert.equal(a.text, b.text);
    // The engine's own word for "any seed" is a seed like any other here.
    for (const seed of [-1, 0xffffffff]) {
      const [c, d] = [await local.ask({ ...request, seed }), await local.ask({ ...request, seed })];
      assert.equal(c.text, d.text);
    }
  });

  test('a stop sequence ends the answer, is named and not said', async () => {
    const whole = await local.ask({ model, temperature: 0, maxTokens: 30 });
    const stop = whole.text.slice(8, 13);
    const { text, finish } = await local.ask({ model, temperature: 0, maxTokens: 30, stop: [stop, 'never'] });
    assert.equal(text, whole.text.slice(0, whole.text.indexOf(stop)));
    assert.equal(finish.reason, 'stop');
    assert.equal(finish.stopSequence, stop);
  });

  test('what only looks like a stop sequence is said, though the limit comes in the middle of it', async () => {
    const request = { model, temperature: 0, local: { raw: true }, messages: [user('1. 1\n2. 2\n3.')], logprobs: true };
    const whole = await local.ask({ ...request, maxTokens: 12 });
    for (let maxTokens = 1; maxTokens <= 12; maxTokens++) {
      const { text, finish, logprobs } = await local.ask({ ...request, maxTokens, stop: [' 3\n4XX', '\n4. 4\n5!'] });
      assert.ok(whole.text.startsWith(text));
      assert.equal(finish.usage.output, maxTokens);
      assert.deepEqual(
        logprobs?.map(({ token }) => token),
        whole.logprobs?.slice(0, maxTokens).map(({ token }) => token),
      );
      assert.equal(logprobs?.map(({ token }) => token).join(''), text);
    }
    const stopped = await local.ask({ ...request, maxTokens: 12, stop: ['3\n4. '] });
    assert.equal(stopped.logprobs?.map(({ token }) => token).join(''), stopped.text);
  });

  test('log-probabilities, one entry a token', async () => {
    const { logprobs, text } = await local.ask({ model, temperature: 0, maxTokens: 4, logprobs: true, topLogprobs: 3 });
    assert.equal(logprobs?.length, 4);
    assert.equal(logprobs?.map(({ token }) => token).join(''), text);
    for (const { logprob, top } of logprobs ?? []) {
      assert.ok(logprob <= 0);
      assert.equal(top.length, 3);
      assert.equal(top[0]?.logprob, logprob);
    }
  });

  test('a token can be favoured and banned', async () => {
    const favoured = await local.ask({ model, temperature: 0, maxTokens: 3, logitBias: { '57': 100 } });
    assert.equal(favoured.text, 'III');
    await fails(local.ask({ model, logitBias: { x: 1 } }), 'invalid_request', 'logit_bias');
    await fails(local.ask({ model, logitBias: { '49152': 1 } }), 'invalid_request', 'logit_bias', /0 to 49151/);
  });

  test("a prompt of token ids must be of the model's own", async () => {
    const raw = (promptTokens: number[]) => local.ask({ model, maxTokens: 1, local: { raw: true, promptTokens } });
    assert.equal((await raw([504, 3575, 282])).finish.usage.input, 3);
    await fails(raw([504, 49152]), 'invalid_request', 'prompt', /49152/);
  });

  test('a raw prompt, and a template of the request', async () => {
    const raw = await local.ask({
      model,
      temperature: 0,
      maxTokens: 6,
      messages: [user('1, 2, 3, 4,')],
      local: { raw: true },
    });
    assert.match(raw.text, /5, 6/);
    assert.equal(raw.finish.usage.input, 11);
    const template = '{{ .Prompt }} and then{{ .Response }}';
    const { finish } = await local.ask({ model, maxTokens: 1, messages: [user('One day')], local: { template } });
    assert.equal(finish.usage.input, 4);
    await fails(local.ask({ model, local: { template: '{{ .Prompt' } }), 'invalid_modelfile', 'template');
  });

  test('characters of several tokens come whole', async () => {
    const grammar = 'root ::= ("\u{1f600}" | "汉" | "é" | "🇩🇪"){12}';
    const { events } = await local.ask({ model, temperature: 1, local: { grammar } });
    for (const event of events) if (event.type === 'text') assert.doesNotMatch(event.text, /\ufffd/);
  });

  test("half a character is the client's mistake, said in words", async () => {
    await fails(local.ask({ model, messages: [user('\ud83d half')] }), 'invalid_request', 'messages', /Unicode/);
  });

  test('any order of roles is answered', async () => {
    const conversations = [
      [user('a'), user('b')],
      [{ role: 'assistant' as const, parts: [] }, user('x'), system('late'), user('y')],
      [system('only this')],
      [user(''), { role: 'assistant' as const, parts: [{ type: 'refusal' as const, text: 'no' }] }, user('why?')],
    ];
    for (const messages of conversations) {
      const { finish } = await local.ask({ model, messages, maxTokens: 2 });
      assert.ok(finish.usage.output > 0);
    }
  });

  test('no messages: the model is loaded, no more', async () => {
    const { finish } = await local.ask({ model, messages: [] });
    assert.equal(finish.rawReason, 'load');
  });
});

describe('context', () => {
  test('a prompt beyond it is refused with both numbers', async () => {
    const messages = [user('hello '.repeat(600))];
    await fails(
      local.ask({ model, messages, local: { numCtx: 256 } }),
      'context_length_exceeded',
      'messages',
      /256 tokens.* 631 tokens/,
    );
  });

  test('exactly the context that was asked for is in force', async () => {
    const { finish } = await local.ask({
      model,
      temperature: 0,
      messages: [user('Tell a very long story')],
      local: { numCtx: 100 },
    });
    assert.equal(finish.reason, 'length');
    assert.equal(finish.usage.input + finish.usage.output, 100);
  });
});

describe('thoughts', () => {
  test('written between tags: told apart from the answer', async () => {
    const grammar = 'root ::= "<think>" [a-z ]{20,60} "</think>\\n\\n" [A-Z] [a-z ]{10,30} "."';
    const { parts, finish } = await local.ask({ model, temperature: 1, seed: 1, local: { grammar } });
    assert.deepEqual(
      parts.map(({ type }) => type),
      ['reasoning', 'text'],
    );
    assert.doesNotMatch(JSON.stringify(parts), /think>/);
    assert.ok((finish.usage.reasoning ?? 0) > 0);
  });

  test('opened by the template, ended by the budget', async () => {
    const template = '{{ .Prompt }}<think>\n';
    const { parts, finish } = await local.ask({
      model,
      maxTokens: 30,
      reasoning: { budgetTokens: 6 },
      local: { template },
    });
    assert.equal(parts[0]?.type, 'reasoning');
    assert.equal(parts[1]?.type, 'text');
    assert.ok((finish.usage.reasoning ?? 0) <= 8);
    assert.ok(finish.usage.output <= 30);
  });
});

describe('JSON', () => {
  const schemas: Record<string, JsonObject> = {
    person: { type: 'object', properties: { name: { type: 'string' }, age: { type: 'integer', minimum: 0, maximum: 120 }, mood: { enum: ['gut', 'très bien', '好'] } }, required: ['name', 'age', 'mood'], additionalProperties: false },
    tree: { $ref: '#/$defs/node', $defs: { node: { type: 'object', properties: { value: { type: 'number', minimum: -1, maximum: 1 }, children: { type: 'array', items: { $ref: '#/$defs/node' } } }, required: ['value', 'children'], additionalProperties: false } } },
    either: { type: 'object', properties: { result: { anyOf: [{ type: 'string' }, { type: 'object', properties: { code: { type: 'integer' } }, required: ['code'], additionalProperties: false }, { type: 'null' }] } }, required: ['result'], additionalProperties: false },
    formats: { type: 'object', properties: { id: { type: 'string', format: 'uuid' }, day: { type: 'string', format: 'date' }, key: { type: 'string', pattern: '^[A-Z]{2}-\\d+$' } }, required: ['id', 'day', 'key'], additionalProperties: false },
  }; // biome-ignore format: a table

  for (const [name, schema] of Object.entries(schemas))
    test(`${name}: valid at temperature 1`, async () => {
      const validate = validatorOf(schema);
      const ask = (seed: number) =>
        local.ask({
          model,
          temperature: 1,
          seed,
          maxTokens: 500,
          messages: [user(`Invent a ${name}`)],
          responseFormat: { type: 'json-schema', name, schema },
        });
      for (const { text, finish } of await Promise.all(Array.from({ length: 8 }, (_, seed) => ask(seed)))) {
        assert.equal(finish.reason, 'stop', text);
        assert.ok(validate?.(JSON.parse(text)), text);
      }
    });

  test('any object', async () => {
    const { text } = await local.ask({
      model,
      temperature: 1,
      seed: 2,
      maxTokens: 500,
      responseFormat: { type: 'json' },
    });
    assert.equal(typeof JSON.parse(text), 'object');
  });

  test('what no grammar can say is refused and named', async () => {
    const schema = { type: 'object', properties: { a: { type: 'array', uniqueItems: true } } };
    const param = 'response_format.json_schema.schema.properties.a.uniqueItems';
    await fails(
      local.ask({ model, responseFormat: { type: 'json-schema', name: 'x', schema } }),
      'invalid_json_schema',
      param,
      /uniqueItems/,
    );
  });
});

describe('tools', () => {
  const tools: Tool[] = [
    { name: 'get_weather', description: 'Weather of a city', parameters: { type: 'object', properties: { city: { type: 'string' }, unit: { enum: ['c', 'f'] } }, required: ['city'], additionalProperties: false } },
    { name: 'add_note', parameters: { type: 'object', properties: { title: { type: 'string' }, tags: { type: 'array', items: { type: 'string', maxLength: 20 }, maxItems: 4, uniqueItems: true } }, required: ['title'] } },
  ]; // biome-ignore format: a table
  const question = [user('What is the weather in Paris?')];
  const callsOf = (parts: AssistantPart[]) => parts.filter((part) => part.type === 'tool-call');

  test('required: always a call that fits its schema, in fragments', async () => {
    const ask = (seed: number) =>
      local.ask({ model, temperature: 1, seed, tools, toolChoice: 'required', maxTokens: 400, messages: question });
    for (const { parts, finish, events } of await Promise.all(Array.from({ length: 12 }, (_, seed) => ask(seed)))) {
      const [call, ...others] = callsOf(parts);
      assert.ok(call && others.length === 0);
      assert.equal(finish.reason, 'tool-calls');
      const tool = tools.find(({ name }) => name === call.name);
      assert.ok(validatorOf(tool?.parameters as JsonObject)?.(JSON.parse(call.arguments)), call.arguments);
      assert.ok(
        events.findIndex(({ type }) => type === 'tool-call') < events.findIndex(({ type }) => type === 'tool-input'),
      );
    }
    assert.ok((local.provider.toolCalls().get(model)?.valid ?? 0) > 0);
  });

  test('named, allowed, none', async () => {
    const named = await local.ask({
      model,
      tools,
      toolChoice: { name: 'add_note' },
      maxTokens: 400,
      messages: question,
    });
    assert.equal(callsOf(named.parts)[0]?.name, 'add_note');
    const allowed = await local.ask({
      model,
      tools,
      toolChoice: { allowed: ['get_weather'], mode: 'required' },
      maxTokens: 400,
      messages: question,
    });
    assert.equal(callsOf(allowed.parts)[0]?.name, 'get_weather');
    const none = await local.ask({ model, tools, toolChoice: 'none', maxTokens: 20, messages: question });
    assert.equal(callsOf(none.parts).length, 0);
    await fails(local.ask({ model, tools, toolChoice: { name: 'fly' } }), 'invalid_request', 'tool_choice', /"fly"/);
  });

  test('auto: a call in any syntax is found, and no part of it is text', async () => {
    const grammar =
      'root ::= "Let me look.\\n```json\\n{\\"name\\": \\"get_weather\\", \\"parameters\\": {\\"city\\": \\"Pa" [a-z]{1,8} "\\"}}\\n```"';
    const { parts, finish } = await local.ask({ model, tools, messages: question, local: { grammar } });
    assert.deepEqual(
      parts.map(({ type }) => type),
      ['text', 'tool-call'],
    );
    assert.equal(parts[0]?.type === 'text' && parts[0].text, 'Let me look.');
    assert.equal(finish.reason, 'tool-calls');
  });

  test('auto: a call that does not fit is made once more, under a grammar', async () => {
    const grammar =
      'root ::= "<tool_call>{\\"name\\": \\"get_weather\\", \\"arguments\\": {\\"town\\": 1}}</tool_call>"';
    const { parts, finish } = await local.ask({ model, tools, messages: question, local: { grammar } });
    const [call] = callsOf(parts);
    assert.equal(call?.name, 'get_weather');
    assert.equal(typeof JSON.parse(call?.arguments ?? '{}').city, 'string');
    assert.equal(finish.reason, 'tool-calls');
  });

  test('auto: a call of a tool that is not there, under a name near to one that is, is made once more', async () => {
    const grammar = 'root ::= "{\\"name\\": \\"get_current_weather\\", \\"arguments\\": {\\"town\\": \\"Paris\\"}}"';
    const { parts, finish } = await local.ask({ model, tools, messages: question, local: { grammar } });
    assert.deepEqual(
      parts.map((part) => part.type === 'tool-call' && part.name),
      ['get_weather'],
    );
    assert.equal(finish.reason, 'tool-calls');
  });

  test('auto: a call of nothing like a tool is asked again without tools, and the reason is said', async () => {
    const before = local.provider.toolCalls().get(model)?.rejected ?? 0;
    // The grammar is the client's: the second answer has to keep to it too, and is text.
    const grammar = 'root ::= "{\\"name\\": \\"hello\\", \\"arguments\\": {\\"a\\": [1, 2]}}"';
    // Even one text can be many tokens or few: without chance they are always the same.
    const asked = { model, tools, messages: question, temperature: 0, local: { grammar } };
    const { text, parts, finish } = await local.ask(asked);
    assert.equal(parts.length, 1);
    assert.deepEqual(JSON.parse(text), { name: 'hello', arguments: { a: [1, 2] } });
    assert.equal(finish.reason, 'stop');
    assert.match(finish.toolError ?? '', /no tool "hello"/);
    assert.equal(local.provider.toolCalls().get(model)?.rejected, before + 1);
    const cut = await local.ask({ ...asked, maxTokens: 14 });
    assert.deepEqual(cut.parts, []);
    assert.equal(cut.finish.reason, 'length');
    assert.match(cut.finish.toolError ?? '', /cut off/);
  });

  test('a call that the limit cuts off is neither text nor call, and the reason is said', async () => {
    const grammar =
      'root ::= "<tool_call>{\\"name\\": \\"get_weather\\", \\"arguments\\": {\\"city\\": \\"" [a-z]{500}';
    const { parts, finish } = await local.ask({ model, tools, maxTokens: 40, messages: question, local: { grammar } });
    assert.deepEqual(parts, []);
    assert.equal(finish.reason, 'length');
    assert.match(finish.toolError ?? '', /cut off/);
  });

  test('results go back in', async () => {
    const { finish } = await local.ask({
      model,
      tools,
      temperature: 0,
      maxTokens: 20,
      messages: [
        ...question,
        {
          role: 'assistant',
          parts: [{ type: 'tool-call', id: 'c1', name: 'get_weather', arguments: '{"city":"Paris"}' }],
        },
        { role: 'tool', toolCallId: 'c1', parts: [{ type: 'text', text: 'Sunny, 21 degrees' }] },
      ],
    });
    assert.ok(finish.usage.output > 0);
  });

  test('strict refuses what no grammar can say; too many tools are refused', async () => {
    const strict = [{ ...(tools[1] as Tool), strict: true }];
    await fails(
      local.ask({ model, tools: strict }),
      'invalid_json_schema',
      'tools[0].function.parameters.properties.tags.uniqueItems',
    );
    const list = [{ name: 'list', parameters: { type: 'array', items: { type: 'string' } } }];
    await fails(local.ask({ model, tools: list }), 'invalid_json_schema', 'tools[0].function.parameters.type');
    const many = Array.from({ length: 10_000 }, (_, i) => ({ name: `t${i}` }));
    await fails(local.ask({ model, tools: many }), 'invalid_request', 'tools');
  });
});

describe('embeddings', () => {
  const embed = (request: object) =>
    local.provider.embed?.({ model: 'all-minilm', input: ['hello'], ...request }, callContext()) as Promise<{
      vectors: Float32Array[];
      usage: { input: number };
    }>;

  test('one vector of length 1 each, near for what is near', async () => {
    const { vectors, usage } = await embed({ input: ['a cat sits', 'a kitten sits', 'stock markets fell'] });
    const dot = (i: number, j: number) =>
      (vectors[i] as Float32Array).reduce((sum, x, k) => sum + x * ((vectors[j] as Float32Array)[k] as number), 0);
    assert.equal(vectors[0]?.length, 384);
    assert.ok(Math.abs(dot(0, 0) - 1) < 1e-5);
    assert.ok(dot(0, 1) > dot(0, 2));
    assert.equal(usage.input, 15);
  });

  test('many inputs keep their order; tokens are inputs too', async () => {
    const input = Array.from({ length: 150 }, (_, i) => `number ${i}`);
    const { vectors } = await embed({ input });
    const alone = await embed({ input: [input[99] as string] });
    assert.equal(vectors.length, 150);
    assert.ok(Math.abs((vectors[99]?.[0] ?? 0) - (alone.vectors[0]?.[0] ?? 1)) < 1e-2);
    await fails(embed({ input: ['a', [101, 30522]] }), 'invalid_request', 'input[1]', /30522/);
    const tokens = await embed({ input: [[101, 7592, 102]] });
    assert.ok(Math.abs((tokens.vectors[0]?.[0] ?? 0) - ((await embed({})).vectors[0]?.[0] ?? 1)) < 1e-4);
  });

  test('fewer dimensions, again of length 1', async () => {
    const { vectors } = await embed({ dimensions: 64 });
    assert.equal(vectors[0]?.length, 64);
    assert.ok(Math.abs(Math.hypot(...(vectors[0] ?? [])) - 1) < 1e-5);
    await fails(embed({ dimensions: 385 }), 'invalid_request', 'dimensions', /384/);
  });

  test('too long is an error, or cut when asked', async () => {
    const input = ['hello '.repeat(800)];
    await fails(embed({ input }), 'context_length_exceeded', 'input[0]', /512 tokens.* 802 tokens/);
    assert.equal((await embed({ input, truncate: true })).usage.input, 512);
  });

  test('documents are ranked by how near their vectors are', async () => {
    const documents = ['stock markets fell', 'a kitten sits on the mat', 'it rained all day'];
    const rank = (request: object) =>
      local.provider.rerank?.(
        { model: 'all-minilm', query: 'where is the cat?', documents, ...request },
        callContext(),
      ) as Promise<{ results: { index: number; score: number }[]; usage: { input: number } }>;
    const { results, usage } = await rank({});
    assert.equal(results.length, 3);
    assert.equal(results[0]?.index, 1);
    assert.ok(results.every(({ score }, at) => score <= (results[at - 1]?.score ?? 1)));
    assert.ok(usage.input > 20);
    assert.deepEqual((await rank({ topN: 1 })).results, results.slice(0, 1));
    await fails(rank({ documents: ['a', 'word '.repeat(800)] }), 'context_length_exceeded', 'documents[1]');
  });

  test('models say what they cannot', async () => {
    await fails(local.ask({ model: 'all-minilm' }), 'unsupported_capability', 'model');
    const rerank = local.provider.rerank?.({ model, query: 'a', documents: ['b'] }, callContext());
    await fails(rerank as Promise<unknown>, 'unsupported_capability', 'model');
    const picture = [
      { role: 'user' as const, parts: [{ type: 'image' as const, source: { data: 'AAAA', mediaType: 'image/png' } }] },
    ];
    await fails(
      local.ask({ model, messages: picture }),
      'unsupported_capability',
      'messages[0].content[0]',
      /text-only/,
    );
    // From memory: what a route looks at before it chooses.
    const described = local.provider.describe?.(model);
    assert.deepEqual(described?.capabilities, ['completion']);
    assert.equal(described?.contextLength, 8192);
    assert.deepEqual(local.provider.describe?.('all-minilm')?.capabilities, ['embedding']);
    const infos = await local.provider.models?.(new AbortController().signal);
    assert.deepEqual(infos?.map(({ id }) => id).sort(), ['all-minilm:latest', model]);
  });
});

describe('leaving', () => {
  test('an abort ends the chat with its reason, a break ends it quietly; the slot is free', async () => {
    const controller = new AbortController();
    const request = { model, stream: true, messages: [user('Count to a thousand.')] };
    const gone = new Error('gone');
    await assert.rejects(async () => {
      for await (const _ of local.provider.chat?.(request, callContext(controller.signal)) ?? [])
        controller.abort(gone);
    }, gone);
    for await (const _ of local.provider.chat?.(request, callContext()) ?? []) break;
    assert.ok(local.scheduler.loaded().every(({ busy }) => busy === 0));
  });

  // A chat and a completion, as the engine calls them: the latter is asked where stop sequences are given.
  const endpoints: [endpoint: string, word: string, more: Pick<ChatRequest, 'stop'>][] = [
    ['chat', 'apple', {}],
    ['completion', 'river', { stop: ['never'] }],
  ];
  for (const [endpoint, word, more] of endpoints)
    test(`an abort in the middle of a long prompt: the engine does not read it to its end (${endpoint})`, async () => {
      const { signal } = new AbortController();
      const lease = await local.scheduler.acquire(await local.models.resolve(model), { slot: false, signal });
      const { runner } = lease;
      const isWorking = async () => {
        const slots = (await wholeOf(await runner.request('/slots', undefined))) as { is_processing: boolean }[];
        return slots.some((slot) => slot.is_processing);
      };
      const content = `${word} and more of it, `.repeat(150);
      const leaving = new AbortController();
      const request = { model, stream: true, messages: [user(content)], maxTokens: 1, ...more };
      const left = assert.rejects(async () => {
        for await (const _ of local.provider.chat?.(request, callContext(leaving.signal)) ?? []);
      }, /left/);
      while (!(await isWorking())) await sleep(2);
      leaving.abort(new Error('left'));
      await left;
      while (await isWorking()) await sleep(5);

      const body = { messages: [{ role: 'user', content }], max_tokens: 1, stream: true, return_progress: true };
      const again = await runner.request('/v1/chat/completions', body);
      let said = '';
      for await (const chunk of again.body) {
        said += chunk;
        if (said.includes('"prompt_progress"') && said.includes('\n\n')) break;
      }
      const [, total, cached] = /"total":(\d+),"cache":(\d+)/.exec(said) ?? [];
      assert.ok(Number(total) > 700 && Number(cached) < Number(total) * 0.8, said);
      lease.release();
    });
});

async function wholeOf({ body }: { body: AsyncIterable<Buffer> }): Promise<unknown> {
  let text = '';
  for await (const chunk of body) text += chunk;
  return JSON.parse(text);
}
