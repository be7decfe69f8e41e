/** All front doors on one server. Each renders failures in its own dialect. */
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { ViaductError } from '../core/errors.ts';
import type { Caller } from '../gateway/gateway.ts';
import { isDeeperThan } from '../lib/json-depth.ts';
import { anthropic } from './anthropic/index.ts';
import type { Endpoint, FrontDoor, Services } from './define.ts';
import { credentialsOf, printable } from './http.ts';
import { createRefusal, type Refusal } from './not-found.ts';
import { ollama } from './ollama/index.ts';
import { openai } from './openai/index.ts';
import { openApiDoor } from './openapi.ts';
import { operations } from './operations.ts';
import { providers } from './providers.ts';
import { fastifyOptions, localOnly, type SecurityOptions, secure } from './security.ts';
import { traceRequest } from './trace.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What was found out before the body was read. */
    entry: { requestId: string; caller?: Caller } | undefined;
  }
}

const defaultBodyLimit = 32 * 2 ** 20;
const deepestBody = 256;
/** Bytes of a refused body that are still taken in: closed while it sends, a client sees a broken connection and not why. */
const heardOut = 256 * 2 ** 20;

/** Every door that needs nothing but the services. */
export const defaultDoors: FrontDoor[] = [openai, anthropic, ollama, providers, operations];

export function createApp(
  services: Services,
  given: FrontDoor[] = defaultDoors,
  security: SecurityOptions = localOnly,
): FastifyInstance {
  const doors = [...given, openApiDoor(given)];
  const refusal = createRefusal(doors);
  const app = Fastify({
    ...fastifyOptions(security),
    logger: false,
    bodyLimit: defaultBodyLimit,
    forceCloseConnections: 'idle',
    // Bodies are checked by zod: what Fastify has for that is not even loaded.
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    // While it drains, whoever has a connection open is still answered, and told by /readyz to go elsewhere.
    return503OnClosing: false,
    // An address that cannot be decoded, before there is a route.
    frameworkErrors: refuseUnrouted,
  }) as FastifyInstance;
  secure(app, security, (request, reply, error) => {
    const { door } = refusal(request.method, request.url);
    sendError(reply, error, door, '');
  });
  app.decorateRequest('entry', undefined);
  app.removeAllContentTypeParsers();
  // Clients that send JSON without saying so (curl -d) are as welcome as with Ollama. The usual type by its name is found without a search.
  app.addContentTypeParser(['application/json', '*'], { parseAs: 'buffer' }, (_request, body, done) => {
    if (isDeeperThan(body as Buffer, deepestBody))
      return done(new ViaductError('invalid_request', `The body is nested more than ${deepestBody} levels deep.`));
    try {
      done(null, body.length === 0 ? undefined : JSON.parse(utf8.decode(body as Buffer)));
    } catch (cause) {
      done(new ViaductError('invalid_json', 'The body is not valid JSON.', { cause }));
    }
  });

  // Bodies that arrive as a stream are parsed by nobody; only a scope of their own can have it so.
  app.register(async (raw) => {
    raw.removeAllContentTypeParsers();
    raw.addContentTypeParser('*', (_request, body, done) => done(null, body));
    addRoutes(raw, (endpoint) => endpoint.rawBody === true);
  });
  addRoutes(app, (endpoint) => !endpoint.rawBody);

  function addRoutes(scope: FastifyInstance, included: (endpoint: Endpoint) => boolean) {
    for (const door of doors) for (const endpoint of door.endpoints.filter(included)) addRoute(scope, door, endpoint);
  }

  function addRoute(scope: FastifyInstance, door: FrontDoor, endpoint: Endpoint) {
    const { method, path, bodyLimit } = endpoint;
    scope.route({
      method,
      url: path,
      ...(bodyLimit && { bodyLimit }),
      // Before the body is read: who has no key makes us parse nothing.
      async onRequest(request, reply) {
        const credentials = credentialsOf(request, reply);
        const { requestId } = credentials;
        reply.header('x-request-id', requestId);
        if (door.requestIdHeader) reply.header(door.requestIdHeader, requestId);
        request.entry = { requestId };
        if (endpoint.access === 'public') return undefined;
        if (services.tracing) credentials.trace = traceRequest(services.tracing, request, reply, requestId);
        try {
          const caller = await services.gateway.enter(credentials);
          if (endpoint.access === 'admin' && !caller.admin)
            throw new ViaductError('permission_denied', 'This needs an admin key.');
          request.entry = { requestId, caller };
          return undefined;
        } catch (thrown) {
          return sendError(reply, ViaductError.from(thrown), door, requestId);
        }
      },
      async handler(request, reply) {
        const { caller, requestId = '' } = request.entry ?? {};
        try {
          if (endpoint.access === 'public') await endpoint.handle({ request, reply, services });
          else if (caller) await endpoint.handle({ request, reply, caller, services });
          return reply;
        } catch (thrown) {
          return sendError(reply, ViaductError.from(thrown), door, requestId);
        }
      },
      errorHandler(error, request, reply) {
        if (Number(request.headers['content-length']) <= heardOut) reply.removeHeader('connection');
        return sendError(reply, fromFastify(error), door, request.entry?.requestId ?? '');
      },
    });
  }
  app.setNotFoundHandler((request, reply) => sendUnrouted(request, reply, refusal(request.method, request.url)));
  app.setErrorHandler(refuseUnrouted);
  return app;

  function refuseUnrouted(error: FastifyError, request: FastifyRequest, reply: FastifyReply) {
    sendUnrouted(request, reply, { door: refusal(request.method, request.url).door, error: fromFastify(error) });
  }
}

function sendUnrouted(request: FastifyRequest, reply: FastifyReply, { door, error }: Refusal) {
  const { requestId } = credentialsOf(request, reply);
  reply.header('x-request-id', requestId);
  return sendError(reply, error, door, requestId);
}

function noSchemas(): never {
  throw new Error('Routes have no JSON schemas here.');
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function sendError(reply: FastifyReply, error: ViaductError, door: FrontDoor, requestId: string) {
  if (reply.raw.headersSent) {
    reply.raw.destroy();
    return reply;
  }
  // Some name what the client asked for, in whatever characters.
  for (const [name, value] of Object.entries(error.headers ?? {})) reply.header(name, printable(value));
  if (error.retryAfter !== undefined) reply.header('retry-after', String(Math.ceil(error.retryAfter)));
  return reply.status(door.statusOf?.(error) ?? error.status).send(door.encodeError(error, requestId));
}

function fromFastify(error: FastifyError | ViaductError): ViaductError {
  if (error instanceof ViaductError) return error;
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new ViaductError('payload_too_large', 'The body is larger than this endpoint takes.', { cause: error });
  if (error.statusCode && error.statusCode < 500)
    return new ViaductError('invalid_request', error.message, { cause: error });
  return ViaductError.from(error);
}
