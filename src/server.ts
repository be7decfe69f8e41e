/** A server: settings → parts → a listening server, which takes over a changed configuration and drains when it ends. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { type Config, configPlaces, loadSettings, reloaded, type Settings, watchFiles } from './config.ts';
import type { OpenDoors } from './doors.ts';
import { serverNote } from './lib/server-address.ts';
import type { Parts } from './parts.ts';
import { openStore } from './store/open.ts';
import { createLog, type Log } from './telemetry/log.ts';
import { engineOf, securityOptions } from './wiring.ts';

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
  const log = createLog(options.quiet ? 'silent' : settings.config.log.level);
  const { host } = options.address ?? settings.config.server;
  let draining = false;
  // The database opens on a thread of its own: meanwhile the rest is loaded, which takes as long.
  const [db, { createParts }, { openDoors }] = await Promise.all([
    openStore({ database: settings.config.database, home: settings.home }),
    import('./parts.ts'),
    import('./doors.ts'),
  ]);
  const parts = await createParts(settings, { db, environment, host, log, isDraining: () => draining });
  try {
    const { app, url, closeSockets } = await openDoors(parts, settings, options.address);
    log.info({ url, home: settings.home }, 'listening');
    // Commands find it there when it is not at the usual address; one that serves only itself is nobody else's.
    const note = options.address ? undefined : join(settings.home, serverNote);
    if (note) writeFileSync(note, url);
    void parts.models
      .prune(unfinishedPullMs)
      .catch((error) => log.warn({ error }, 'Unfinished pulls could not be removed.'));
    const unwatch = keepUpToDate(parts, app, settings, { environment, host, log, quiet: options.quiet === true });
    return {
      url,
      async installEngine(report) {
        await engineOf(settings, report);
      },
      async close() {
        draining = true;
        unwatch();
        closeSockets();
        await drain(app);
        if (note && readIfThere(note) === url) rmSync(note);
        await parts.close();
      },
    };
  } catch (error) {
    await parts.close();
    throw error;
  }
}

/** Take over the configuration and the certificate whenever their files change. Returns what ends that. */
function keepUpToDate(
  parts: Parts,
  app: OpenDoors['app'],
  settings: Settings,
  { environment, host, log, quiet }: { environment: NodeJS.ProcessEnv; host: string; log: Log; quiet: boolean },
): () => void {
  let { config } = settings;
  const secureBy = (next: Config) => app.secureAgain(securityOptions({ ...settings, config: next }, host));

  const readAgain = async () => {
    const read = loadSettings(environment);
    const { inForce, waiting } = reloaded(config, read.config);
    const takeOver = await parts.prepare({ ...read, config: inForce });
    secureBy(inForce);
    takeOver();
    config = inForce;
    log.info({ file: read.file }, 'The configuration was read again.');
    log.setLevel(quiet ? 'silent' : config.log.level);
    if (waiting.length > 0) log.warn({ settings: waiting }, 'Changes of these settings take effect at the next start.');
  };
  const watching = [
    watchFiles(configPlaces(environment), readAgain, (error) =>
      log.error({ error }, 'The new configuration is not used; the old one stays.'),
    ),
  ];

  const { tls } = securityOptions(settings, host);
  if (tls) {
    const renewCertificate = () => {
      secureBy(config);
      log.info(tls, 'The certificate was read again.');
    };
    watching.push(
      watchFiles([tls.cert, tls.key], renewCertificate, (error) =>
        log.error({ error }, 'The new certificate cannot be used; the old one stays.'),
      ),
    );
  }
  return () => {
    for (const unwatch of watching) unwatch();
  };
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
