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

/** Parts as they are found in public files, in one. */
const larger = `
include: [more.yaml]
model_list:
  - model_name: gpt
    litellm_params: { model: gpt-4o, api_key: sk-one }
    rpm: 3
  - model_name: gpt
    litellm_params: { model: gpt-4o, api_key: sk-two }
    rpm: 9
  - model_name: twice
    litellm_params: { model: anthropic/claude-sonnet-4-5 }
  - model_name: twice
    litellm_params: { model: anthropic/claude-sonnet-4-5 }
  - model_name: first
    litellm_params: { model: azure/second, litellm_credential_name: shared, order: 2 }
  - model_name: first
    litellm_params: { model: azure/first, litellm_credential_name: shared, order: 1 }
  - model_name: pictures
    litellm_params: { model: azure/, api_base: https://one.openai.azure.com }
  - model_name: own
    litellm_params: { model: hosted_vllm/llama, num_retries: 50, max_budget: 10, region_name: eu }
    model_info: { input_cost_per_token: "1e-6", cache_read_input_token_cost: 0.0000001, access_groups: [beta] }
  - model_name: fast
    litellm_params: { model: fireworks_ai/accounts/fireworks/models/llama, extra_headers: { x-team: os.environ/TEAM } }
  - model_name: google
    litellm_params: { model: vertex_ai/gemini-2.5-pro, vertex_location: global }
credential_list:
  - credential_name: shared
    credential_values: { api_key: os.environ/AZURE_ONE, api_base: https://one.openai.azure.com, api_version: "2024-10-21" }
guardrails: [{ guardrail_name: g }]
mcp_servers: {}
litellm_settings:
  max_budget: 500
  budget_duration: 30d
  fallbacks: [{ "*": [own] }, { fast: [nowhere] }]
router_settings: { provider_budget_config: { openai: { budget_limit: 1, time_period: 1d } } }
`;

test('a larger file: keys of one provider, orders, credentials by name, and addresses in LiteLLM’s own variables', () => {
  const { yaml, notes } = importLiteLlm(larger);
  const config = parseConfig(yaml, 'viaduct.yaml', {
    ...env,
    HOSTED_VLLM_API_BASE: 'http://gpu:8000/v1',
    FIREWORKS_AI_API_KEY: 'f',
    VERTEXAI_PROJECT: 'p',
    TEAM: 'red',
  });
  const targets = (name: string) => config.models[name]?.targets.map(({ to, weight }) => [to, weight]);
  assert.deepEqual(targets('gpt'), [
    ['openai/gpt-4o', 3],
    ['openai-2/gpt-4o', 9],
    ['vllm/llama', 0],
  ]);
  assert.deepEqual(config.limits.models['gpt'], { rpm: 12 });
  assert.deepEqual(targets('twice'), [
    ['anthropic/claude-sonnet-4-5', 1],
    ['vllm/llama', 1],
  ]);
  assert.equal(config.models['first']?.strategy, 'ordered');
  assert.deepEqual(
    targets('first')?.map(([to]) => to),
    ['azure/first', 'azure/second', 'vllm/llama'],
  );
  assert.equal(config.providers['azure']?.settings['base_url'], 'https://one.openai.azure.com');
  assert.equal(config.models['pictures'], undefined);
  assert.equal(config.models['own']?.retries, 10);
  assert.deepEqual(config.prices['vllm/llama'], { input: 1, output: 0, cache_read: 0.1 });
  const fireworks = config.providers['openai-compatible']?.settings;
  assert.deepEqual([fireworks?.['api_key'], fireworks?.['headers']], ['f', { 'x-team': 'red' }]);
  assert.equal(config.providers['vertex']?.settings['project'], 'p');
  const said = notes.join('\n');
  for (const left of [
    'include',
    'guardrails',
    'mcp_servers',
    'pictures',
    'litellm_params.max_budget',
    'litellm_params.region_name',
    'access_groups',
    'nowhere',
    '500 USD',
    'provider_budget_config',
    'rpm and tpm',
  ])
    assert.ok(said.includes(left), `${left} is not in:\n${said}`);
  assert.ok(!said.includes('region_name was left out; send'));
});
