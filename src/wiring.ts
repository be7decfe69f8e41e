/** Settings as the parts of the server want them. */
import type { SecurityOptions } from './api/security.ts';
import { type Config, relativeTo, type Settings } from './config.ts';
import { type Engine, findEngine } from './engine/engine.ts';
import { installEngine } from './engine/install.ts';
import type { SchedulerOptions, SchedulerSettings } from './engine/scheduler.ts';
import type { BoundaryOptions, BoundarySettings } from './gateway/boundary.ts';
import { listensOnLoopback } from './lib/server-address.ts';
import type { Log } from './telemetry/log.ts';

/** The engine, installed when there is none yet; `report` gets each step once. */
export async function engineOf(
  { config, home }: Pick<Settings, 'config' | 'home'>,
  report: (step: string) => void,
): Promise<Engine> {
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

/** `inForce`: the configuration of the moment. */
export function schedulerOptions({ home }: Settings, inForce: () => Config, log: Log): SchedulerOptions {
  return {
    ...schedulerSettings(inForce()),
    engine: () => engineOf({ config: inForce(), home }, (step) => log.info({ step }, 'installing the engine')),
    log,
  };
}

export function schedulerSettings({ engine }: Config): SchedulerSettings {
  const { keep_alive, parallel, context, max_loaded, max_queue } = engine;
  const given = (value: number | 'auto') => (value === 'auto' ? undefined : value);
  return {
    keepAlive: keep_alive / 1000,
    parallel: given(parallel),
    context: given(context),
    maxLoaded: given(max_loaded),
    maxQueue: max_queue,
  };
}

export function boundaryOptions(settings: Settings, host: string): Omit<BoundaryOptions, 'db' | 'warn'> {
  const { config, home, adminKey } = settings;
  return {
    ...boundarySettings(config),
    home,
    adminKey,
    redis: config.redis ?? undefined,
    secret: config.auth.secret,
    loopback: listensOnLoopback(host),
    now: Date.now,
  };
}

/** What of it may change while the server runs. */
export function boundarySettings(config: Config): BoundarySettings {
  const { machine, auth } = config;
  return {
    authMode: auth.mode,
    rotationOverlapMs: auth.rotation_overlap,
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
    alertWebhook: config.alerts.webhook,
  };
}

export function securityOptions({ config, file }: Pick<Settings, 'config' | 'file'>, host: string): SecurityOptions {
  const { hosts, origins, trusted_proxies, tls, max_connections } = config.server;
  return {
    loopback: listensOnLoopback(host),
    hosts,
    origins,
    trustedProxies: trusted_proxies,
    tls: tls && { cert: relativeTo(file, tls.cert), key: relativeTo(file, tls.key) },
    maxConnections: max_connections,
  };
}
