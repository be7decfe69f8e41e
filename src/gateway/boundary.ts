/** The boundary, put together: who may ask, how much, and the one bill. */
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { contentStore } from '../store/contents.ts';
import { ledgerStore } from '../store/ledger.ts';
import type { Store } from '../store/open.ts';
import { createAccount, type Ledger, openLedger } from './account.ts';
import { type Administration, createAdministration } from './administration.ts';
import { createAdmit, createCostMemory, type SharedLimits } from './admit.ts';
import { type AuthMode, createAuthenticate } from './authenticate.ts';
import { createBudgetAlerts, type Warn } from './budget-alerts.ts';
import type { Account, Admit, Authenticate, KeepContent, Prices } from './contract.ts';
import type { Counters } from './counters.ts';
import { memoryCounters } from './counters-memory.ts';
import { createDirectory, type Directory } from './directory.ts';
import { createContentKeeper } from './keep-content.ts';
import { createPrices, type Machine, type PriceOverride } from './prices.ts';
import { createReadiness } from './readiness.ts';
import { adminToken, serverSecret } from './secrets.ts';

/** What may change while the server runs. */
export type BoundarySettings = {
  authMode: AuthMode;
  rotationOverlapMs: number;
  limits: SharedLimits;
  prices: Record<string, PriceOverride>;
  machine: Machine;
  /** Told when any budget is nearly or wholly spent. */
  alertWebhook?: string | undefined;
};

export type BoundaryOptions = BoundarySettings & {
  db: Store;
  /** VIADUCT_HOME: the server's secret, the local administrator's token and the ledger's write-ahead files lie here. */
  home: string;
  /** `redis://…` where several instances share limits and budgets. */
  redis: string | undefined;
  /** Shared by all instances on one database; absent: a file in `home`. */
  secret: string | undefined;
  /** VIADUCT_ADMIN_KEY. */
  adminKey: string | undefined;
  /** The server listens on loopback only. */
  loopback: boolean;
  now: () => number;
  warn: Warn;
};

export type Boundary = {
  authenticate: Authenticate;
  admit: Admit;
  account: Account;
  prices: Prices;
  keep: KeepContent;
  directory: Directory;
  administration: Administration;
  counters: Counters;
  ledger: Ledger;
  /** For signatures of this server's own. */
  serverSecret: KeyObject;
  /** Who knows one of these administers the server. */
  adminSecrets: string[];
  /** From now on these hold. What runs is settled by the ones it began with; gives the stages that the gateway has to use from now on. */
  configure(settings: BoundarySettings): { admit: Admit; prices: Prices };
  /** Which of the parts that it stands on cannot be used now. */
  missing(): Promise<string[]>;
  /** Everything accounted is in the database, or in its file. Does not close `db`. */
  close(): Promise<void>;
};

/** Resolves when what a killed program left is in the ledger and all keys are in memory. */
export async function createBoundary(options: BoundaryOptions): Promise<Boundary> {
  const { db, home, now, warn } = options;
  let settings: BoundarySettings = options;
  const secret = serverSecret(home, options.secret);
  const adminSecrets = [adminToken(home), ...(options.adminKey ? [options.adminKey] : [])];
  const ledgerFolder = join(home, 'ledger');
  const ledger = await openLedger(db, ledgerFolder, (error) =>
    warn({ error }, 'The ledger cannot be written; entries are kept until it can.'),
  );
  const directory = await createDirectory(db, (error) => warn({ error }, 'Keys could not be read again.'));
  const alert = createBudgetAlerts({ warn, webhook: () => settings.alertWebhook, now });
  const counters = await createCounters(options, ledger, alert);
  const costs = createCostMemory();
  const stages = () => ({
    admit: createAdmit({ directory, counters, limits: settings.limits, costs, now }),
    prices: createPrices({ overrides: settings.prices, machine: settings.machine, now }),
  });
  const contents = createContentKeeper(contentStore(db), now, (error) =>
    warn({ error }, 'A prompt could not be kept.'),
  );
  return {
    authenticate: createAuthenticate({
      directory,
      serverSecret: secret,
      adminSecrets,
      mode: () => settings.authMode,
      loopback: options.loopback,
      now,
    }),
    ...stages(),
    account: createAccount({ ledger, directory, counters }),
    keep: contents.keep,
    directory,
    administration: createAdministration({
      db,
      directory,
      serverSecret: secret,
      rotationOverlapMs: () => settings.rotationOverlapMs,
      now,
    }),
    counters,
    ledger,
    serverSecret: secret,
    adminSecrets,
    configure(next) {
      settings = next;
      return stages();
    },
    missing: createReadiness({ db, ledgerFolder, counters, now }),
    async close() {
      directory.close();
      await contents.close();
      await ledger.close();
      await counters.close();
    },
  };
}

async function createCounters(
  { db, redis, now, warn }: BoundaryOptions,
  ledger: Ledger,
  grew: ReturnType<typeof createBudgetAlerts>,
): Promise<Counters> {
  const { spent } = ledgerStore(db);
  const inMemory = () =>
    memoryCounters({
      now,
      load: (budget, from, set) =>
        ledger.readExactly(
          () => spent(budget.scope, budget.scopeId, from),
          (sum, since) => set(since.reduce((total, row) => total + costFor(budget, from, row), sum)),
        ),
      grew,
    });
  if (redis === undefined) return inMemory();
  // Most servers are alone and need no client for Redis.
  const { redisCounters } = await import('./counters-redis.ts');
  return redisCounters({
    url: redis,
    now,
    substitute: inMemory,
    load: ({ scope, scopeId }, from) => ledger.reports.spent(scope, scopeId, from),
    grew,
    failed: (error) => warn({ error }, 'Redis cannot be reached; this instance counts limits and budgets for itself.'),
  });
}

function costFor(
  { scope, scopeId }: { scope: string; scopeId: string },
  from: number,
  row: { key_id: string; team_id: string; shadow: number; started_at: number; cost_nano: number | null },
): number {
  if (row.shadow === 1 || row.started_at < from) return 0;
  if (scope === 'key' && row.key_id !== scopeId) return 0;
  if (scope === 'team' && row.team_id !== scopeId) return 0;
  return row.cost_nano ?? 0;
}
