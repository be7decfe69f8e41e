/** Limits and budgets: a request takes its place in all of them, or hears which one is full and until when. */
import { ViaductError } from '../core/errors.ts';
import type { Usage } from '../core/usage.ts';
import type { Limits } from '../store/policy.ts';
import { windowAt } from './budget-window.ts';
import type { Admission, Admit, Estimate, Identity } from './contract.ts';
import type { Counters, Hold, Meter, Outcome, Refusal, Take } from './counters.ts';
import type { Directory, Subject } from './directory.ts';
import { limitHeaders } from './limit-headers.ts';

/** Limits of the configuration: all clients together, by public model name and by provider name. */
export type SharedLimits = { models?: Record<string, Limits>; providers?: Record<string, Limits> };

export type AdmitDeps = {
  directory: Directory;
  counters: Counters;
  limits: SharedLimits;
  /** Given where it must outlive a change of the limits. */
  costs?: CostMemory;
  now: () => number;
};

/** Nano-dollars in a dollar. */
export const nano = 1e9;

/** How many requests a budget lets run at once for a model whose real cost is not known yet. */
const unknownModelShare = 4;

/**
 * Reserve at admission, settle at the end. What a request holds back in a budget is the estimate, or what the dearest recent
 * request to the model cost if that was more; until the first request to a model has ended, a quarter of the budget.
 * So the known overshoot is one request per budget whose price has just risen, not a race.
 * Throws rate_limit_exceeded and insufficient_quota.
 */
export function createAdmit({ directory, counters, limits, costs = createCostMemory(), now }: AdmitDeps): Admit {
  const plans = planCache(directory, counters, limits);
  const providerTakes = new Map(
    Object.entries(limits.providers ?? {}).map(([provider, own]) => [
      provider,
      counters.prepare(limitMeters(own, `provider:${provider}`, `provider "${provider}"`)),
    ]),
  );

  return (identity, estimate) => {
    const plan = plans(identity, estimate.model);
    if (!plan && providerTakes.size === 0) return free;
    const tokens = estimate.inputTokens + estimate.outputTokens;
    const parts = { providerTakes, costs, tokens };
    if (!plan) return new Reserved(undefined, estimate.model, parts);
    const outcome = plan.take({ tokens, nano: costs.expect(estimate, plan.smallestBudget) });
    const finish = (ended: Outcome) => {
      if ('refusal' in ended) throw refused(ended.refusal, now());
      return new Reserved(ended.hold, estimate.model, parts);
    };
    return outcome instanceof Promise ? outcome.then(finish) : finish(outcome);
  };
}

/** For requests that nothing bounds. */
const free: Admission = { headers: {}, settle() {}, release() {} };

type Parts = { providerTakes: Map<string, Take>; costs: CostMemory; tokens: number };

/** A class, because one is made for every request: its methods are shared, closures would be made anew. */
class Reserved implements Admission {
  readonly headers: Record<string, string>;
  readonly #hold: Hold | undefined;
  readonly #model: string;
  readonly #parts: Parts;
  #atProvider: Hold | undefined = undefined;

  constructor(hold: Hold | undefined, model: string, parts: Parts) {
    this.headers = hold ? limitHeaders(hold.readings) : {};
    this.#hold = hold;
    this.#model = model;
    this.#parts = parts;
  }

  enterProvider(provider: string): Promise<void> | undefined {
    // The attempt before this one failed there.
    this.#leaveProvider(0);
    const { providerTakes, tokens } = this.#parts;
    const outcome = providerTakes.get(provider)?.({ tokens, nano: 0 });
    if (outcome instanceof Promise) return outcome.then((ended) => this.#entered(ended));
    if (outcome) this.#entered(outcome);
    return undefined;
  }

  settle(usage: Usage, cost: number | undefined): void {
    const used = usage.input + usage.output;
    this.#parts.costs.learn(this.#model, cost);
    this.#hold?.settle(used);
    this.#leaveProvider(used);
  }

  release(): void {
    this.#hold?.release();
    this.#leaveProvider(0);
  }

  #entered(outcome: Outcome): void {
    if ('hold' in outcome) {
      this.#atProvider = outcome.hold;
      return;
    }
    const { meter, retryAfterMs = 1000 } = outcome.refusal;
    throw new ViaductError('provider_rate_limited', `${meter.label} is at its limit here.`, {
      retryAfter: retryAfterMs / 1000,
    });
  }

  #leaveProvider(used: number): void {
    this.#atProvider?.settle(used);
    this.#atProvider = undefined;
  }
}

type Plan = { take: Take /** Amount of the smallest hard budget, nano-dollars. */; smallestBudget: number };

/** Which meters a request passes, worked out once per key and limited model; undefined when there are none. */
function planCache(directory: Directory, counters: Counters, shared: SharedLimits) {
  const plans = new Map<string, Plan | undefined>();
  let version = -1;

  const build = (keyId: string, teamId: string, model: string | undefined): Plan | undefined => {
    const subject = keyId ? directory.subject(keyId) : undefined;
    const meters = [
      ...(subject ? subjectMeters(subject) : []),
      ...(model !== undefined ? limitMeters(shared.models?.[model], `model:${model}`, `model "${model}"`) : []),
    ];
    let smallestBudget = Number.POSITIVE_INFINITY;
    for (const budget of directory.budgets(keyId, teamId)) {
      if (budget.soft) continue;
      const name = { key: subject?.key.name, team: subject?.teamName, total: undefined }[budget.scope];
      const label = budget.scope === 'total' ? 'everybody together' : `${budget.scope} "${name ?? budget.scopeId}"`;
      meters.push({ kind: 'budget', id: `budget:${budget.id}`, label, budget });
      smallestBudget = Math.min(smallestBudget, budget.amountNano);
    }
    return meters.length > 0 ? { take: counters.prepare(meters), smallestBudget } : undefined;
  };

  return ({ keyId = '', teamId = '' }: Identity, model: string): Plan | undefined => {
    if (version !== directory.version()) {
      plans.clear();
      version = directory.version();
    }
    const limitedModel = shared.models?.[model] ? model : undefined;
    const name = limitedModel === undefined ? keyId : `${keyId} ${limitedModel}`;
    if (plans.has(name)) return plans.get(name);
    const plan = build(keyId, teamId, limitedModel);
    plans.set(name, plan);
    return plan;
  };
}

const subjectMeters = ({ key, limits, teamName }: Subject): Meter[] => [
  ...limitMeters(limits.key, `key:${key.id}`, `key "${key.name}"`),
  ...limitMeters(limits.team, `team:${key.teamId}`, `team "${teamName}"`),
];

function limitMeters(limits: Limits | undefined, id: string, label: string): Meter[] {
  const meters: Meter[] = [];
  if (limits?.rpm !== undefined) meters.push({ kind: 'requests', id: `${id}:rpm`, label, perMinute: limits.rpm });
  if (limits?.tpm !== undefined) meters.push({ kind: 'tokens', id: `${id}:tpm`, label, perMinute: limits.tpm });
  if (limits?.concurrent !== undefined)
    meters.push({ kind: 'concurrent', id: `${id}:concurrent`, label, limit: limits.concurrent });
  return meters;
}

export type CostMemory = {
  /** Nano-dollars to hold back. */
  expect(estimate: Estimate, smallestBudget: number): number;
  /** A request ended and cost so much, USD. */
  learn(model: string, cost: number | undefined): void;
};

/** Names are the client's (`openai/…`): only so many are remembered. */
const maxModels = 1000;

/** What requests to a model really cost of late: estimates are guesses where the client names no bound. */
export function createCostMemory(): CostMemory {
  const dearest = new Map<string, number>();
  return {
    expect({ model, cost }, smallestBudget) {
      const known = dearest.get(model);
      const guess = (cost ?? 0) * nano;
      if (known !== undefined) return Math.ceil(Math.max(guess, known));
      if (!Number.isFinite(smallestBudget)) return Math.ceil(guess);
      return Math.ceil(Math.max(guess, smallestBudget / unknownModelShare));
    },
    learn(model, cost) {
      const spent = (cost ?? 0) * nano;
      const known = dearest.get(model);
      if (known === undefined && dearest.size >= maxModels) dearest.clear();
      dearest.set(model, known === undefined ? spent : Math.max(spent, known * 0.95 + spent * 0.05));
    },
  };
}

function refused({ meter, readings, retryAfterMs }: Refusal, time: number): ViaductError {
  const headers = limitHeaders(readings);
  if (meter.kind === 'budget') return overBudget(meter, headers, time);
  const what = {
    requests: (limit: number) => `${limit} requests per minute`,
    tokens: (limit: number) => `${limit} tokens per minute`,
    concurrent: (limit: number) => `${limit} requests at the same time`,
  }[meter.kind](meter.kind === 'concurrent' ? meter.limit : meter.perMinute);
  const seconds = retryAfterMs === undefined ? undefined : Math.max(retryAfterMs, 1) / 1000;
  const when = seconds === undefined ? '' : ` Try again in ${Math.ceil(seconds)} s.`;
  return new ViaductError('rate_limit_exceeded', `The limit of ${meter.label} is reached: ${what}.${when}`, {
    retryAfter: seconds,
    headers: {
      ...headers,
      ...(retryAfterMs !== undefined && { 'retry-after-ms': String(Math.max(1, Math.ceil(retryAfterMs))) }),
    },
  });
}

/** Clients must not retry by themselves: no Retry-After, the reset is in the text. */
function overBudget(meter: Extract<Meter, { kind: 'budget' }>, headers: Record<string, string>, time: number) {
  const { budget, label } = meter;
  const { end } = windowAt(budget.period, time);
  const period = { day: 'daily ', week: 'weekly ', month: 'monthly ', forever: '' }[budget.period];
  const reset = Number.isFinite(end)
    ? `It begins anew at ${new Date(end).toISOString()}.`
    : 'It does not begin anew: an administrator can raise it.';
  return new ViaductError(
    'insufficient_quota',
    `The ${period}budget of ${label} (${budget.amountNano / nano} USD) is used up. ${reset}`,
    { headers },
  );
}
