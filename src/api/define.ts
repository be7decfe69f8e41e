import type { FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { ViaductError } from '../core/errors.ts';
import type { Scheduler } from '../engine/scheduler.ts';
import type { Caller, Gateway } from '../gateway/gateway.ts';
import type { ModelStore } from '../models/store.ts';
import type { Responses } from '../responses/responses.ts';
import type { StoredChatStore } from '../store/stored-chats.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Tracing } from '../telemetry/traces.ts';

/** What a handler may use. Made once, in parts.ts. */
export type Services = {
  gateway: Gateway;
  /** Chat completions kept with `store: true`. */
  storedChats: StoredChatStore;
  /** Models on this machine. */
  models: ModelStore;
  /** Models that are loaded. */
  scheduler: Scheduler;
  /** Stored and running responses, conversations. */
  responses: Responses;
  /** Figures for Prometheus; absent in tests that need none. */
  metrics?: Metrics;
  /** Begins the trace of a request. Absent: no traces are made. */
  tracing?: Pick<Tracing, 'begin'>;
  /** Names of what this server needs and cannot reach now: for /readyz. */
  missing?(): Promise<string[]>;
  /** Milliseconds since 1970. */
  now: () => number;
};

/** One HTTP exchange whose caller has been let in. */
export type Exchange = { request: FastifyRequest; reply: FastifyReply; caller: Caller; services: Services };

/** The same for an endpoint that everybody may ask. */
export type PublicExchange = Omit<Exchange, 'caller'>;

/** One endpoint = one file. The caller is let in before `handle` runs, so no endpoint can forget to ask for a key. */
export type Endpoint = Route & (GuardedEndpoint | PublicEndpoint);

type Route = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD' | 'OPTIONS';
  /** Fastify's pattern: `/v1/models/:id`. */
  path: string;
  /** Largest body in bytes; absent means the server's default of 32 MB. */
  bodyLimit?: number;
  /** What checks the JSON body, for /openapi.json. */
  body?: z.ZodType;
  /** What checks the query string, for /openapi.json. */
  query?: z.ZodObject;
  /** The body arrives as a stream and is not parsed: blob uploads. */
  rawBody?: boolean;
};

type GuardedEndpoint = {
  /** `admin` needs an admin's key. */
  access?: 'admin';
  /** Sends the answer through `reply` (or hijacks it to stream); a throw is rendered by the door. */
  handle(exchange: Exchange): Promise<unknown>;
};

/** Needs no key, or looks at who is asking itself, as /admin does. */
type PublicEndpoint = { access: 'public'; handle(exchange: PublicExchange): Promise<unknown> };

/** A client protocol: its endpoints, and how it says that something failed. */
export type FrontDoor = {
  endpoints: Endpoint[];
  /** Error → body of a failed reply. */
  encodeError(error: ViaductError, requestId: string): unknown;
  /** HTTP status where the protocol has its own; absent means the error table's. */
  statusOf?(error: ViaductError): number;
  /** Where this protocol's clients look for the request id, besides `x-request-id`. */
  requestIdHeader?: string;
};
