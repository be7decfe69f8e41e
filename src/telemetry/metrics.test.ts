import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from './metrics.ts';

const call = {
  operation: 'chat',
  provider: 'claude',
  kind: 'bedrock',
  model: 'fast "one"',
  usage: { input: 10, output: 3 },
  cost: 0.5,
  totalMs: 30,
  firstTokenMs: 15,
  overheadMs: 0.2,
  attempts: 2,
};

test('calls come out in Prometheus’ format, in OpenTelemetry’s words', async () => {
  const metrics = createMetrics(
    () => [{ target: 'claude/haiku', state: 'open', busy: 2 }],
    () => new Map([['smollm2:135m', { valid: 3, repaired: 1, rejected: 0 }]]),
  );
  metrics.record(call);
  metrics.record(call);
  metrics.record({ ...call, provider: undefined, error: { code: 'model_not_found' } });
  const text = await metrics.text();
  const labels =
    'gen_ai_operation_name="chat",gen_ai_provider_name="aws.bedrock",gen_ai_request_model="fast \\"one\\""';
  for (const line of [
    `gen_ai_client_operation_duration_seconds_bucket{${labels},error_type="",le="0.02"} 0`,
    `gen_ai_client_operation_duration_seconds_bucket{${labels},error_type="",le="0.04"} 2`,
    `gen_ai_client_operation_duration_seconds_count{${labels},error_type=""} 2`,
    `gen_ai_client_token_usage_sum{${labels},gen_ai_token_type="input"} 20`,
    `viaduct_cost_usd_total{${labels}} 1`,
    `viaduct_extra_attempts_total{${labels}} 2`,
    'viaduct_target_state{target="claude/haiku"} 2',
    'viaduct_target_in_flight{target="claude/haiku"} 2',
    'viaduct_tool_calls_total{model="smollm2:135m",result="valid"} 3',
    '# TYPE viaduct_tool_calls_total counter',
    '# TYPE gen_ai_client_operation_duration_seconds histogram',
  ])
    assert.ok(text.split('\n').includes(line), line);
  assert.match(text, /gen_ai_request_model="",error_type="model_not_found"/);
  assert.match(text, /process_resident_memory_bytes/);
});
