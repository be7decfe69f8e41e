/** What /admin takes and gives, in snake_case as the other doors have it; times are ISO 8601, money is USD. */
import { z } from 'zod';
import { ViaductError } from '../../core/errors.ts';
import { nano } from '../../gateway/admit.ts';
import { windowAt } from '../../gateway/budget-window.ts';
import type { Budget } from '../../store/budgets.ts';
import type { Key } from '../../store/keys.ts';
import type { Policy } from '../../store/policy.ts';
import type { Team } from '../../store/teams.ts';

/** A name: one line, nothing that a terminal or a database trips over. */
export const oneLine = z
  .string()
  .min(1)
  .max(200)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about
  .regex(/^[^\u0000-\u001f\u007f]*$/, 'Write one line of text');

const names = z.array(oneLine).max(1000);
const bound = z.number().int().nonnegative();

const limitsShape = z.strictObject({
  rpm: bound.optional(),
  tpm: bound.optional(),
  concurrent: bound.optional(),
});

/** Fields of a policy; null takes a bound away. */
export const policyFields = {
  models: names.nullish(),
  providers: names.nullish(),
  endpoints: names.nullish(),
  ip_ranges: names.nullish(),
  privacy: z.literal('local').nullish(),
  limits: limitsShape.nullish(),
  content_days: z.number().int().positive().max(3650).nullish(),
};

/** A moment: ISO 8601, or how long from now (`30d`, `12h`). */
export const moment = z.string().min(1).max(40);

/** USD. As nano-dollars it must stay a whole number that is exact. */
export const amountShape = z.number().nonnegative().max(9_000_000);

export const roleShape = z.enum(['admin', 'manager', 'viewer', 'member']);
export const periodShape = z.enum(['day', 'daily', 'week', 'weekly', 'month', 'monthly', 'forever']);

const periods = {
  day: 'day',
  daily: 'day',
  week: 'week',
  weekly: 'week',
  month: 'month',
  monthly: 'month',
  forever: 'forever',
} as const;
export const periodOf = (text: z.infer<typeof periodShape>) => periods[text];

/** Body or query → what `schema` says. Throws invalid_request that names the field. */
export function parsed<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const result = schema.safeParse(value ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.join('.');
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const param = [path, unknown].filter(Boolean).join('.');
  throw new ViaductError(
    'invalid_request',
    `${param ? `${param}: ` : ''}${issue?.message ?? 'The request is wrong.'}`,
    {
      param: param || undefined,
    },
  );
}

type PolicyInput = { [Name in keyof typeof policyFields]?: z.infer<(typeof policyFields)[Name]> };

/** The given fields over the policy there was. */
export function policyWith(old: Policy, input: PolicyInput): Policy {
  const policy: Policy = { ...old };
  const set = <Name extends keyof Policy>(name: Name, value: Policy[Name] | null | undefined) => {
    if (value === null) delete policy[name];
    else if (value !== undefined) policy[name] = value;
  };
  set('models', input.models);
  set('providers', input.providers);
  set('endpoints', input.endpoints);
  set('ipRanges', input.ip_ranges);
  set('privacy', input.privacy);
  set('limits', input.limits as Policy['limits'] | null | undefined);
  set('contentDays', input.content_days);
  return policy;
}

const units: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** What comes after has no ISO form of the usual length, and in the end no date at all. */
const yearTenThousand = Date.UTC(10_000, 0);

/** Text of a `moment` → milliseconds since 1970. Throws invalid_request. */
export function timeOf(text: string, param: string, now: number): number {
  const [, count, unit] = /^(\d+)([smhdw])$/.exec(text) ?? [];
  const time = unit === undefined ? Date.parse(text) : now + Number(count) * (units[unit] ?? 0);
  if (!(time >= 0 && time < yearTenThousand))
    throw new ViaductError('invalid_request', `${param} must be a time (2026-12-31T00:00:00Z) or a duration (30d).`, {
      param,
    });
  return time;
}

const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString());

const policyView = ({ models, providers, endpoints, ipRanges, privacy, limits, contentDays }: Policy) => ({
  models: models ?? null,
  providers: providers ?? null,
  endpoints: endpoints ?? null,
  ip_ranges: ipRanges ?? null,
  privacy: privacy ?? null,
  limits: limits ?? {},
  content_days: contentDays ?? null,
});

export const keyView = (key: Key, now: number) => ({
  object: 'key',
  id: key.id,
  name: key.name,
  prefix: key.prefix,
  status: statusOf(key, now),
  role: key.role,
  team: key.teamId,
  ...policyView(key.policy),
  tags: key.tags,
  metadata: key.metadata,
  created_by: key.createdBy,
  created_at: iso(key.createdAt),
  expires_at: iso(key.expiresAt),
  last_used_at: iso(key.lastUsedAt),
  revoked_at: iso(key.revokedAt),
});

function statusOf({ revokedAt, disabled, expiresAt }: Key, now: number) {
  if (revokedAt !== null) return 'revoked';
  if (disabled) return 'disabled';
  return expiresAt !== null && expiresAt <= now ? 'expired' : 'active';
}

export const teamView = ({ id, name, policy, createdAt }: Team) => ({
  object: 'team',
  id,
  name,
  ...policyView(policy),
  created_at: iso(createdAt),
});

export function budgetView(budget: Budget, spentNano: number, now: number) {
  const { end } = windowAt(budget.period, now);
  return {
    object: 'budget',
    id: budget.id,
    scope: budget.scope,
    scope_id: budget.scopeId || null,
    period: budget.period,
    amount: budget.amountNano / nano,
    spent: spentNano / nano,
    soft: budget.soft,
    webhook: budget.webhook,
    resets_at: Number.isFinite(end) ? iso(end) : null,
    created_at: iso(budget.createdAt),
  };
}
