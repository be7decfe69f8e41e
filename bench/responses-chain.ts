/**
 * node bench/responses-chain.ts [TURNS]: a chain of 200 turns on real weights whose context is 8,192 tokens outgrows it and goes on; then a
 * tool call that is open while the chain is compacted is answered. Too slow for a test on two cores.
 */
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import type { ResponseInputItem } from 'openai/resources/responses/responses';
import { startTestServer } from '../test/support/server.ts';

const model = 'smollm2:135m';
const turns = Number(process.argv[2] ?? 200);
const filler = 'The quick brown fox jumps over the lazy dog while the small grey cat sleeps on the warm stone. '.repeat(
  2,
);
const shared = {
  model,
  instructions: 'Be brief.',
  max_output_tokens: 4,
  context_management: [{ type: 'compaction' as const }],
};
const weather = {
  type: 'function' as const,
  name: 'get_weather',
  strict: true,
  parameters: {
    type: 'object',
    properties: { city: { type: 'string', enum: ['Rome', 'Oslo'] } },
    required: ['city'],
    additionalProperties: false,
  },
};

const server = await startTestServer({ models: [model] });
try {
  await run(new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'local', maxRetries: 0 }));
} finally {
  await server.close();
}

async function run(client: OpenAI) {
  const started = performance.now();
  let previous: string | null = null;
  let compactions = 0;
  let longest = 0;
  let slowestMs = 0;
  for (let turn = 0; turn < turns; turn++) {
    const begun = performance.now();
    const response: OpenAI.Responses.Response = await client.responses.create({
      ...shared,
      previous_response_id: previous,
      input: `Turn ${turn}. ${turn === 0 ? 'We decided on the colour teal.' : filler}`,
    });
    assert.match(response.status ?? '', /^(completed|incomplete)$/);
    compactions += response.output.filter(({ type }) => type === 'compaction').length;
    longest = Math.max(longest, response.usage?.input_tokens ?? 0);
    slowestMs = Math.max(slowestMs, performance.now() - begun);
    previous = response.id;
  }
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log({ turns, compactions, longest, slowestSeconds: Math.round(slowestMs / 1000), seconds });

  const asked = await client.responses.create({
    ...shared,
    max_output_tokens: 100,
    previous_response_id: previous,
    input: 'What is the weather in Rome?',
    tools: [weather],
    tool_choice: 'required',
  });
  const call = asked.output.find((item) => item.type === 'function_call');
  assert.ok(call, JSON.stringify(asked.output));
  const { output } = await client.responses.compact({ model, previous_response_id: asked.id });
  const answered = await client.responses.create({
    ...shared,
    input: [
      ...(output as ResponseInputItem[]),
      { type: 'function_call_output', call_id: call.call_id, output: 'sunny' },
    ],
  });
  console.log({ call: call.arguments, answeredAfterCompaction: answered.status });
}
