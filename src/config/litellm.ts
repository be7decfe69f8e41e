/** A LiteLLM proxy's config.yaml → viaduct.yaml, and what could not be carried over. Source: https://docs.litellm.ai/docs/proxy/config_settings */
import { parse, stringify } from 'yaml';

export type Imported = {
  /** The new file's text. */
  yaml: string;
  /** What the user must look at: one sentence each. */
  notes: string[];
};

type Fields = Record<string, unknown>;

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
};
/** OpenAI-shaped services that need no kind of their own. */
const services: Record<string, string> = {
  together_ai: 'https://api.together.xyz/v1',
  fireworks_ai: 'https://api.fireworks.ai/inference/v1',
  perplexity: 'https://api.perplexity.ai',
  cerebras: 'https://api.cerebras.ai/v1',
  deepinfra: 'https://api.deepinfra.com/v1/openai',
  nvidia_nim: 'https://integrate.api.nvidia.com/v1',
  sambanova: 'https://api.sambanova.ai/v1',
};
/** Names without a prefix. */
const families: [RegExp, string][] = [
  [/^(gpt-|o\d|chatgpt|text-embedding|dall-e|davinci|babbage)/, 'openai'],
  [/^claude/, 'anthropic'],
  [/^gemini/, 'gemini'],
];
const strategies: Record<string, string> = {
  'simple-shuffle': 'weighted',
  'least-busy': 'least-busy',
  'latency-based-routing': 'latency',
  'cost-based-routing': 'cost',
  'usage-based-routing': 'least-busy',
  'usage-based-routing-v2': 'least-busy',
};
/** Settings of a deployment that have a place in ours. */
const carried = new Set([
  'model',
  'api_key',
  'api_base',
  'base_url',
  'api_version',
  'organization',
  'weight',
  'rpm',
  'tpm',
  'timeout',
  'stream_timeout',
  'max_retries',
  'num_retries',
  'tags',
  'input_cost_per_token',
  'output_cost_per_token',
  'vertex_project',
  'vertex_location',
  'vertex_credentials',
  'aws_region_name',
  'aws_access_key_id',
  'aws_secret_access_key',
  'aws_session_token',
  'extra_headers',
  'custom_llm_provider',
]);

/** Throws with one line when the text is no LiteLLM configuration. */
export function importLiteLlm(text: string): Imported {
  const root = fields(parse(text));
  const list = root['model_list'];
  if (!Array.isArray(list)) throw new Error('The file has no model_list: is it a LiteLLM proxy configuration?');
  const notes: string[] = [];
  const note = (sentence: string) => {
    if (!notes.includes(sentence)) notes.push(sentence);
  };
  const providers = createProviders();
  const router = { ...fields(root['litellm_settings']), ...fields(root['router_settings']) };
  const groups = new Map<string, Group>();
  for (const entry of list) addDeployment(fields(entry), { providers, groups, note });

  const strategy = strategies[String(router['routing_strategy'] ?? 'simple-shuffle')];
  if (!strategy)
    note(`router_settings.routing_strategy "${router['routing_strategy']}" has no equal; "ordered" is used.`);
  for (const group of groups.values()) if (group.targets.length > 1) group.strategy = strategy ?? 'ordered';
  addFallbacks(router, groups, note);
  addAliases(router, groups, note);
  const timeout = seconds(router['timeout'] ?? router['request_timeout']);
  const retries = router['num_retries'];

  const models: Fields = {};
  const limits: Fields = {};
  const prices: Fields = {};
  for (const [name, group] of groups) {
    models[name] = defined({
      targets: group.targets.map(({ to, weight, tags }) =>
        weight === undefined && !tags ? to : defined({ to, weight, tags }),
      ),
      strategy: group.strategy,
      timeout: nonEmpty({ first_token: group.firstToken, total: group.total ?? timeout }),
      retries: group.retries ?? (typeof retries === 'number' ? retries : undefined),
      content_filter_fallback: group.contentFilter,
    });
    if (group.rpm || group.tpm) limits[name] = defined({ rpm: group.rpm, tpm: group.tpm });
    for (const { to, price } of group.targets) if (price) prices[to] = price;
  }

  const general = fields(root['general_settings']);
  if (general['master_key'] !== undefined)
    note(
      'general_settings.master_key is not written into the file: set VIADUCT_ADMIN_KEY to it. Keys of users are made anew: viaduct keys create NAME.',
    );
  noteRest(general, 'general_settings', new Set(['master_key', 'database_url']), note);
  noteRest(fields(root['litellm_settings']), 'litellm_settings', routerKeys, note);
  noteRest(fields(root['router_settings']), 'router_settings', routerKeys, note);
  if (root['environment_variables']) note('environment_variables: set these in the environment of the server.');
  if (general['database_url'] !== undefined)
    note('general_settings.database_url is LiteLLM’s own database; Viaduct makes its tables beside it.');

  const yaml = stringify(
    defined({
      database: variable(general['database_url']),
      redis: redisUrl(router),
      providers: providers.entries(),
      models,
      limits: nonEmpty({ models: nonEmpty(limits) }),
      prices: nonEmpty(prices),
    }),
    { lineWidth: 0 },
  );
  const head = ['Made from a LiteLLM configuration.', ...notes.map((sentence) => `Look at: ${sentence}`)];
  return { yaml: `${head.map((line) => `# ${line}`).join('\n')}\n${yaml}`, notes };
}

type Target = { to: string; weight?: number | undefined; tags?: string[] | undefined; price?: Fields | undefined };
type Group = {
  targets: Target[];
  strategy?: string | undefined;
  firstToken?: string | undefined;
  total?: string | undefined;
  retries?: number | undefined;
  rpm?: number | undefined;
  tpm?: number | undefined;
  contentFilter?: boolean | undefined;
};
type Note = (sentence: string) => void;
type Parts = { providers: ReturnType<typeof createProviders>; groups: Map<string, Group>; note: Note };

function addDeployment(entry: Fields, { providers, groups, note }: Parts): void {
  const name = String(entry['model_name'] ?? '');
  const params = fields(entry['litellm_params']);
  const full = String(params['model'] ?? '');
  if (name === '' || full === '') {
    note('An entry of model_list without model_name or litellm_params.model was left out.');
    return;
  }
  const place = providerOf(full, params);
  if (!place) {
    note(
      `${name}: the provider of "${full}" is not known here. If it speaks OpenAI's protocol, add it as openai-compatible with its base_url.`,
    );
    return;
  }
  const provider = providers.nameFor(place.kind, place.settings);
  if (name.includes('*') || place.model.includes('*')) {
    note(`${name}: every model of ${provider} is reachable as ${provider}/MODEL without an entry.`);
    return;
  }
  const group = groups.get(name) ?? { targets: [] };
  groups.set(name, group);
  group.targets.push(
    defined({
      to: `${provider}/${place.model}`,
      weight: number(params['weight']),
      tags: Array.isArray(params['tags']) ? params['tags'].map(String) : undefined,
      price: priceOf(params),
    }) as Target,
  );
  group.total ??= seconds(params['timeout']);
  group.firstToken ??= seconds(params['stream_timeout']);
  group.retries ??= number(params['num_retries'] ?? params['max_retries']);
  // LiteLLM limits each deployment; ours are for the name, so they add up.
  const sum = (a: number | undefined, b: number | undefined) => (b === undefined ? a : (a ?? 0) + b);
  group.rpm = sum(group.rpm, number(params['rpm']));
  group.tpm = sum(group.tpm, number(params['tpm']));
  for (const key of Object.keys(params))
    if (!carried.has(key)) note(`${name}: litellm_params.${key} was left out; send it with the request.`);
  const mode = fields(entry['model_info'])['mode'];
  if (
    mode !== undefined &&
    !['chat', 'completion', 'embedding', 'rerank', 'image_generation', 'responses'].includes(String(mode))
  )
    note(`${name}: mode "${mode}" is reachable only through the native pass-through /providers/${provider}/….`);
}

function providerOf(full: string, params: Fields): { kind: string; model: string; settings: Fields } | undefined {
  const slash = full.indexOf('/');
  const base = variable(params['api_base'] ?? params['base_url']);
  const prefix = String(params['custom_llm_provider'] ?? (slash > 0 ? full.slice(0, slash) : ''));
  const known = kinds[prefix] ?? (prefix in services ? 'openai-compatible' : undefined);
  const model = known && full.startsWith(`${prefix}/`) ? full.slice(slash + 1) : full;
  const family = families.find(([pattern]) => pattern.test(full))?.[1];
  let kind = known ?? family ?? (base === undefined ? undefined : 'openai-compatible');
  if (!kind) return undefined;
  if (kind === 'openai' && base !== undefined && !/api\.openai\.com/.test(String(base))) kind = 'openai-compatible';
  const settings = defined({
    base_url: base ?? services[prefix],
    api_key: variable(params['api_key']),
    api_version: kind === 'azure' ? variable(params['api_version']) : undefined,
    organization: kind === 'openai' ? variable(params['organization']) : undefined,
    project: kind === 'vertex' ? variable(params['vertex_project']) : undefined,
    location: kind === 'vertex' ? variable(params['vertex_location']) : undefined,
    credentials: kind === 'vertex' ? variable(params['vertex_credentials']) : undefined,
    region: kind === 'bedrock' ? variable(params['aws_region_name']) : undefined,
    access_key_id: kind === 'bedrock' ? variable(params['aws_access_key_id']) : undefined,
    secret_access_key: kind === 'bedrock' ? variable(params['aws_secret_access_key']) : undefined,
    session_token: kind === 'bedrock' ? variable(params['aws_session_token']) : undefined,
    headers: params['extra_headers'],
  });
  return {
    kind,
    model: kind === 'azure' ? model.replace(/^responses\//, '') : model.replace(/^(responses|converse|chat)\//, ''),
    settings: withUsualKey(kind, settings),
  };
}

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

function withUsualKey(kind: string, settings: Fields): Fields {
  const usual = usualKeys[kind];
  return settings['api_key'] === undefined && usual ? { ...settings, api_key: `\${${usual}}` } : settings;
}

/** One entry per distinct account; the first of a kind has the kind's own name. */
function createProviders() {
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

const routerKeys = new Set([
  'routing_strategy',
  'num_retries',
  'timeout',
  'request_timeout',
  'fallbacks',
  'context_window_fallbacks',
  'content_policy_fallbacks',
  'default_fallbacks',
  'model_group_alias',
  'redis_host',
  'redis_port',
  'redis_password',
  'redis_url',
  'set_verbose',
  'drop_params',
]);

function addFallbacks(router: Fields, groups: Map<string, Group>, note: Note): void {
  const add = (group: Group, names: unknown) => {
    // Weight 0: never drawn before the group's own targets.
    for (const name of Array.isArray(names) ? names : [])
      for (const target of groups.get(String(name))?.targets ?? [])
        if (!group.targets.some(({ to }) => to === target.to))
          group.targets.push(group.strategy === 'weighted' ? { ...target, weight: 0 } : target);
  };
  const own = new Map([...groups].map(([name, group]) => [name, { ...group, targets: [...group.targets] }]));
  for (const kind of ['fallbacks', 'context_window_fallbacks', 'content_policy_fallbacks'])
    for (const rule of Array.isArray(router[kind]) ? router[kind] : [])
      for (const [name, names] of Object.entries(fields(rule))) {
        const group = groups.get(name);
        if (!group) {
          note(`${kind}: "${name}" is not in model_list.`);
          continue;
        }
        group.strategy ??= 'ordered';
        if (kind === 'content_policy_fallbacks') group.contentFilter = true;
        if (group.strategy !== 'ordered' && group.strategy !== 'weighted')
          note(`${name}: with strategy ${group.strategy} its fallbacks are targets like the others.`);
        add(group, Array.isArray(names) ? names.filter((other) => own.has(String(other))) : []);
      }
  for (const [name, group] of groups) {
    const others = Array.isArray(router['default_fallbacks']) ? router['default_fallbacks'] : [];
    if (others.length > 0) {
      group.strategy ??= 'ordered';
      add(
        group,
        others.filter((other) => other !== name),
      );
    }
  }
}

function addAliases(router: Fields, groups: Map<string, Group>, note: Note): void {
  for (const [alias, name] of Object.entries(fields(router['model_group_alias']))) {
    const group = groups.get(String(typeof name === 'object' ? fields(name)['model'] : name));
    if (group) groups.set(alias, group);
    else note(`model_group_alias: "${alias}" names a model that is not in model_list.`);
  }
}

function noteRest(section: Fields, name: string, known: Set<string>, note: Note): void {
  const rest = Object.keys(section).filter((key) => !known.has(key));
  if (rest.length > 0) note(`${name}: ${rest.join(', ')} ${rest.length === 1 ? 'was' : 'were'} left out.`);
}

function redisUrl(router: Fields): string | undefined {
  if (router['redis_url'] !== undefined) return String(variable(router['redis_url']));
  const host = variable(router['redis_host']);
  if (host === undefined) return undefined;
  const password = variable(router['redis_password']);
  return `redis://${password === undefined ? '' : `:${password}@`}${host}:${variable(router['redis_port']) ?? 6379}`;
}

function priceOf(params: Fields): Fields | undefined {
  const input = number(params['input_cost_per_token']);
  const output = number(params['output_cost_per_token']);
  const perMillion = (price: number | undefined) => Number(((price ?? 0) * 1e6).toPrecision(12));
  return input === undefined && output === undefined
    ? undefined
    : { input: perMillion(input), output: perMillion(output) };
}

const fields = (value: unknown): Fields =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Fields) : {};

/** `os.environ/NAME` → `${NAME}`. */
const variable = (value: unknown): unknown =>
  typeof value === 'string' ? value.replace(/^os\.environ\/(\w+)$/, '$${$1}') : (value ?? undefined);

const number = (value: unknown): number | undefined => {
  const read = typeof value === 'string' ? Number(value) : value;
  return typeof read === 'number' && Number.isFinite(read) ? read : undefined;
};
const seconds = (value: unknown): string | undefined => {
  const read = number(value);
  return read === undefined ? undefined : read < 1 ? `${Math.round(read * 1000)}ms` : `${read}s`;
};

const defined = (object: Fields): Fields =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));

function nonEmpty(object: Fields): Fields | undefined {
  const left = defined(object);
  return Object.keys(left).length > 0 ? left : undefined;
}
