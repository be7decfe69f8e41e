import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RequestTrace, Tracing } from '../telemetry/traces.ts';
import { headerText } from './http.ts';

/** The trace of one request, over when its answer is, or when the client has left. */
export function traceRequest(
  tracing: Pick<Tracing, 'begin'>,
  { method, routeOptions, headers }: FastifyRequest,
  { raw }: FastifyReply,
  requestId: string,
): RequestTrace {
  const { traceparent, tracestate } = headers;
  const trace = tracing.begin({
    method,
    route: routeOptions.url ?? '',
    requestId,
    traceparent: headerText(traceparent),
    tracestate: headerText(tracestate),
  });
  raw.once('close', () => trace.end(raw.headersSent ? raw.statusCode : undefined));
  return trace;
}
