/**
 * Traces in OpenTelemetry's words for generative AI: a server span for each request, a client span for each attempt below it. Made only where
 * traces are wanted; batches go out over OTLP/HTTP in the background.
 * Source: https://github.com/open-telemetry/semantic-conventions-genai (August 2026), https://www.w3.org/TR/trace-context/
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Attributes, Context, Span } from '@opentelemetry/api';
import type { Usage } from '../core/usage.ts';
import { providerNames } from './provider-names.ts';

export type TracesOptions = {
  /** Base URL of the collector: `http://collector:4318`. Absent: what OTEL_EXPORTER_OTLP_ENDPOINT says. */
  endpoint?: string | undefined;
  headers?: Record<string, string> | undefined;
  /** Part of the traces that begin here, 0 to 1; who calls us decides for its own. */
  sample: number;
};

export type RequestStart = {
  /** `POST`, or `WEBSOCKET` for what has no method of its own. */
  method: string;
  /** Path pattern of the endpoint. */
  route: string;
  requestId: string;
  /** The client's headers of that name. */
  traceparent?: string | undefined;
  tracestate?: string | undefined;
};

/** Who is asked. */
export type AttemptStart = { operation: string; provider: string; kind: string; model: string; number: number };
export type AttemptEnd = {
  error?: { code: string } | undefined;
  usage?: Usage | undefined;
  cost?: number | undefined;
  firstTokenMs?: number | undefined;
};
/** One call that is over; several may belong to a request. */
export type TracedCall = AttemptEnd & {
  operation: string;
  model: string;
  targetModel?: string | undefined;
  kind?: string | undefined;
  provider?: string | undefined;
  attempts: number;
  stream: boolean;
  keyId?: string | undefined;
  teamId?: string | undefined;
};

export type AttemptTrace = {
  /** For the provider: what it does belongs below this attempt. */
  headers: Record<string, string>;
  end(end: AttemptEnd): void;
};

export type RequestTrace = {
  /** The body of a call, for what it asks of the model: never its content. */
  asked(body: object): void;
  attempt(start: AttemptStart): AttemptTrace;
  call(call: TracedCall): void;
  /** `status`: of HTTP, where there is one. */
  end(status?: number): void;
};

export type Tracing = {
  begin(start: RequestStart): RequestTrace;
  /** Sends what is left. */
  close(): Promise<void>;
};

const closeMs = 3000;
/** Of one export, retries included; also how long an unreachable collector may hold up the end of the process. */
const exportMs = 5000;

/** Whether the environment names a collector, and does not say that no traces are wanted. */
export const tracesAreWanted = (env: Record<string, string | undefined>): boolean =>
  Boolean(env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || env['OTEL_EXPORTER_OTLP_ENDPOINT']) &&
  env['OTEL_TRACES_EXPORTER'] !== 'none' &&
  env['OTEL_SDK_DISABLED'] !== 'true';

/** Loads OpenTelemetry, which nobody pays for who wants no traces. */
export async function createTracing({ endpoint, headers, sample }: TracesOptions): Promise<Tracing> {
  const [api, sdk, { OTLPTraceExporter }, resources] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  const exporter = new OTLPTraceExporter({
    timeoutMillis: exportMs,
    ...(endpoint && { url: `${endpoint.replace(/\/+$/, '')}/v1/traces` }),
    ...(headers && { headers }),
  });
  const named = resources.resourceFromAttributes({ 'service.name': 'viaduct' });
  const detected = resources.detectResources({
    detectors: [resources.resourceAttributesEnvDetector, resources.serviceNameEnvDetector],
  });
  const provider = new sdk.TracerProvider({
    resource: named.merge(detected),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(sample) }),
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer('viaduct');
  const { SpanKind, SpanStatusCode, ROOT_CONTEXT, trace } = api;

  const parentOf = ({ traceparent, tracestate }: RequestStart): Context => {
    const [, traceId, spanId, flags] =
      /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/.exec(traceparent ?? '') ?? [];
    if (!traceId || !spanId || !flags) return ROOT_CONTEXT;
    return trace.setSpanContext(ROOT_CONTEXT, {
      traceId,
      spanId,
      traceFlags: Number.parseInt(flags, 16) & 1,
      isRemote: true,
      ...(tracestate && { traceState: api.createTraceState(tracestate) }),
    });
  };
  const headersOf = (span: Span): Record<string, string> => {
    const { traceId, spanId, traceFlags, traceState } = span.spanContext();
    const state = traceState?.serialize();
    return {
      traceparent: `00-${traceId}-${spanId}-0${traceFlags & 1}`,
      ...(state && { tracestate: state }),
    };
  };
  const fail = (span: Span, error: { code: string } | undefined) => {
    if (!error) return;
    span.setAttribute('error.type', error.code);
    span.setStatus({ code: SpanStatusCode.ERROR });
  };

  return {
    begin(start) {
      const { method, route, requestId } = start;
      const parent = parentOf(start);
      const span = tracer.startSpan(
        `${method} ${route}`,
        {
          kind: SpanKind.SERVER,
          attributes: { 'http.request.method': method, 'http.route': route, 'viaduct.request.id': requestId },
        },
        parent,
      );
      const within = trace.setSpan(parent, span);
      return {
        asked: (body) => void span.setAttributes(askedAttributes(body)),
        attempt({ operation, provider: name, kind, model, number }) {
          const child = tracer.startSpan(
            `${operation} ${model}`,
            {
              kind: SpanKind.CLIENT,
              attributes: {
                'gen_ai.operation.name': operation,
                'gen_ai.provider.name': providerNames[kind] ?? kind,
                'gen_ai.request.model': model,
                'viaduct.provider': name,
                'viaduct.attempt': number,
              },
            },
            within,
          );
          return {
            headers: headersOf(child),
            end(end) {
              child.setAttributes(endAttributes(end));
              fail(child, end.error);
              child.end();
            },
          };
        },
        call(call) {
          span.setAttributes({
            'gen_ai.operation.name': call.operation,
            'gen_ai.request.model': call.model,
            'gen_ai.request.stream': call.stream,
            'viaduct.attempts': call.attempts,
            ...(call.targetModel && { 'gen_ai.response.model': call.targetModel }),
            ...(call.kind && { 'gen_ai.provider.name': providerNames[call.kind] ?? call.kind }),
            ...(call.provider && { 'viaduct.provider': call.provider }),
            ...(call.keyId && { 'viaduct.key.id': call.keyId }),
            ...(call.teamId && { 'viaduct.team.id': call.teamId }),
            ...endAttributes(call),
          });
          fail(span, call.error);
        },
        end(status) {
          if (status !== undefined) span.setAttribute('http.response.status_code', status);
          if (status !== undefined && status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
          span.end();
        },
      };
    },
    // A collector that is away must not hold up the end of the server.
    close: () => Promise.race([provider.shutdown(), sleep(closeMs, undefined, { ref: false })]).catch(() => {}),
  };
}

/** The conventions' name → names of the field in the protocols of our doors. */
const askedFields: [string, string[]][] = [
  ['temperature', ['temperature']],
  ['top_p', ['top_p']],
  ['top_k', ['top_k']],
  ['max_tokens', ['max_completion_tokens', 'max_tokens', 'max_output_tokens']],
  ['seed', ['seed']],
  ['choice.count', ['n']],
  ['presence_penalty', ['presence_penalty']],
  ['frequency_penalty', ['frequency_penalty']],
];

function askedAttributes(body: object): Attributes {
  const fields = body as Record<string, unknown>;
  const attributes: Attributes = {};
  for (const [attribute, names] of askedFields) {
    const value = names.map((name) => fields[name]).find((field) => typeof field === 'number');
    if (typeof value === 'number') attributes[`gen_ai.request.${attribute}`] = value;
  }
  return attributes;
}

function endAttributes({ usage, cost, firstTokenMs }: AttemptEnd): Attributes {
  return {
    ...(usage && {
      'gen_ai.usage.input_tokens': usage.input,
      'gen_ai.usage.output_tokens': usage.output,
      ...(usage.cacheRead !== undefined && { 'gen_ai.usage.cache_read.input_tokens': usage.cacheRead }),
      ...(usage.cacheWrite !== undefined && { 'gen_ai.usage.cache_creation.input_tokens': usage.cacheWrite }),
      ...(usage.reasoning !== undefined && { 'gen_ai.usage.reasoning.output_tokens': usage.reasoning }),
    }),
    ...(cost !== undefined && { 'viaduct.cost.usd': cost }),
    ...(firstTokenMs !== undefined && { 'gen_ai.response.time_to_first_chunk': firstTokenMs / 1000 }),
  };
}
