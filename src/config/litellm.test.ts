import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importLiteLlm } from './litellm.ts';
import { parseConfig } from './parse.ts';

const litellm = `
model_list:
  - model_name: gpt-4o
    litellm_params: { model: azure/my-gpt4o, api_base: https://one.openai.azure.com, api_key: os.environ/AZURE_ONE, api_version: "2024-10-21", rpm: 60, weight: 3 }
  - model_name: gpt-4o
    litellm_params: { model: gpt-4o, api_key: os.environ/OPENAI_API_KEY, rpm: 40, weight: 1, timeout: 30, stream_timeout: 5 }
  - model_name: claude
    litellm_params: { model: anthropic/claude-sonnet-4-5, temperature: 0.2 }
  - model_name: llama
    litellm_params: { model: openai/meta-llama/Llama-3.1-8B, api_base: http://gpu:8000/v1, api_key: none, input_cost_per_token: 0.0000002, output_cost_per_token: 0.0000004 }
  - model_name: titan
    litellm_params: { model: bedrock/amazon.titan-text, aws_region_name: eu-west-1 }
  - model_name: strange
    litellm_params: { model: nlp_cloud/dolphin }
  - model_name: "anthropic/*"
    litellm_params: { model: "anthropic/*" }
litellm_settings: { drop_params: true, num_retries: 3, success_callback: [langfuse] }
router_settings:
  routing_strategy: simple-shuffle
  fallbacks: [{ gpt-4o: [claude] }]
  model_group_alias: { gpt-4: gpt-4o }
  redis_host: os.environ/REDIS_HOST
general_settings: { master_key: sk-1234, database_url: os.environ/DATABASE_URL, alerting: [slack] }
`;

const env = {
  AZURE_ONE: 'a',
  OPENAI_API_KEY: 'o',
  ANTHROPIC_API_KEY: 'n',
  REDIS_HOST: 'cache',
  DATABASE_URL: 'postgres://db/x',
};

test('what comes out is a configuration of ours', () => {
  const { yaml } = importLiteLlm(litellm);
  const config = parseConfig(yaml, 'viaduct.yaml', env);
  assert.deepEqual(
    config.models['gpt-4o']?.targets.map(({ to, weight }) => [to, weight]),
    [
      ['azure/my-gpt4o', 3],
      ['openai/gpt-4o', 1],
      ['anthropic/claude-sonnet-4-5', 0],
    ],
  );
  assert.equal(config.models['gpt-4o']?.strategy, 'weighted');
  assert.deepEqual(config.models['gpt-4o']?.timeout, { first_token: 5000, total: 30_000 });
  assert.equal(config.models['gpt-4o']?.retries, 3);
  assert.deepEqual(config.models['gpt-4'], config.models['gpt-4o']);
  assert.deepEqual(config.limits.models['gpt-4o'], { rpm: 100 });
  assert.equal(config.providers['openai-compatible']?.settings['base_url'], 'http://gpu:8000/v1');
  assert.deepEqual(config.models['llama']?.targets[0]?.to, 'openai-compatible/meta-llama/Llama-3.1-8B');
  assert.deepEqual(config.prices['openai-compatible/meta-llama/Llama-3.1-8B'], { input: 0.2, output: 0.4 });
  assert.equal(config.providers['bedrock']?.settings['region'], 'eu-west-1');
  assert.equal(config.redis, 'redis://cache:6379');
  assert.equal(config.database, 'postgres://db/x');
});

test('it says what it could not carry over', () => {
  const notes = importLiteLlm(litellm).notes.join('\n');
  for (const expected of [
    'temperature',
    'nlp_cloud',
    'VIADUCT_ADMIN_KEY',
    'success_callback',
    'alerting',
    'anthropic/MODEL',
  ])
    assert.match(notes, new RegExp(expected));
  assert.doesNotMatch(importLiteLlm(litellm).yaml, /sk-1234/);
});

test('another file is refused', () => {
  assert.throws(() => importLiteLlm('server: {}'), /no model_list/);
});
