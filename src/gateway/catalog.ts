/** Names of hosted models: whose they are, and which kind of provider would serve them. */
import { priceList } from '../lib/price-list.ts';

/** Kind of provider → its name in the price list of https://github.com/pydantic/genai-prices. */
const listNames: Record<string, string> = {
  openai: 'openai',
  azure: 'azure',
  anthropic: 'anthropic',
  gemini: 'google',
  vertex: 'google',
  bedrock: 'aws',
  deepseek: 'deepseek',
  kimi: 'moonshotai',
  grok: 'x-ai',
  mistral: 'mistral',
  groq: 'groq',
  openrouter: 'openrouter',
};

/** Owner in the price list → what people call it, the kind that serves it first-hand, and where its key usually lies. */
const owners: Record<string, { label: string; kind: string; variable: string }> = {
  openai: { label: 'an OpenAI', kind: 'openai', variable: 'OPENAI_API_KEY' },
  anthropic: { label: 'an Anthropic', kind: 'anthropic', variable: 'ANTHROPIC_API_KEY' },
  google: { label: 'a Google', kind: 'gemini', variable: 'GEMINI_API_KEY' },
  deepseek: { label: 'a DeepSeek', kind: 'deepseek', variable: 'DEEPSEEK_API_KEY' },
  moonshotai: { label: 'a Moonshot', kind: 'kimi', variable: 'MOONSHOT_API_KEY' },
  'x-ai': { label: 'an xAI', kind: 'grok', variable: 'XAI_API_KEY' },
  mistral: { label: 'a Mistral', kind: 'mistral', variable: 'MISTRAL_API_KEY' },
};

export type HostedName = { label: string; kind: string; variable: string };

/** Name of the price list for a kind; undefined when it has none. */
export const priceListName = (kind: string): string | undefined => listNames[kind];

/**
 * Whose model a bare name is; undefined for names that no hosted provider is known for. A tag (`qwen3:8b`) is a local name, and so are
 * open-weight families, which many providers host and none owns.
 */
export function hostedName(model: string): HostedName | undefined {
  if (model.includes(':') || model.includes('/')) return undefined;
  const found = memory.get(model);
  if (found !== undefined) return found ?? undefined;
  const owner = owners[priceList().findProvider({ modelId: model.toLowerCase() })?.id ?? ''];
  if (memory.size > 1000) memory.clear();
  memory.set(model, owner ?? null);
  return owner;
}

const memory = new Map<string, HostedName | null>();

/** Tokens a hosted model takes; undefined when unknown. */
export function hostedContext(kind: string, model: string): number | undefined {
  const key = `${kind}/${model}`;
  const found = contexts.get(key);
  if (found !== undefined) return found ?? undefined;
  const list = listNames[kind];
  const known = list === undefined ? [] : (priceList().findProvider({ providerId: list })?.models ?? []);
  const entry = known.find(({ id }) => id === model);
  if (contexts.size > 1000) contexts.clear();
  contexts.set(key, entry?.context_window ?? null);
  return entry?.context_window;
}

const contexts = new Map<string, number | null>();
