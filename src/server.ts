/** Puts the parts together: settings → stores → engine → providers → gateway → front doors → a listening server. */
import { type AdminServices, createAdminDoor, createSignIn } from './api/admin/index.ts';
import { createApp, frontDoors } from './api/app.ts';
import type { Services } from './api/define.ts';
import { listen } from './api/listen.ts';
import { attachResponsesWebSocket } from './api/openai/responses-websocket.ts';
import { attachNativeWebSocket } from './api/providers.ts';
import { refuseOpenBind, type SecurityOptions } from './api/security.ts';
import { type Config, loadSettings, relativeTo, type Settings, watchConfig } from './config.ts';
import type { Provider } from './core/provider.ts';
import { findEngine } from './engine/engine.ts';
import { installEngine } from './engine/install.ts';
import { createScheduler } from './engine/scheduler.ts';
import { type Boundary, createBoundary } from './gateway/boundary.ts';
import { createGateway } from './gateway/gateway.ts';
import { listensOnLoopback, urlOf } from './lib/server-address.ts';
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
import { createLog, type Log } from './telemetry/log.ts';
import { createMetrics, type Metrics } from './telemetry/metrics.ts';
import { createRequestLog } from './telemetry/request-log.ts';

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
  /** Let running requests end, then stop everything. */
  close(): Promise<void>;
};

/** Throws what keeps it from serving, with a message that says what to do. */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  const environment = options.configFile ? { ...process.env, VIADUCT_CONFIG: options.configFile } : process.env;
  const settings = loadSettings(environment);
  const { config, home } = settings;
  const address = options.address ?? config.server;
  const log = createLog(options.quiet ? 'silent' : config.log.level);

  const db = await openStore({ database: config.database, home });
  const boundary = await createBoundary({ ...boundarySettings(settings, address.host), db, warn: log.warn });
  try {
    refuseOpenBind({
      loopback: listensOnLoopback(address.host),
      host: address.host,
      authMode: config.auth.mode,
      hasKey: settings.adminKey !== undefined || (await boundary.administration.keys.count()) > 0,
    });
  } catch (error) {
    await boundary.close();
    await db.destroy();
    throw error;
  }
  const models = createModelStore({ roots: storeRoots(environment) });
  // Requests look names up in memory: it must be filled before the first one.
  await models.list();
  const scheduler = createScheduler(engineSettings(settings, log));
  const local = createLocalProvider({ models, scheduler });
  const makeProviders = createProviderSet();
  const setup = ({ providers, models: routes }: Config) => ({
    providers: new Map<string, Provider>([[local.name, local], ...makeProviders(providers)]),
    models: routes,
  });
  const metrics: Metrics = createMetrics(() => gateway.health());
  const logCall = createRequestLog(log);
  const gateway = createGateway({
    ...boundary,
    ...setup(config),
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
  const services: Services = {
    gateway,
    models,
    scheduler,
    responses,
    storedChats: storedChatStore(db),
    metrics,
    now: Date.now,
  };

  const admin = createAdminDoor(adminServices(boundary, db, settings), {
    sessionMs: config.oidc?.session ?? 43_200_000,
    redirectUrl: config.oidc?.redirect_url,
  });
  const app = createApp(services, [...frontDoors, admin], securitySettings(settings, address.host));
  const sockets = attachResponsesWebSocket(app.server, services);
  attachNativeWebSocket(app.server, services);
  const port = await listen(app, address.host, address.port);
  const url = urlOf({ scheme: config.server.tls ? 'https' : 'http', host: address.host, port, path: '' });
  log.info({ url, home }, 'listening');

  const unwatch = settings.file
    ? watchConfig(
        settings.file,
        () => {
          gateway.configure(setup(loadSettings(environment).config));
          log.info({ file: settings.file }, 'The configuration was read again.');
        },
        (error) => log.error({ error }, 'The new configuration is not used; the old one stays.'),
      )
    : () => {};

  return {
    url,
    async installEngine(report) {
      await engineOf(settings, report);
    },
    async close() {
      unwatch();
      sockets.close();
      await app.close();
      await responses.close();
      await scheduler.close();
      await boundary.close();
      await db.destroy();
    },
  };
}

/** The engine, installed when there is none yet. */
async function engineOf({ config, home }: Settings, report: (line: string) => void) {
  let last = '';
  const found = await findEngine({ configured: config.engine.path, home });
  return (
    found ??
    installEngine({
      home,
      onProgress: ({ status }) => {
        if (status !== last) report(status);
        last = status;
      },
    })
  );
}

function engineSettings(settings: Settings, log: Log): Parameters<typeof createScheduler>[0] {
  const { keep_alive, parallel, context, max_loaded, max_queue } = settings.config.engine;
  const given = (value: number | 'auto') => (value === 'auto' ? undefined : value);
  return {
    engine: () => engineOf(settings, (status) => log.info({ status }, 'Installing the engine.')),
    keepAlive: keep_alive / 1000,
    parallel: given(parallel),
    context: given(context),
    maxLoaded: given(max_loaded),
    maxQueue: max_queue,
    log,
  };
}

function boundarySettings({ config, home, adminKey }: Settings, host: string) {
  const { machine } = config;
  return {
    home,
    adminKey,
    redis: config.redis ?? undefined,
    authMode: config.auth.mode,
    secret: config.auth.secret,
    rotationOverlapMs: config.auth.rotation_overlap,
    loopback: listensOnLoopback(host),
    limits: config.limits,
    prices: Object.fromEntries(
      Object.entries(config.prices).map(([target, { cache_read, cache_write, ...price }]) => [
        target,
        {
          ...price,
          ...(cache_read !== undefined && { cacheRead: cache_read }),
          ...(cache_write !== undefined && { cacheWrite: cache_write }),
        },
      ]),
    ),
    machine: {
      watts: machine.watts,
      pricePerKwh: machine.price_per_kwh,
      hardwarePrice: machine.hardware_price,
      lifetimeHours: machine.lifetime_hours,
    },
    now: Date.now,
  };
}

function adminServices(boundary: Boundary, db: Store, { config }: Settings): AdminServices {
  const { oidc } = config;
  return {
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
    config: () => config,
    now: Date.now,
  };
}

function securitySettings({ config: { server }, file }: Settings, host: string): SecurityOptions {
  return {
    loopback: listensOnLoopback(host),
    hosts: server.hosts,
    origins: server.origins,
    trustedProxies: server.trusted_proxies,
    tls: server.tls && { cert: relativeTo(file, server.tls.cert), key: relativeTo(file, server.tls.key) },
    maxConnections: server.max_connections,
  };
}
