/**
 * Models of clouds whose own lists are of no use here: Amazon's and Google's name what exists somewhere, at other
 * addresses and with other rights than what answers. The public price list names what is sold.
 */
import type { ModelInfo } from '../core/provider.ts';
import { priceList } from '../lib/price-list.ts';

/**
 * `list`: name of the cloud in the price list; `nameOf`: its name of a model → the cloud's own, undefined for what is
 * not to be had.
 */
function listedModels(list: string, nameOf: (id: string) => string | undefined): ModelInfo[] {
  return (priceList().findProvider({ providerId: list })?.models ?? []).flatMap((model) => {
    const id = model.deprecated ? undefined : nameOf(model.id);
    if (id === undefined) return [];
    return [{ id, ...(model.context_window !== undefined && { contextLength: model.context_window }) }];
  });
}

/**
 * Amazon's names of models in `region`: those that only an inference profile serves begin with that of their part of
 * the world.
 */
export function bedrockModels(region: string): ModelInfo[] {
  const world = { us: 'us', eu: 'eu', ap: 'apac', ca: 'us' }[region.slice(0, 2)];
  return listedModels('aws', (id) => {
    if (!id.startsWith('regional.')) return id;
    return world === undefined || region.startsWith('us-gov') ? undefined : id.replace('regional', world);
  });
}

/** Google's and Anthropic's models on Google Cloud; the list has old ones under names that nothing answers to. */
export const vertexModels = (): ModelInfo[] =>
  listedModels('google', (id) => (/^claude-[34]-|^gemini-(1|pro|flash-1)|^gemma-3n?$/.test(id) ? undefined : id));
