/**
 * Figures for Prometheus, in OpenTelemetry's words for generative AI where it has some.
 * Source: https://github.com/open-telemetry/semantic-conventions-genai (August 2026)
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Usage } from '../core/usage.ts';

/** One call that is over. Times in milliseconds. */
export type CallFigures = {
  operation: string;
  /** Provider's name in the configuration; absent when nobody was asked. */
  provider?: string | undefined;
  kind?: string | undefined;
  model: string;
  error?: { code: string } | undefined;
  usage: Usage;
  cost?: number | undefined;
  totalMs: number;
  firstTokenMs?: number | undefined;
  overheadMs: number;
  attempts: number;
};

export type TargetFigures = { target: string; state: 'closed' | 'half-open' | 'open'; busy: number };

export type Metrics = {
  record(call: CallFigures): void;
  /** Text in Prometheus' format; `targets` is asked at that moment. */
  text(): Promise<string>;
  contentType: string;
};

/** OpenTelemetry's names of kinds where they are others than ours. */
const providerNames: Record<string, string> = {
  bedrock: 'aws.bedrock',
  azure: 'azure.ai.openai',
  gemini: 'gcp.gemini',
  vertex: 'gcp.vertex_ai',
  mistral: 'mistral_ai',
  kimi: 'moonshot_ai',
  grok: 'x_ai',
};

const durations = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const tokens = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864];
/** Clients invent names: beyond so many they share one label. */
const mostModels = 2000;

/** `targets` gives the state of what the gateway may ask; called once per scrape. */
export function createMetrics(targets: () => TargetFigures[]): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const who = ['gen_ai_operation_name', 'gen_ai_provider_name', 'gen_ai_request_model'];
  const duration = new Histogram({
    name: 'gen_ai_client_operation_duration_seconds',
    help: 'From the request to the last byte of the answer',
    labelNames: [...who, 'error_type'],
    buckets: durations,
    registers,
  });
  const firstToken = new Histogram({
    name: 'gen_ai_client_operation_time_to_first_chunk_seconds',
    help: 'From the attempt that answered to its first content',
    labelNames: who,
    buckets: durations,
    registers,
  });
  const tokenUsage = new Histogram({
    name: 'gen_ai_client_token_usage',
    help: 'Tokens of a call',
    labelNames: [...who, 'gen_ai_token_type'],
    buckets: tokens,
    registers,
  });
  const overhead = new Histogram({
    name: 'viaduct_overhead_seconds',
    help: 'The gateway’s own time before the answer began',
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1],
    registers,
  });
  const cost = new Counter({
    name: 'viaduct_cost_usd_total',
    help: 'What calls cost',
    labelNames: ['gen_ai_provider_name', 'gen_ai_request_model'],
    registers,
  });
  const retries = new Counter({
    name: 'viaduct_extra_attempts_total',
    help: 'Attempts beyond the first of a call',
    labelNames: ['gen_ai_request_model'],
    registers,
  });
  new Gauge({
    name: 'viaduct_target_state',
    help: 'Breaker of a target: 0 closed, 1 half open, 2 open',
    labelNames: ['target'],
    registers,
    collect() {
      this.reset();
      for (const { target, state } of targets()) this.set({ target }, states[state]);
    },
  });
  new Gauge({
    name: 'viaduct_target_in_flight',
    help: 'Attempts under way',
    labelNames: ['target'],
    registers,
    collect() {
      this.reset();
      for (const { target, busy } of targets()) this.set({ target }, busy);
    },
  });

  const models = new Set<string>();
  const modelLabel = ({ model, provider }: CallFigures) => {
    if (provider === undefined) return '';
    if (models.has(model)) return model;
    if (models.size >= mostModels) return 'other';
    models.add(model);
    return model;
  };

  return {
    record(call) {
      const { operation, kind = '', error, usage, totalMs, firstTokenMs, overheadMs, attempts } = call;
      const provider = providerNames[kind] ?? kind;
      const model = modelLabel(call);
      const labels = { gen_ai_operation_name: operation, gen_ai_provider_name: provider, gen_ai_request_model: model };
      duration.observe({ ...labels, error_type: error?.code ?? '' }, totalMs / 1000);
      overhead.observe(overheadMs / 1000);
      if (firstTokenMs !== undefined) firstToken.observe(labels, firstTokenMs / 1000);
      if (usage.input > 0) tokenUsage.observe({ ...labels, gen_ai_token_type: 'input' }, usage.input);
      if (usage.output > 0) tokenUsage.observe({ ...labels, gen_ai_token_type: 'output' }, usage.output);
      if (call.cost) cost.inc({ gen_ai_provider_name: provider, gen_ai_request_model: model }, call.cost);
      if (attempts > 1) retries.inc({ gen_ai_request_model: model }, attempts - 1);
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

const states = { closed: 0, 'half-open': 1, open: 2 };
