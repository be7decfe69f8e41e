/** Every name a caller may use: configured routes, local tags, and what hosted providers list themselves. */
import type { ModelSettings } from '../config/models.ts';
import type { ModelInfo, Provider } from '../core/provider.ts';
import type { Identity, ModelEntry } from './contract.ts';
import { allowed } from './patterns.ts';

const keptMs = 300_000;
const patienceMs = 3_000;

/** Lists of providers, so that listing models costs no round trip each time. */
const lists = new WeakMap<Provider, { at: number; models: Promise<ModelInfo[]> }>();

function listOf(provider: Provider): Promise<ModelInfo[]> {
  const known = lists.get(provider);
  if (known && Date.now() - known.at < keptMs) return known.models;
  // A provider that does not answer is left out and asked again next time.
  const models = (provider.models?.(AbortSignal.timeout(patienceMs)) ?? Promise.resolve([])).catch(() => {
    lists.delete(provider);
    return [];
  });
  lists.set(provider, { at: Date.now(), models });
  return models;
}

/** Configured names first, then local tags as they are, then hosted models as PROVIDER/MODEL. Never throws: a silent provider is left out. */
export async function listModels(
  providers: Map<string, Provider>,
  models: Record<string, ModelSettings>,
  identity: Identity,
  signal: AbortSignal,
): Promise<ModelEntry[]> {
  const entries: ModelEntry[] = Object.entries(models).map(([id, { targets }]) => routeEntry(id, targets, providers));
  const all = [...providers.values()].filter(({ name }) => identity.providers?.includes(name) ?? true);
  const found = await Promise.all(
    all.map(async (provider) =>
      provider.kind === 'local'
        ? { provider, infos: (await provider.models?.(signal)) ?? [] }
        : { provider, infos: identity.privacy ? [] : await listOf(provider) },
    ),
  );
  for (const { provider, infos } of found)
    for (const info of infos)
      entries.push({
        ...info,
        id: provider.kind === 'local' ? info.id : `${provider.name}/${info.id}`,
        provider: provider.name,
      });
  const seen = new Set<string>();
  return entries.filter(({ id }) => allowed(identity.models, id) && !seen.has(id) && seen.add(id));
}

function routeEntry(id: string, targets: ModelSettings['targets'], providers: Map<string, Provider>): ModelEntry {
  const [first] = targets;
  const slash = first?.to.indexOf('/') ?? 0;
  const name = first?.to.slice(0, slash) ?? '';
  const info = providers.get(name)?.describe?.(first?.to.slice(slash + 1) ?? '');
  return { ...info, id, ownedBy: 'viaduct', provider: name };
}
