/** What a public name means, and the places that it leads to. */
import type { ModelSettings } from '../../config/models.ts';
import type { Provider } from '../../core/provider.ts';
import type { Health } from '../breaker.ts';
import { hostedContext } from '../catalog.ts';
import type { PricedTarget } from '../contract.ts';

/** One place a request may be sent. */
export type Target = {
  /** `openai/gpt-5`. */
  name: string;
  provider: Provider;
  /** The provider's own name of the model. */
  model: string;
  weight: number;
  tags: string[];
  priced: PricedTarget;
  health: Health;
  /** The provider refused our key: until then (milliseconds since 1970) its targets come last. Shared by all of them. */
  account: { restUntil: number };
};

/** `targets` in the order of the configuration. */
export type Route = {
  settings: ModelSettings;
  targets: Target[];
  canary?: Target;
  shadow?: Target;
};

/** Tokens that `target` takes; undefined when unknown. */
export const contextOf = ({ provider, model }: Target): number | undefined =>
  provider.describe?.(model)?.contextLength ?? hostedContext(provider.kind, model);
