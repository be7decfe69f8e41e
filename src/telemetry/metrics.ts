/**
 * Figures for Prometheus, in OpenTelemetry's words for generative AI where it has some.
 * Source: https://github.com/open-telemetry/semantic-conventions-genai (August 2026)
 */
import type { Usage } from '../core/usage.ts';
import { counter, gauge, histogram, keptCounter } from './prometheus.ts';
import { providerNames } from './provider-names.ts';

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

/** Tool calls of local models since the start: model → result (valid, repaired, rejected) → how many. */
export type ToolCallFigures = ReadonlyMap<string, Readonly<Record<string, number>>>;

export type Metrics = {
  record(call: CallFigures): void;
  /** Text in Prometheus' format; `targets` is asked at that moment. */
  text(): Promise<string>;
  contentType: string;
};

const durations = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const tokens = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864];
const overheads = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1];
const mostFeeds = 5000;

/** `targets` gives the state of what the gateway may ask, `toolCalls` what became of local models' calls; asked at every scrape. */
export function createMetrics(
  targets: () => TargetFigures[],
  toolCalls: () => ToolCallFigures = () => new Map(),
): Metrics {
  /** Node's own figures. Watching the event loop wakes it a hundred times a second, so it begins when somebody first asks. */
  let ofProcess: Promise<{ metrics(): Promise<string> }> | undefined;
  const watchProcess = async () => {
    const { collectDefaultMetrics, Registry } = await import('prom-client');
    const registry = new Registry();
    collectDefaultMetrics({ register: registry });
    return registry;
  };
  const families = {
    duration: histogram(
      'gen_ai_client_operation_duration_seconds',
      'From the request to the last byte of the answer',
      durations,
    ),
    firstToken: histogram(
      'gen_ai_client_operation_time_to_first_chunk_seconds',
      'From the start of the attempt that answered to its first content',
      durations,
    ),
    tokens: histogram('gen_ai_client_token_usage', 'Tokens of a call', tokens),
    overhead: histogram('viaduct_overhead_seconds', 'The gateway’s own time before the answer began', overheads),
    cost: counter('viaduct_cost_usd_total', 'What calls cost'),
    retries: counter('viaduct_extra_attempts_total', 'Attempts beyond the first of a call'),
    toolCalls: keptCounter('viaduct_tool_calls_total', 'Tool calls of local models, by what their check said', () =>
      [...toolCalls()].flatMap(([model, results]) =>
        Object.entries(results).map(([result, count]): [Record<string, string>, number] => [{ model, result }, count]),
      ),
    ),
    state: gauge('viaduct_target_state', 'Breaker of a target: 0 closed, 1 half open, 2 open', () =>
      targets().map(({ target, state }) => [{ target }, states[state]]),
    ),
    busy: gauge('viaduct_target_in_flight', 'Attempts under way', () =>
      targets().map(({ target, busy }) => [{ target }, busy]),
    ),
  };

  /** Everything one kind of call feeds. */
  const feed = (operation: string, kind: string, model: string, error: string) => {
    const labels = {
      gen_ai_operation_name: operation,
      gen_ai_provider_name: providerNames[kind] ?? kind,
      gen_ai_request_model: model,
    };
    return {
      duration: families.duration.series({ ...labels, error_type: error }),
      firstToken: families.firstToken.series(labels),
      input: families.tokens.series({ ...labels, gen_ai_token_type: 'input' }),
      output: families.tokens.series({ ...labels, gen_ai_token_type: 'output' }),
      cost: families.cost.series(labels),
      retries: families.retries.series(labels),
    };
  };
  const feeds = new Map<string, ReturnType<typeof feed>>();
  const overhead = families.overhead.series({});

  /** Clients invent names; only those that somebody was asked for are labels, and only so many. */
  const feedOf = (operation: string, kind: string, model: string, error: string) => {
    const key = `${operation}\n${kind}\n${model}\n${error}`;
    const known = feeds.get(key);
    if (known) return known;
    if (feeds.size >= mostFeeds && model !== 'other') return feedOf(operation, kind, 'other', error);
    const made = feed(operation, kind, model, error);
    feeds.set(key, made);
    return made;
  };

  return {
    record({ operation, provider, kind = '', model, error, usage, cost, totalMs, firstTokenMs, overheadMs, attempts }) {
      const series = feedOf(operation, kind, provider === undefined ? '' : model, error?.code ?? '');
      series.duration.add(totalMs / 1000);
      overhead.add(overheadMs / 1000);
      if (firstTokenMs !== undefined) series.firstToken.add(firstTokenMs / 1000);
      if (usage.input > 0) series.input.add(usage.input);
      if (usage.output > 0) series.output.add(usage.output);
      if (cost) series.cost.add(cost);
      if (attempts > 1) series.retries.add(attempts - 1);
    },
    async text() {
      const own = Object.values(families).map((family) => family.text());
      ofProcess ??= watchProcess();
      return own.join('') + (await (await ofProcess).metrics());
    },
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
  };
}

const states = { closed: 0, 'half-open': 1, open: 2 };
