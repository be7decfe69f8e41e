/** OpenRouter's routing wishes: `models` and `provider` of a request's body. */
import { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { cheaper } from './cost.ts';
import { sortedBy, sortTargets, type Weighing } from './strategy.ts';
import type { Target } from './target.ts';

/** OpenRouter's `provider` object. Source: https://openrouter.ai/docs/features/provider-routing */
export type Preferences = {
  order?: string[];
  only?: string[];
  ignore?: string[];
  sort?: 'price' | 'throughput' | 'latency';
  maxPrice?: { input?: number; output?: number };
  allowFallbacks?: boolean;
};

/** OpenRouter's fields of a body: `models` (names to try after `model`) and `provider`. */
export function preferencesOf(body: JsonObject): { models: string[]; preferences: Preferences | undefined } {
  const { models, provider } = body;
  return {
    models: Array.isArray(models) ? models.filter((name) => typeof name === 'string') : [],
    preferences: isObject(provider) ? readPreferences(provider) : undefined,
  };
}

const isObject = (value: unknown): value is JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

function readPreferences(fields: JsonObject): Preferences {
  const names = (value: unknown) =>
    Array.isArray(value)
      ? value.filter((name) => typeof name === 'string').map((name) => name.toLowerCase())
      : undefined;
  const price = (value: unknown) => (value === undefined ? undefined : Number(value));
  const { order, only, ignore, max_price, allow_fallbacks } = fields;
  const sort = isObject(fields['sort']) ? fields['sort']['by'] : fields['sort'];
  const maxPrice = isObject(max_price)
    ? { input: price(max_price['prompt']), output: price(max_price['completion']) }
    : undefined;
  return {
    ...(names(order) && { order: names(order) }),
    ...(names(only) && { only: names(only) }),
    ...(names(ignore) && { ignore: names(ignore) }),
    ...((sort === 'price' || sort === 'throughput' || sort === 'latency') && { sort }),
    ...(maxPrice && { maxPrice }),
    ...(allow_fallbacks === false && { allowFallbacks: false }),
  } as Preferences;
}

/** OpenRouter's wishes. A target that is OpenRouter itself gets them with the request and stays. */
export function prefer(
  targets: Target[],
  { order, only, ignore, sort, maxPrice, allowFallbacks }: Preferences,
  model: string,
  weighing: Weighing,
): Target[] {
  const named = (target: Target, names: string[]) => names.some((name) => isCalled(target, name));
  let left = targets.filter(
    (target) =>
      target.provider.kind === 'openrouter' || ((!only || named(target, only)) && !(ignore && named(target, ignore))),
  );
  if (left.length === 0)
    throw new ViaductError(
      'model_not_found',
      `No provider of "${model}" is left by provider.only and provider.ignore.`,
      { param: only ? 'provider.only' : 'provider.ignore' },
    );
  if (maxPrice) left = cheaper(left, maxPrice, model, weighing.prices);
  if (sort === 'price') left = sortTargets(left, 'cost', weighing);
  if (sort === 'latency' || sort === 'throughput') left = sortTargets(left, 'latency', weighing);
  if (order) {
    const place = (target: Target) => {
      const index = order.findIndex((name) => isCalled(target, name));
      return index === -1 ? order.length : index;
    };
    left = sortedBy(left, place);
    if (allowFallbacks === false) left = left.filter((target) => place(target) < order.length);
    if (left.length === 0)
      throw new ViaductError('model_not_found', `No provider of provider.order serves "${model}".`, {
        param: 'provider.order',
      });
  } else if (allowFallbacks === false) left = left.slice(0, 1);
  return left;
}

/** OpenRouter's words for kinds of ours. Source: https://openrouter.ai/docs/features/provider-routing */
const openRouterNames: Record<string, string> = {
  'google-vertex': 'vertex',
  'google-ai-studio': 'gemini',
  'amazon-bedrock': 'bedrock',
  xai: 'grok',
  'x-ai': 'grok',
  moonshotai: 'kimi',
  alibaba: 'qwen',
};

/** By its name here, its kind, or OpenRouter's word for that, which may go on with a region: `google-vertex/us-east5`. */
function isCalled({ provider }: Target, name: string): boolean {
  const [word = ''] = name.split('/', 1);
  return name === provider.name.toLowerCase() || word === provider.kind || openRouterNames[word] === provider.kind;
}
