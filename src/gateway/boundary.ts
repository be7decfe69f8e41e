/** The boundary, put together: who may ask, how much, and the one bill. */
import type { KeyObject } from 'node:crypto';
import { join } from 'node:path';
import { contentStore } from '../store/contents.ts';
import { ledgerStore } from '../store/ledger.ts';
import type { Store } from '../store/open.ts';
import { createAccount, type Ledger, openLedger } from './account.ts';
import { type Administration, createAdministration } from './administration.ts';
import { createAdmit, type SharedLimits } from './admit.ts';
import { type AuthMode, createAuthenticate } from './authenticate.ts';
import { createBudgetAlerts, type Warn } from './budget-alerts.ts';
import type { Account, Admit, Authenticate, KeepContent, Prices } from './contract.ts';
import type { Counters } from './counters.ts';
import { memoryCounters } from './counters-memory.ts';
import { createDirectory, type Directory } from './directory.ts';
import { createContentKeeper } from './keep-content.ts';
import { createPrices, type Machine, type PriceOverride } from './prices.ts';
import { adminToken, serverSecret } from './secrets.ts';

export type BoundaryOptions = {
  db: Store;
  /** VIADUCT_HOME: the server's secret, the local administrator's token and the ledger's write-ahead files lie here. */
  home: string;
  /** `redis://…` where several instances share limits and budgets. */
  redis: string | undefined;
  authMode: AuthMode;
  /** Shared by all instances on one database; absent: a file in `home`. */
  secret: string | undefined;
  /** VIADUCT_ADMIN_KEY. */
  adminKey: string | undefined;
  rotationOverlapMs: number;
  /** The server listens on loopback only. */
  loopback: boolean;
  limits: SharedLimits;
  prices: Record<string, PriceOverride>;
  machine: Machine;
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
  /** Everything accounted is in the database, or in its file. Does not close `db`. */
  close(): Promise<void>;
};

/** Resolves when what a killed program left is in the ledger and all keys are in memory. */
export async function createBoundary(options: BoundaryOptions): Promise<Boundary> {
  const { db, home, now, warn } = options;
  const secret = serverSecret(home, options.secret);
  const adminSecrets = [adminToken(home), ...(options.adminKey ? [options.adminKey] : [])];
  const ledger = await openLedger(db, join(home, 'ledger'), (error) =>
    warn({ error }, 'The ledger cannot be written; entries are kept until it can.'),
  );
  const directory = await createDirectory(db, (error) => warn({ error }, 'Keys could not be read again.'));
  const prices = createPrices({ overrides: options.prices, machine: options.machine, now });
  const counters = await createCounters(options, ledger);
  const contents = createContentKeeper(contentStore(db), now, (error) =>
    warn({ error }, 'A prompt could not be kept.'),
  );
  return {
    authenticate: createAuthenticate({
      directory,
      serverSecret: secret,
      adminSecrets,
      mode: options.authMode,
      loopback: options.loopback,
      now,
    }),
    admit: createAdmit({ directory, counters, limits: options.limits, now }),
    account: createAccount({ ledger, directory, counters }),
    prices,
    keep: contents.keep,
    directory,
    administration: createAdministration({
      db,
      directory,
      serverSecret: secret,
      rotationOverlapMs: options.rotationOverlapMs,
      now,
    }),
    counters,
    ledger,
    serverSecret: secret,
    adminSecrets,
    async close() {
      directory.close();
      await contents.close();
      await ledger.close();
      await counters.close();
    },
  };
}

async function createCounters({ db, redis, now, warn }: BoundaryOptions, ledger: Ledger): Promise<Counters> {
  const { spent } = ledgerStore(db);
  const alert = createBudgetAlerts({ warn, now });
  const inMemory = () =>
    memoryCounters({
      now,
      load: (budget, from, set) =>
        ledger.readExactly(
          () => spent(budget.scope, budget.scopeId, from),
          (sum, since) => set(since.reduce((total, row) => total + costFor(budget, from, row), sum)),
        ),
      exhausted: alert,
    });
  if (redis === undefined) return inMemory();
  // Most servers are alone and need no client for Redis.
  const { redisCounters } = await import('./counters-redis.ts');
  return redisCounters({
    url: redis,
    now,
    substitute: inMemory,
    load: async (budget, from) => {
      await ledger.flush();
      return spent(budget.scope, budget.scopeId, from);
    },
    exhausted: alert,
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
