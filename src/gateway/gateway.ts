/**
 * What happens to every inference request, in order. Read this file first, then caller.ts.
 *
 *   authenticate → admit (limits, budget) → route → attempt (retry, fallback, breaker, overflow) → account
 *
 * Authenticate, admit, account and prices come from outside (GatewayDeps); contract.ts says what they promise.
 */
import type { Health } from './breaker.ts';
import { EnteredCaller, type Setup } from './caller.ts';
import type { Gateway, GatewayDeps, Identity } from './contract.ts';
import { createRouter } from './route.ts';

export type * from './contract.ts';

export function createGateway(deps: GatewayDeps): Gateway {
  /** By target; what was learned outlives a change of the configuration. */
  const health = new Map<string, Health>();
  const setUp = (deps: GatewayDeps): Setup => {
    const { providers, models = {}, prices, random = Math.random } = deps;
    return { deps, providers, models, router: createRouter({ providers, models, prices, random, health }) };
  };
  let setup = setUp(deps);

  return {
    async enter(credentials) {
      const enteredAt = performance.now();
      const entering = deps.authenticate?.(credentials) ?? everybody;
      const identity = entering instanceof Promise ? await entering : entering;
      return new EnteredCaller(setup, credentials, identity, enteredAt);
    },

    configure(changes) {
      setup = setUp({ ...setup.deps, ...changes });
    },

    health() {
      return [...setup.router.targets()].map((target) => {
        const { busy, firstTokenMs, open, rank } = target.health;
        const state = !open ? 'closed' : rank(Date.now()) === 1 ? 'open' : 'half-open';
        return { target: target.name, state, busy, ...(firstTokenMs !== undefined && { firstTokenMs }) };
      });
    },
  };
}

const everybody: Identity = { owner: 'local', admin: true };
