/** Every change of keys, teams and budgets: checked, written, and seen by this instance before the call returns. */
import type { KeyObject } from 'node:crypto';
import { ViaductError } from '../core/errors.ts';
import { type Budget, type BudgetPeriod, type BudgetScope, budgetStore } from '../store/budgets.ts';
import { type Key, keyStore } from '../store/keys.ts';
import type { Store } from '../store/open.ts';
import type { Policy, Role } from '../store/policy.ts';
import { type Team, teamStore } from '../store/teams.ts';
import { nano } from './admit.ts';
import { type Directory, parseRange } from './directory.ts';
import { createId, createSecret, hashSecret } from './secrets.ts';

export type NewKeyOptions = {
  name: string;
  role?: Role;
  teamId?: string;
  policy?: Policy;
  tags?: string[];
  metadata?: Record<string, string>;
  /** Milliseconds since 1970. */
  expiresAt?: number;
  createdBy: string;
};
export type KeyChanges = Partial<
  Pick<Key, 'name' | 'role' | 'policy' | 'tags' | 'metadata' | 'expiresAt' | 'disabled'>
>;
/** The secret is shown this once. */
export type CreatedKey = { key: Key; secret: string };

export type NewBudgetOptions = {
  scope: BudgetScope;
  scopeId?: string;
  period: BudgetPeriod;
  /** USD. */
  amount: number;
  soft?: boolean;
  webhook?: string;
};

export type Administration = ReturnType<typeof createAdministration>;

export type AdministrationDeps = {
  db: Store;
  directory: Directory;
  serverSecret: KeyObject;
  /** How long a rotated key's former secret stays good, ms; asked each time, as the configuration may change it. */
  rotationOverlapMs: () => number;
  now: () => number;
};

export function createAdministration({ db, directory, serverSecret, rotationOverlapMs, now }: AdministrationDeps) {
  const keys = keyStore(db);
  const teams = teamStore(db);
  const budgets = budgetStore(db);

  const keyOrThrow = async (id: string): Promise<Key> => {
    const key = await keys.get(id);
    if (!key) throw new ViaductError('not_found', `There is no key ${id}.`, { param: 'id' });
    return key;
  };
  const teamOrThrow = async (id: string): Promise<Team> => {
    const team = (await teams.get(id)) ?? (await teams.findByName(id));
    if (!team) throw new ViaductError('not_found', `There is no team ${id}.`, { param: 'team' });
    return team;
  };
  const budgetOrThrow = async (id: string): Promise<Budget> => {
    const budget = await budgets.get(id);
    if (!budget) throw new ViaductError('not_found', `There is no budget ${id}.`, { param: 'id' });
    return budget;
  };

  return {
    keys: {
      list: keys.list,
      get: keyOrThrow,
      /** Neither revoked nor disabled. */
      count: keys.count,

      async create(options: NewKeyOptions): Promise<CreatedKey> {
        checkPolicy(options.policy);
        const { secret, prefix } = createSecret();
        const id = createId('key');
        await keys.insert({
          id,
          name: options.name,
          prefix,
          hash: hashSecret(serverSecret, secret),
          role: options.role ?? 'member',
          teamId: options.teamId === undefined ? null : (await teamOrThrow(options.teamId)).id,
          policy: options.policy ?? {},
          tags: options.tags ?? [],
          metadata: options.metadata ?? {},
          createdBy: options.createdBy,
          createdAt: now(),
          expiresAt: options.expiresAt ?? null,
        });
        await directory.refresh();
        return { key: await keyOrThrow(id), secret };
      },

      async update(id: string, change: KeyChanges): Promise<Key> {
        checkPolicy(change.policy);
        await keyOrThrow(id);
        await keys.update(id, change);
        await directory.refresh();
        return keyOrThrow(id);
      },

      /** A new secret; the former one stays good for `overlapMs`. */
      async rotate(id: string, overlapMs = rotationOverlapMs()): Promise<CreatedKey> {
        await keyOrThrow(id);
        const { secret, prefix } = createSecret();
        const former = await keys.hashOf(id);
        await keys.update(id, {
          hash: hashSecret(serverSecret, secret),
          prefix,
          oldHash: former ?? null,
          oldHashUntil: now() + overlapMs,
        });
        await directory.refresh();
        return { key: await keyOrThrow(id), secret };
      },

      /** For good. What it used stays in the ledger under its name. */
      async revoke(id: string): Promise<Key> {
        const key = await keyOrThrow(id);
        if (key.revokedAt === null) await keys.update(id, { revokedAt: now() });
        await directory.refresh();
        return keyOrThrow(id);
      },
    },

    teams: {
      list: teams.list,
      get: teamOrThrow,
      members: teams.members,
      setMember: teams.setMember,
      membershipsOf: teams.membershipsOf,

      async removeMember(teamId: string, email: string): Promise<void> {
        if (!(await teams.removeMember(teamId, email)))
          throw new ViaductError('not_found', `${email} is not in this team.`, { param: 'email' });
      },

      async create({ name, policy = {} }: { name: string; policy?: Policy }): Promise<Team> {
        checkPolicy(policy);
        if (await teams.findByName(name))
          throw new ViaductError('conflict', `There is a team "${name}" already.`, { param: 'name' });
        const id = createId('team');
        await teams.insert({ id, name, policy, createdAt: now() });
        await directory.refresh();
        return teamOrThrow(id);
      },

      async update(id: string, change: Partial<Pick<Team, 'name' | 'policy'>>): Promise<Team> {
        checkPolicy(change.policy);
        const namesake = change.name === undefined ? undefined : await teams.findByName(change.name);
        if (namesake && namesake.id !== id)
          throw new ViaductError('conflict', `There is a team "${change.name}" already.`, { param: 'name' });
        if (!(await teams.update(id, change))) await teamOrThrow(id);
        await directory.refresh();
        return teamOrThrow(id);
      },

      async remove(id: string): Promise<void> {
        const outcome = await teams.remove(id);
        if (outcome === 'unknown') await teamOrThrow(id);
        if (outcome === 'has keys')
          throw new ViaductError('conflict', 'The team has keys. Revoke them first: viaduct keys revoke ID', {
            param: 'id',
          });
        await directory.refresh();
      },
    },

    budgets: {
      list: budgets.list,
      get: budgetOrThrow,

      async create(options: NewBudgetOptions): Promise<Budget> {
        const { scope, period, amount } = options;
        const scopeId = await scopeIdOf(scope, options.scopeId);
        const id = createId('budget');
        await budgets.insert({
          id,
          scope,
          scopeId,
          period,
          amountNano: Math.round(amount * nano),
          soft: options.soft ?? false,
          webhook: options.webhook ?? null,
          createdAt: now(),
        });
        await directory.refresh();
        return budgetOrThrow(id);
      },

      async update(id: string, change: { amount?: number; soft?: boolean; webhook?: string | null }): Promise<Budget> {
        const { amount, ...others } = change;
        await budgetOrThrow(id);
        await budgets.update(id, { ...others, ...(amount !== undefined && { amountNano: Math.round(amount * nano) }) });
        await directory.refresh();
        return budgetOrThrow(id);
      },

      async remove(id: string): Promise<void> {
        if (!(await budgets.remove(id))) await budgetOrThrow(id);
        await directory.refresh();
      },
    },
  };

  async function scopeIdOf(scope: BudgetScope, id: string | undefined): Promise<string> {
    if (scope === 'total') return '';
    if (id === undefined)
      throw new ViaductError('invalid_request', `Say which ${scope} the budget is for.`, { param: 'scope_id' });
    return scope === 'team' ? (await teamOrThrow(id)).id : (await keyOrThrow(id)).id;
  }
}

function checkPolicy(policy: Policy | undefined) {
  for (const range of policy?.ipRanges ?? [])
    try {
      parseRange(range);
    } catch (cause) {
      throw new ViaductError('invalid_request', `"${range}" is no address and no range such as 10.0.0.0/8.`, {
        param: 'policy.ip_ranges',
        cause,
      });
    }
}
