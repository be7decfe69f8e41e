/** LiteLLM's providers as ours. Source: https://docs.litellm.ai/docs/providers */
import { defined, type Fields, fields, nonEmpty, variable } from './values.ts';

/** LiteLLM's prefix of a model → our kind of provider. */
const kinds: Record<string, string> = {
  openai: 'openai',
  text_completion_openai: 'openai',
  'text-completion-openai': 'openai',
  azure: 'azure',
  azure_text: 'azure',
  anthropic: 'anthropic',
  anthropic_text: 'anthropic',
  gemini: 'gemini',
  vertex_ai: 'vertex',
  vertex_ai_beta: 'vertex',
  bedrock: 'bedrock',
  bedrock_converse: 'bedrock',
  deepseek: 'deepseek',
  dashscope: 'qwen',
  moonshot: 'kimi',
  xai: 'grok',
  mistral: 'mistral',
  groq: 'groq',
  openrouter: 'openrouter',
  hosted_vllm: 'vllm',
  vllm: 'vllm',
  huggingface: 'tgi',
  ollama: 'ollama',
  ollama_chat: 'ollama',
  custom_openai: 'openai-compatible',
  openai_like: 'openai-compatible',
  lm_studio: 'openai-compatible',
  llamafile: 'openai-compatible',
  litellm_proxy: 'openai-compatible',
  azure_ai: 'openai-compatible',
};
/** OpenAI-shaped services that need no kind of their own: where they are, and the variable that LiteLLM reads their key from. */
const services: Record<string, { url: string; key: string }> = {
  together_ai: { url: 'https://api.together.xyz/v1', key: 'TOGETHERAI_API_KEY' },
  fireworks_ai: { url: 'https://api.fireworks.ai/inference/v1', key: 'FIREWORKS_AI_API_KEY' },
  perplexity: { url: 'https://api.perplexity.ai', key: 'PERPLEXITYAI_API_KEY' },
  cerebras: { url: 'https://api.cerebras.ai/v1', key: 'CEREBRAS_API_KEY' },
  deepinfra: { url: 'https://api.deepinfra.com/v1/openai', key: 'DEEPINFRA_API_KEY' },
  nvidia_nim: { url: 'https://integrate.api.nvidia.com/v1', key: 'NVIDIA_NIM_API_KEY' },
  sambanova: { url: 'https://api.sambanova.ai/v1', key: 'SAMBANOVA_API_KEY' },
  zai: { url: 'https://api.z.ai/api/paas/v4', key: 'ZAI_API_KEY' },
  nebius: { url: 'https://api.studio.nebius.ai/v1', key: 'NEBIUS_API_KEY' },
  novita: { url: 'https://api.novita.ai/v3/openai', key: 'NOVITA_API_KEY' },
  hyperbolic: { url: 'https://api.hyperbolic.xyz/v1', key: 'HYPERBOLIC_API_KEY' },
  vercel_ai_gateway: { url: 'https://ai-gateway.vercel.sh/v1', key: 'VERCEL_AI_GATEWAY_API_KEY' },
  cohere: { url: 'https://api.cohere.ai/compatibility/v1', key: 'COHERE_API_KEY' },
  cohere_chat: { url: 'https://api.cohere.ai/compatibility/v1', key: 'COHERE_API_KEY' },
  voyage: { url: 'https://api.voyageai.com/v1', key: 'VOYAGE_API_KEY' },
  jina_ai: { url: 'https://api.jina.ai/v1', key: 'JINA_AI_API_KEY' },
};
/** Names without a prefix. */
const families: [RegExp, string][] = [
  [/^(gpt-|o\d|chatgpt|text-embedding|dall-e|davinci|babbage)/, 'openai'],
  [/^claude/, 'anthropic'],
  [/^gemini/, 'gemini'],
];

/** The provider's kind, the model's name there and the provider's settings; undefined for a provider not known here. */
export function providerOf(
  full: string,
  params: Fields,
): { kind: string; model: string; settings: Fields } | undefined {
  const slash = full.indexOf('/');
  const base = variable(params['api_base'] ?? params['base_url']);
  const prefix = String(params['custom_llm_provider'] ?? (slash > 0 ? full.slice(0, slash) : ''));
  const known = kinds[prefix] ?? (prefix in services ? 'openai-compatible' : undefined);
  const model = known && full.startsWith(`${prefix}/`) ? full.slice(slash + 1) : full;
  const family = families.find(([pattern]) => pattern.test(full))?.[1];
  const found = known ?? family ?? (base === undefined ? undefined : 'openai-compatible');
  if (!found) return undefined;
  const isElsewhere = base !== undefined && !/api\.openai\.com/.test(String(base));
  const kind = found === 'openai' && isElsewhere ? 'openai-compatible' : found;
  const settings = defined({
    base_url: base ?? services[prefix]?.url ?? usualBase(kind, prefix),
    api_key: variable(params['api_key']) ?? usualKey(kind, prefix),
    ...Object.fromEntries(
      Object.entries(settingsByKind[kind] ?? {}).map(([ours, theirs]) => [ours, variable(params[theirs])]),
    ),
    headers: nonEmpty(
      Object.fromEntries(
        Object.entries(fields(params['extra_headers'])).map(([name, value]) => [name, variable(value)]),
      ),
    ),
  });
  if (kind === 'vertex') settings['project'] ??= variable('os.environ/VERTEXAI_PROJECT');
  return {
    kind,
    model: kind === 'azure' ? model.replace(/^responses\//, '') : model.replace(/^(responses|converse|chat)\//, ''),
    settings,
  };
}

/** Our setting → LiteLLM's, for kinds that have more than an address and a key. */
const settingsByKind: Record<string, Record<string, string>> = {
  azure: { api_version: 'api_version' },
  openai: { organization: 'organization' },
  vertex: { project: 'vertex_project', location: 'vertex_location', credentials: 'vertex_credentials' },
  bedrock: {
    region: 'aws_region_name',
    access_key_id: 'aws_access_key_id',
    secret_access_key: 'aws_secret_access_key',
    session_token: 'aws_session_token',
  },
};

/** Without api_key LiteLLM reads the provider's usual variable. */
const usualKeys: Record<string, string> = {
  openai: 'OPENAI_API_KEY',
  azure: 'AZURE_API_KEY',
  anthropic: 'ANTHROPIC_API_KEY',
  gemini: 'GEMINI_API_KEY',
  deepseek: 'DEEPSEEK_API_KEY',
  qwen: 'DASHSCOPE_API_KEY',
  kimi: 'MOONSHOT_API_KEY',
  grok: 'XAI_API_KEY',
  mistral: 'MISTRAL_API_KEY',
  groq: 'GROQ_API_KEY',
  openrouter: 'OPENROUTER_API_KEY',
};

function usualKey(kind: string, prefix: string): string | undefined {
  const name = services[prefix]?.key ?? usualKeys[kind] ?? (kind === 'openai-compatible' ? ownKeys[prefix] : undefined);
  return name && `\${${name}}`;
}

const ownKeys: Record<string, string> = { litellm_proxy: 'LITELLM_PROXY_API_KEY', azure_ai: 'AZURE_AI_API_KEY' };

/** Kinds that have no address of their own get it from LiteLLM's variable for it. */
function usualBase(kind: string, prefix: string): string | undefined {
  const name = addressed.has(kind) ? `${prefix.toUpperCase().replaceAll('-', '_')}_API_BASE` : undefined;
  return name && `\${${name}}`;
}

const addressed = new Set(['azure', 'vllm', 'tgi', 'openai-compatible']);

/** One entry per distinct account; the first of a kind has the kind's own name. */
export function createProviders() {
  const known = new Map<string, { name: string; kind: string; settings: Fields }>();
  return {
    nameFor(kind: string, settings: Fields): string {
      const id = JSON.stringify([kind, settings]);
      const found = known.get(id);
      if (found) return found.name;
      const same = [...known.values()].filter((entry) => entry.kind === kind).length;
      const name = same === 0 ? kind : `${kind}-${same + 1}`;
      known.set(id, { name, kind, settings });
      return name;
    },
    entries: (): Fields =>
      Object.fromEntries(
        [...known.values()].map(({ name, kind, settings }) => [name, { ...(name !== kind && { kind }), ...settings }]),
      ),
  };
}
