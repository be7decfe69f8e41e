/** The parts of a server, each made of the settings that it needs and given the parts that it works with. */
import { createAdminDoor, createSignIn } from './api/admin/index.ts';
import { defaultDoors } from './api/app.ts';
import type { FrontDoor, Services } from './api/define.ts';
import { type Config, relativeTo, type Settings } from './config.ts';
import type { Provider } from './core/provider.ts';
import { createScheduler } from './engine/scheduler.ts';
import { type Boundary, createBoundary } from './gateway/boundary.ts';
import { createGateway } from './gateway/gateway.ts';
import { priceList } from './lib/price-list.ts';
import { type Lock, lockFile, readLock } from './models/lock.ts';
import { storeRoots } from './models/roots.ts';
import { createModelStore, type ModelStore } from './models/store.ts';
import { createProviderSet } from './providers/index.ts';
import { createLocalProvider } from './providers/local.ts';
import { createResponses } from './responses/responses.ts';
import { auditStore } from './store/audit.ts';
import { contentStore } from './store/contents.ts';
import type { Store } from './store/open.ts';
import { sessionStore } from './store/sessions.ts';
import { storedChatStore } from './store/stored-chats.ts';
import type { Log } from './telemetry/log.ts';
import { createMetrics, type Metrics } from './telemetry/metrics.ts';
import { createRequestLog } from './telemetry/request-log.ts';
import { createTracing, tracesAreWanted } from './telemetry/traces.ts';
import { boundaryOptions, boundarySettings, schedulerOptions, schedulerSettings } from './wiring.ts';

export type Parts = {
  services: Services;
  doors: FrontDoor[];
  models: ModelStore;
  /** Has anybody made a key? */
  hasKeys(): boolean;
  /**
   * Get ready to work by other settings, which differ only in what may change while the server runs; what comes back is to be
   * called for that. Throws where they cannot be used, and then nothing has changed.
   */
  prepare(settings: Settings): Promise<() => void>;
  /** Requests have ended: stop everything else. */
  close(): Promise<void>;
};

export type PartsOptions = {
  /** Closed with the parts. */
  db: Store;
  environment: NodeJS.ProcessEnv;
  /** Where the server listens. */
  host: string;
  log: Log;
  /** True once the server was told to stop. */
  isDraining: () => boolean;
};

/** Throws what keeps the server from working: a lock file that is missing, a configuration that its parts refuse. */
export async function createParts(
  settings: Settings,
  { db, environment, host, log, isDraining }: PartsOptions,
): Promise<Parts> {
  const { config } = settings;
  let inForce = config;

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
  const setup = ({ providers, models: routes }: Config) => {
    // Not in the middle of the first request, which it would hold up with all others.
    if (Object.keys(providers).length > 0) priceList();
    return {
      providers: new Map<string, Provider>([[local.name, local], ...makeProviders(providers)]),
      models: routes,
    };
  };
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

  return {
    services: {
      gateway,
      models,
      scheduler,
      responses,
      storedChats: storedChatStore(db),
      metrics,
      ...(tracing && { tracing }),
      missing: async () => [...(isDraining() ? ['draining'] : []), ...(await boundary.missing())],
      now: Date.now,
    },
    doors: [...defaultDoors, adminDoor(config, db, boundary, () => inForce)],
    models,
    hasKeys: () => boundary.directory.hasKeys(),
    async prepare(next) {
      const pins = await pinsOf(next);
      return () => {
        pinned = pins;
        gateway.configure({ ...setup(next.config), ...boundary.configure(boundarySettings(next.config)) });
        scheduler.configure(schedulerSettings(next.config));
        imageHosts.splice(0, Infinity, ...next.config.engine.image_hosts);
        inForce = next.config;
      };
    },
    async close() {
      await responses.close();
      await tracing?.close();
      await scheduler.close();
      await boundary.close();
      await db.destroy();
    },
  };
}

/** `models.lock: enforce` → the digests of viaduct.lock, beside the configuration. */
const pinsOf = async ({ config, file }: Settings): Promise<Lock | undefined> =>
  config.lock === 'enforce' ? readLock(relativeTo(file, lockFile)) : undefined;

function adminDoor({ oidc }: Config, db: Store, boundary: Boundary, inForce: () => Config): FrontDoor {
  return createAdminDoor(
    {
      boundary,
      ledger: boundary.ledger.reports,
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
