/** Puts the parts together: settings → stores → engine → providers → gateway → front doors → a listening server. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { createAdminDoor, createSignIn } from './api/admin/index.ts';
import { createApp, defaultDoors } from './api/app.ts';
import type { FrontDoor, Services } from './api/define.ts';
import { listen } from './api/listen.ts';
import { attachResponsesWebSocket } from './api/openai/responses-websocket.ts';
import { attachNativeWebSocket } from './api/providers/websocket.ts';
import { refuseOpenBind } from './api/security.ts';
import { type Config, configPlaces, loadSettings, relativeTo, reloaded, type Settings, watchFiles } from './config.ts';
import type { Provider } from './core/provider.ts';
import { createScheduler } from './engine/scheduler.ts';
import { type Boundary, createBoundary } from './gateway/boundary.ts';
import { createGateway } from './gateway/gateway.ts';
import { listensOnLoopback, serverNote, urlOf } from './lib/server-address.ts';
import { type Lock, lockFile, readLock } from './models/lock.ts';
import { storeRoots } from './models/roots.ts';
import { createModelStore } from './models/store.ts';
import { createProviderSet } from './providers/index.ts';
import { createLocalProvider } from './providers/local.ts';
import { createResponses } from './responses/responses.ts';
import { auditStore } from './store/audit.ts';
import { contentStore } from './store/contents.ts';
import { ledgerStore } from './store/ledger.ts';
import { openStore, type Store } from './store/open.ts';
import { sessionStore } from './store/sessions.ts';
import { storedChatStore } from './store/stored-chats.ts';
import { createLog } from './telemetry/log.ts';
import { createMetrics, type Metrics } from './telemetry/metrics.ts';
import { createRequestLog } from './telemetry/request-log.ts';
import { createTracing, tracesAreWanted } from './telemetry/traces.ts';
import {
  boundaryOptions,
  boundarySettings,
  engineOf,
  schedulerOptions,
  schedulerSettings,
  securityOptions,
} from './wiring.ts';

export type ServerOptions = {
  /** Instead of the configured address; port 0 takes any free one. */
  address?: { host: string; port: number };
  /** Instead of VIADUCT_CONFIG. */
  configFile?: string;
  /** No log, for commands that serve only themselves. */
  quiet?: boolean;
};

export type RunningServer = {
  /** `http://127.0.0.1:11434` */
  url: string;
  /** Make sure that there is an engine; `report` gets lines for a person to read. */
  installEngine(report: (line: string) => void): Promise<void>;
  /** Let running requests end, for half a minute at most, then stop everything. */
  close(): Promise<void>;
};

/** How long running requests may go on once the server was told to stop, ms. */
const drainMs = 30_000;
const sweepMs = 100;
/** What an interrupted pull left is thrown away after this long, ms. */
const unfinishedPullMs = 14 * 24 * 3_600_000;

/** Throws what keeps it from serving, with a message that says what to do. */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  const environment = options.configFile ? { ...process.env, VIADUCT_CONFIG: options.configFile } : process.env;
  const settings = loadSettings(environment);
  const { config, home } = settings;
  /** What was read last, as far as it takes effect without a new start. */
  let inForce = config;
  const { host, port } = options.address ?? config.server;
  const log = createLog(options.quiet ? 'silent' : config.log.level);

  const db = await openStore({ database: config.database, home });
  const boundary = await createBoundary({ ...boundaryOptions(settings, host), db, warn: log.warn });
  let pinned = await pinsOf(settings);
  const models = createModelStore({ roots: storeRoots(environment), pinned: () => pinned });
  // Requests look names up in memory: it must be filled before the first one.
  await models.list();
  const scheduler = createScheduler(schedulerOptions(settings, () => inForce, log));
  /** Read at every request, and filled anew when the configuration changes. */
  const imageHosts = [...config.engine.image_hosts];
  const local = createLocalProvider({ models, scheduler, imageHosts });
  const makeProviders = createProviderSet();
  const setup = ({ providers, models: routes }: Config) => ({
    providers: new Map<string, Provider>([[local.name, local], ...makeProviders(providers)]),
    models: routes,
  });
  const metrics: Metrics = createMetrics(() => gateway.health(), local.toolCalls);
  const logCall = createRequestLog(log);
  const tracing =
    config.traces.endpoint !== undefined || tracesAreWanted(environment)
      ? await createTracing(config.traces)
      : undefined;
  const gateway = createGateway({
    ...boundary,
    ...setup(config),
    ...(tracing && {
      trace: ({ endpoint, requestId }) => tracing.begin({ method: 'WEBSOCKET', route: endpoint, requestId }),
    }),
    observe(call) {
      metrics.record(call);
      logCall(call);
    },
  });
  const responses = await createResponses({
    db,
    secret: boundary.serverSecret.export(),
    now: Date.now,
    exclusive: config.database.startsWith('sqlite'),
  });
  let draining = false;
  const services: Services = {
    gateway,
    models,
    scheduler,
    responses,
    storedChats: storedChatStore(db),
    metrics,
    ...(tracing && { tracing }),
    missing: async () => [...(draining ? ['draining'] : []), ...(await boundary.missing())],
    now: Date.now,
  };

  const close = async () => {
    await responses.close();
    await tracing?.close();
    await scheduler.close();
    await boundary.close();
    await db.destroy();
  };
  try {
    refuseOpenBind({
      loopback: listensOnLoopback(host),
      host,
      authMode: config.auth.mode,
      hasKey: settings.adminKey !== undefined || boundary.directory.hasKeys(),
    });
    const doors = [...defaultDoors, adminDoor(settings, db, boundary, () => inForce)];
    const app = createApp(services, doors, securityOptions(settings, host));
    const sockets = [attachResponsesWebSocket(app.server, services), attachNativeWebSocket(app.server, services)];
    const openPort = await listen(app, host, port);
    const url = urlOf({ scheme: config.server.tls ? 'https' : 'http', host, port: openPort, path: '' });
    log.info({ url, home }, 'listening');
    // Commands find it there when it is not at the usual address; one that serves only itself is nobody else's.
    const note = options.address ? undefined : join(home, serverNote);
    if (note) writeFileSync(note, url);
    void models.prune(unfinishedPullMs).catch((error) => log.warn({ error }, 'Unfinished pulls could not be removed.'));

    const reload = async () => {
      const read = loadSettings(environment);
      const { inForce: next, waiting } = reloaded(inForce, read.config);
      pinned = await pinsOf(read);
      app.secureAgain(securityOptions({ ...settings, config: next }, host));
      gateway.configure({ ...setup(next), ...boundary.configure(boundarySettings(next)) });
      scheduler.configure(schedulerSettings(next));
      imageHosts.splice(0, Infinity, ...next.engine.image_hosts);
      inForce = next;
      log.info({ file: read.file }, 'The configuration was read again.');
      log.setLevel(options.quiet ? 'silent' : next.log.level);
      if (waiting.length > 0)
        log.warn({ settings: waiting }, 'Changes of these settings take effect at the next start.');
    };
    const watching = [
      watchFiles(configPlaces(environment), reload, (error) =>
        log.error({ error }, 'The new configuration is not used; the old one stays.'),
      ),
    ];
    const { tls } = securityOptions(settings, host);
    if (tls)
      watching.push(
        watchFiles(
          [tls.cert, tls.key],
          () => {
            app.secureAgain(securityOptions({ ...settings, config: inForce }, host));
            log.info(tls, 'The certificate was read again.');
          },
          (error) => log.error({ error }, 'The new certificate cannot be used; the old one stays.'),
        ),
      );
    return {
      url,
      async installEngine(report) {
        await engineOf(settings, report);
      },
      async close() {
        draining = true;
        for (const unwatch of watching) unwatch();
        for (const { close: end } of sockets) end();
        await drain(app);
        if (note && readIfThere(note) === url) rmSync(note);
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Nobody new; what runs may end. Clients keep connections open for a next request, which must not hold up the end: each is closed
 * as soon as it is idle, and in the end with whatever still runs on it.
 */
async function drain(app: FastifyInstance): Promise<void> {
  const sweep = setInterval(() => app.server.closeIdleConnections(), sweepMs);
  await Promise.race([app.close(), sleep(drainMs, undefined, { ref: false })]);
  clearInterval(sweep);
  app.server.closeAllConnections();
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** `models.lock: enforce` → the digests of viaduct.lock, beside the configuration. */
const pinsOf = async ({ config, file }: Settings): Promise<Lock | undefined> =>
  config.lock === 'enforce' ? readLock(relativeTo(file, lockFile)) : undefined;

function adminDoor({ config }: Settings, db: Store, boundary: Boundary, inForce: () => Config): FrontDoor {
  const { oidc } = config;
  return createAdminDoor(
    {
      boundary,
      ledger: ledgerStore(db),
      audit: auditStore(db),
      contents: contentStore(db),
      sessions: sessionStore(db),
      ...(oidc && {
        signIn: createSignIn({
          issuer: oidc.issuer,
          clientId: oidc.client_id,
          clientSecret: oidc.client_secret,
          scopes: oidc.scopes,
          rolesClaim: oidc.roles_claim,
          roles: oidc.roles,
        }),
      }),
      config: inForce,
      now: Date.now,
    },
    { sessionMs: oidc?.session, redirectUrl: oidc?.redirect_url },
  );
}
