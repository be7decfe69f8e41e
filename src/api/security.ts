/**
 * What keeps an exposed server safe before any endpoint is asked: hosts, origins, connections, time, TLS.
 * docs/threat-model.md says why.
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ViaductError } from '../core/errors.ts';
import { hostRules, originRules } from './origins.ts';
import { endSlowBodies } from './slow-bodies.ts';

export type SecurityOptions = {
  /** The server listens on loopback only. */
  loopback: boolean;
  /** Names under which clients reach it. */
  hosts: readonly string[];
  /** Web pages that may call it, besides those of this machine. */
  origins: readonly string[];
  /** Addresses or ranges of proxies whose X-Forwarded-* is believed. */
  trustedProxies: readonly string[];
  /** Paths of PEM files. */
  tls: { cert: string; key: string } | undefined;
  maxConnections: number;
};

/** Nothing but loopback without a name: what tests and commands that serve themselves need. */
export const localOnly: SecurityOptions = {
  loopback: true,
  hosts: [],
  origins: [],
  trustedProxies: [],
  tls: undefined,
  maxConnections: 10_000,
};

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * From now on these hosts, origins and numbers of connections; certificates are read again. Throws when they cannot
     * be used: the old stay.
     */
    secureAgain(options: SecurityOptions): void;
  }
}

const headersMs = 15_000;
/** Longer than the usual idle time of balancers (60 s), so that they and not we end idle connections. */
const keepAliveMs = 72_000;
const maxHeaderBytes = 32 * 1024;

/** Options for Fastify itself. Throws invalid_request when the TLS files cannot be read. */
export function fastifyOptions({ tls, trustedProxies }: SecurityOptions) {
  const http = {
    headersTimeout: headersMs,
    // Bodies have a limit of their own, which large uploads pass: slow-bodies.ts.
    requestTimeout: 0,
    keepAliveTimeout: keepAliveMs,
    maxHeaderSize: maxHeaderBytes,
    connectionsCheckingInterval: 5000,
  };
  return {
    ...(tls ? { https: { ...http, handshakeTimeout: headersMs, ...certificate(tls) } } : { http }),
    trustProxy: trustedProxies.length > 0 ? [...trustedProxies] : false,
    requestTimeout: http.requestTimeout,
    keepAliveTimeout: http.keepAliveTimeout,
  };
}

const certificate = ({ cert, key }: NonNullable<SecurityOptions['tls']>) => ({
  cert: readTls(cert, 'cert'),
  key: readTls(key, 'key'),
});

function readTls(path: string, what: 'cert' | 'key'): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new ViaductError('invalid_request', `server.tls.${what}: ${path} cannot be read.`, {
      param: `server.tls.${what}`,
      cause,
    });
  }
}

/** Before routes are added. Refusals are rendered by `refuse`. */
export function secure(
  app: FastifyInstance,
  options: SecurityOptions,
  refuse: (request: FastifyRequest, reply: FastifyReply, error: ViaductError) => void,
) {
  let rules = createCheck(options);
  const check: Check = (request) => rules(request);
  app.server.maxConnections = options.maxConnections;
  app.decorate('secureAgain', (next: SecurityOptions) => {
    // Connections that are open keep the certificate that they began with.
    if (next.tls) (app.server as TlsServer).setSecureContext(certificate(next.tls));
    rules = createCheck(next);
    app.server.maxConnections = next.maxConnections;
  });

  app.addHook('onRequest', (request, reply, done) => {
    const verdict = check(request.raw);
    if (verdict instanceof ViaductError) {
      refuse(request, reply, verdict);
      return;
    }
    if (verdict !== undefined) {
      allowPage(reply, verdict);
      if (request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined) {
        answerPreflight(request, reply);
        return;
      }
    }
    done();
  });
  endSlowBodies(app);
  endSilentConnections(app, options.tls !== undefined);
  guardUpgrades(app.server, check);
}

/** The page's origin when a page asks and may, undefined when none asks, else why not. */
type Check = (request: IncomingMessage) => string | undefined | ViaductError;

function createCheck(options: SecurityOptions): Check {
  const goodHost = hostRules(options);
  const goodOrigin = originRules(options.origins);
  return ({ url, headers: { host, origin } }) => {
    // No name has a zero byte, and PostgreSQL takes no text with one.
    if (url?.includes('%00')) return new ViaductError('invalid_request', 'An address has no zero byte in it.');
    if (!goodHost(host))
      return new ViaductError(
        'permission_denied',
        `This server does not go by the name "${host}". If it should, add the name to server.hosts in viaduct.yaml.`,
      );
    if (origin === undefined) return undefined;
    if (goodOrigin(origin) || isOwnPage(origin, host)) return origin;
    return new ViaductError(
      'permission_denied',
      `Pages of ${origin} may not use this server. If they should, add ${origin} to server.origins in viaduct.yaml.`,
    );
  };
}

const isOwnPage = (origin: string, host: string | undefined) =>
  host !== undefined && (origin === `http://${host}` || origin === `https://${host}`);

const exposed = [
  'x-request-id',
  'retry-after',
  'retry-after-ms',
  'openai-processing-ms',
  ...['limit', 'remaining', 'reset'].flatMap((what) => [`x-ratelimit-${what}-requests`, `x-ratelimit-${what}-tokens`]),
  ...['provider', 'model', 'attempts', 'failures', 'cost', 'overhead-ms', 'digest'].map((name) => `x-viaduct-${name}`),
].join(', ');

/** Never a star: the answer is for this page alone. */
function allowPage(reply: FastifyReply, origin: string) {
  reply.header('access-control-allow-origin', origin);
  reply.header('access-control-expose-headers', exposed);
  reply.header('vary', 'Origin');
}

function answerPreflight(request: FastifyRequest, reply: FastifyReply) {
  const asked = request.headers['access-control-request-headers'];
  reply.header('access-control-allow-methods', 'GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS');
  if (asked && /^[\w-]+(\s*,\s*[\w-]+)*$/.test(asked)) reply.header('access-control-allow-headers', asked);
  // A public page that may call a private address: https://wicg.github.io/private-network-access/
  if (request.headers['access-control-request-private-network'] === 'true')
    reply.header('access-control-allow-private-network', 'true');
  reply.header('access-control-max-age', '43200');
  reply.status(204).send();
}

/** A connection on which nothing was ever asked is neither idle nor busy to Node, and would hold up the end of the server. */
function endSilentConnections(app: FastifyInstance, tls: boolean) {
  const silent = new Set<Socket>();
  const { server } = app;
  // A connection counts from its TLS handshake on, which has a time limit of its own.
  server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  server.on('request', ({ socket }: IncomingMessage) => silent.delete(socket));
  server.on('upgrade', ({ socket }: IncomingMessage) => silent.delete(socket));
  app.addHook('preClose', async () => {
    for (const socket of silent) socket.destroy();
  });
}

/** Upgrades to WebSocket go past Fastify. One that is refused here has no path that any handler knows. */
function guardUpgrades(server: Server, check: Check) {
  server.prependListener('upgrade', (request: IncomingMessage, socket: Duplex) => {
    const verdict = check(request);
    if (!(verdict instanceof ViaductError)) return;
    request.url = '';
    socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
  });
}

export type BindOptions = { loopback: boolean; host: string; authMode: 'auto' | 'required' | 'off'; hasKey: boolean };

/**
 * Beyond loopback nobody serves without a key, unless `auth.mode: off` says in so many words that it is meant. Throws
 * permission_denied.
 */
export function refuseOpenBind({ loopback, host, authMode, hasKey }: BindOptions) {
  if (loopback || hasKey || authMode === 'off') return;
  throw new ViaductError(
    'permission_denied',
    [
      `${host} is reachable from other machines, and there is no key yet: anybody there could use this server. Either make a key and start again:`,
      '  viaduct keys create my-app',
      'or serve this machine only:',
      '  VIADUCT_HOST=127.0.0.1 viaduct serve',
    ].join('\n'),
  );
}
