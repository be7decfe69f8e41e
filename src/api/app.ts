/** All front doors on one server. Each renders failures in its own dialect. */
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply } from 'fastify';
import { ViaductError } from '../core/errors.ts';
import { isDeeperThan } from '../lib/json-depth.ts';
import { anthropic } from './anthropic/index.ts';
import type { Endpoint, FrontDoor, Services } from './define.ts';
import { credentialsOf } from './http.ts';
import { createRefusal } from './not-found.ts';
import { ollama } from './ollama/index.ts';
import { openai } from './openai/index.ts';
import { openApiDoor } from './openapi.ts';
import { operations } from './operations.ts';
import { providers } from './providers.ts';

const defaultBodyLimit = 32 * 2 ** 20;
const deepestBody = 256;

export function createApp(
  services: Services,
  given: FrontDoor[] = [openai, anthropic, ollama, providers, operations],
): FastifyInstance {
  const doors = [...given, openApiDoor(given)];
  const app = Fastify({ logger: false, bodyLimit: defaultBodyLimit, forceCloseConnections: 'idle' });
  app.removeAllContentTypeParsers();
  // Clients that send JSON without saying so (curl -d) are as welcome as with Ollama.
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
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
      async handler(request, reply) {
        const credentials = credentialsOf(request, reply);
        reply.header('x-request-id', credentials.requestId);
        if (door.requestIdHeader) reply.header(door.requestIdHeader, credentials.requestId);
        try {
          if (endpoint.access === 'public') await endpoint.handle({ request, reply, services });
          else {
            const caller = await services.gateway.enter(credentials);
            if (endpoint.access === 'admin' && !caller.admin)
              throw new ViaductError('permission_denied', 'This needs an admin key.');
            await endpoint.handle({ request, reply, caller, services });
          }
          return reply;
        } catch (thrown) {
          return sendError(reply, ViaductError.from(thrown), door, credentials.requestId);
        }
      },
      errorHandler(error, _request, reply) {
        return sendError(reply, fromFastify(error), door, '');
      },
    });
  }
  const refusal = createRefusal(doors);
  app.setNotFoundHandler((request, reply) => {
    const { door, error } = refusal(request.method, request.url);
    const { requestId } = credentialsOf(request, reply);
    reply.header('x-request-id', requestId);
    return sendError(reply, error, door, requestId);
  });
  return app;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function sendError(reply: FastifyReply, error: ViaductError, door: FrontDoor, requestId: string) {
  if (reply.raw.headersSent) {
    reply.raw.destroy();
    return reply;
  }
  if (error.headers) reply.headers(error.headers);
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
