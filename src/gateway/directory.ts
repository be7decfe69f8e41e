/**
 * Keys, teams and budgets in memory, so that no request waits for the database. A change made here is seen at once, one that
 * another instance made within `pollMs`.
 */
import ipaddr from 'ipaddr.js';
import { type Budget, budgetStore } from '../store/budgets.ts';
import { type HashedKey, keyStore } from '../store/keys.ts';
import { dayMs } from '../store/ledger-tables.ts';
import type { Store } from '../store/open.ts';
import type { Limits } from '../store/policy.ts';
import { currentRevision } from '../store/revision.ts';
import { type Team, teamStore } from '../store/teams.ts';
import type { Identity } from './contract.ts';
import { intersect } from './patterns.ts';

const pollMs = 1000;
/** Enough of a hash to find its key; the whole is then compared in constant time. */
const indexLength = 16;

export type AddressRange = [ipaddr.IPv4 | ipaddr.IPv6, number];

/** A key with all that follows from it and its team. */
export type Subject = {
  key: HashedKey;
  identity: Identity;
  endpoints: string[] | undefined;
  ranges: AddressRange[] | undefined;
  limits: { key: Limits | undefined; team: Limits | undefined };
  teamName: string | undefined;
};

export type Directory = {
  /** A key whose current or former secret may have this hash. */
  candidate(hash: string): HashedKey | undefined;
  subject(keyId: string): Subject | undefined;
  /** Budgets that a request of this key counts against. */
  budgets(keyId: string, teamId: string): readonly Budget[];
  allBudgets(): readonly Budget[];
  /** True once any key was ever made: revoking the last one must not open the server. */
  hasKeys(): boolean;
  /** Grows when anything changed: what caches compare. */
  version(): number;
  /** Read what changed since the last time. */
  refresh(): Promise<void>;
  close(): void;
};

/** Reads everything once before it resolves. `failed` hears when a later look at the database fails. */
export async function createDirectory(db: Store, failed: (error: unknown) => void): Promise<Directory> {
  const stores = { keys: keyStore(db), teams: teamStore(db), budgets: budgetStore(db) };
  const keys = new Map<string, HashedKey>();
  const byHash = new Map<string, HashedKey>();
  const subjects = new Map<string, Subject>();
  const budgetLists = new Map<string, readonly Budget[]>();
  let teams = new Map<string, Team>();
  let budgets: readonly Budget[] = [];
  let revision = -1;
  let version = 0;
  let running: Promise<void> | undefined;

  const index = (key: HashedKey) => {
    const old = keys.get(key.id);
    for (const hash of [old?.hash, old?.oldHash]) if (hash) byHash.delete(hash.slice(0, indexLength));
    keys.set(key.id, key);
    for (const hash of [key.hash, key.oldHash]) if (hash) byHash.set(hash.slice(0, indexLength), key);
  };

  const read = async () => {
    // The revision first: what changes while we read is read again next time.
    const current = await currentRevision(db);
    if (current === revision) return;
    const [changed, allTeams, allBudgets] = await Promise.all([
      stores.keys.changedSince(revision),
      stores.teams.list(),
      stores.budgets.list(),
    ]);
    for (const key of changed) index(key);
    teams = new Map(allTeams.map((team) => [team.id, team]));
    budgets = allBudgets;
    subjects.clear();
    budgetLists.clear();
    revision = current;
    version++;
  };

  const refresh = async () => {
    // One after another: a caller that just changed something must not be served by a look that began before.
    while (running) await running.catch(() => {});
    running = read().finally(() => {
      running = undefined;
    });
    await running;
  };

  await refresh();
  const timer = setInterval(() => {
    if (!running) refresh().catch(failed);
  }, pollMs);
  timer.unref();

  return {
    candidate: (hash) => byHash.get(hash.slice(0, indexLength)),
    subject(keyId) {
      const known = subjects.get(keyId);
      if (known) return known;
      const key = keys.get(keyId);
      if (!key) return undefined;
      const subject = describe(key, key.teamId === null ? undefined : teams.get(key.teamId));
      subjects.set(keyId, subject);
      return subject;
    },
    budgets(keyId, teamId) {
      let list = budgetLists.get(keyId);
      if (!list) {
        list = budgets.filter(
          ({ scope, scopeId }) =>
            scope === 'total' || (scope === 'key' && scopeId === keyId) || (scope === 'team' && scopeId === teamId),
        );
        budgetLists.set(keyId, list);
      }
      return list;
    },
    allBudgets: () => budgets,
    hasKeys: () => keys.size > 0,
    version: () => version,
    refresh,
    close: () => clearInterval(timer),
  };
}

function describe(key: HashedKey, team: Team | undefined): Subject {
  const { policy } = key;
  const models = intersect(policy.models, team?.policy.models);
  const providers = intersect(policy.providers, team?.policy.providers);
  const days = policy.contentDays ?? team?.policy.contentDays;
  const identity: Identity = {
    owner: key.teamId ?? key.id,
    admin: key.role === 'admin',
    keyId: key.id,
    ...(key.teamId !== null && { teamId: key.teamId }),
    ...(models && { models }),
    ...(providers && { providers }),
    ...((policy.privacy ?? team?.policy.privacy) && { privacy: 'local' as const }),
    ...(key.tags.length > 0 && { tags: key.tags }),
    ...(days !== undefined && { keepContentFor: days * dayMs }),
  };
  return {
    key,
    identity,
    endpoints: intersect(policy.endpoints, team?.policy.endpoints),
    ranges: (policy.ipRanges ?? team?.policy.ipRanges)?.map(parseRange),
    limits: { key: policy.limits, team: team?.policy.limits },
    teamName: team?.name,
  };
}

/** `10.0.0.0/8`, or one address. Throws what is not a range. */
export function parseRange(text: string): AddressRange {
  if (!text.includes('/')) {
    const address = ipaddr.process(text);
    return [address, address.kind() === 'ipv4' ? 32 : 128];
  }
  const [address, bits] = ipaddr.parseCIDR(text);
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && bits >= 96)
    return [address.toIPv4Address(), bits - 96];
  return [address, bits];
}

/** IPv4 inside IPv6 (`::ffff:10.0.0.1`) counts as IPv4. */
export function inRanges(address: string, ranges: AddressRange[]): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return ranges.some(([network, bits]) => parsed.kind() === network.kind() && parsed.match([network, bits] as never));
}
