/** `model_list`: deployments of one name become the targets of one model. */
import { type createProviders, providerOf } from './providers.ts';
import { defined, type Fields, fields, number, seconds } from './values.ts';

export type Target = {
  to: string;
  weight?: number | undefined;
  /** LiteLLM tries the lowest first. */
  order?: number | undefined;
  tags?: string[] | undefined;
  price?: Fields | undefined;
};
export type Group = {
  targets: Target[];
  strategy?: string | undefined;
  firstToken?: string | undefined;
  total?: string | undefined;
  retries?: number | undefined;
  rpm?: number | undefined;
  tpm?: number | undefined;
  contentFilter?: boolean | undefined;
};
export type Note = (sentence: string) => void;
type Parts = {
  providers: ReturnType<typeof createProviders>;
  groups: Map<string, Group>;
  /** `credential_list` by name. */
  credentials: Map<string, Fields>;
  note: Note;
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
  'cache_read_input_token_cost',
  'cache_creation_input_token_cost',
  'order',
  'litellm_credential_name',
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

/** Settings that are a request's own. */
const ofRequests =
  /^(temperature|top_p|top_k|max_tokens|max_completion_tokens|stop|seed|n|user|frequency_penalty|presence_penalty|reasoning_effort|thinking|response_format|tools|tool_choice|extra_body|logprobs|metadata|prompt_cache_key|service_tier|verbosity|dimensions|input_type)$/;

/** One entry of `model_list`; what cannot be carried over is noted. */
export function addDeployment(entry: Fields, { providers, groups, credentials, note }: Parts): void {
  const name = String(entry['model_name'] ?? '');
  const own = fields(entry['litellm_params']);
  const credential = own['litellm_credential_name'];
  const known = credentials.get(String(credential));
  if (credential !== undefined && !known) note(`${name}: no entry of credential_list is called "${credential}".`);
  // Weights and limits may stand beside the parameters, too.
  const { weight, rpm, tpm } = entry;
  const params = { ...defined({ weight, rpm, tpm }), ...known, ...own };
  const info = fields(entry['model_info']);
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
  if (place.model === '') {
    note(`${name}: "${full}" names no model; write its target by hand.`);
    return;
  }
  const provider = providers.nameFor(place.kind, place.settings);
  if (name.includes('*') || place.model.includes('*')) {
    note(`${name}: every model of ${provider} is reachable as ${provider}/MODEL without an entry.`);
    return;
  }
  const group = groups.get(name) ?? { targets: [] };
  groups.set(name, group);
  addTarget(group, `${provider}/${place.model}`, params, info);
  group.total ??= seconds(params['timeout']);
  group.firstToken ??= seconds(params['stream_timeout']);
  group.retries ??= number(params['num_retries'] ?? params['max_retries']);
  // LiteLLM limits each deployment; ours are for the name, so they add up.
  const sum = (a: number | undefined, b: number | undefined) => (b === undefined ? a : (a ?? 0) + b);
  group.rpm = sum(group.rpm, number(params['rpm']));
  group.tpm = sum(group.tpm, number(params['tpm']));
  noteRest(own, info, { name, provider, note });
}

function addTarget(group: Group, to: string, params: Fields, info: Fields): void {
  const tags = Array.isArray(params['tags']) ? params['tags'].map(String) : undefined;
  // The same one twice is a share of two.
  const twin = group.targets.find((target) => target.to === to && String(target.tags) === String(tags));
  if (twin) twin.weight = (twin.weight ?? 1) + (share(params) ?? 1);
  else
    group.targets.push(
      defined({
        to,
        weight: share(params),
        order: number(params['order']),
        tags,
        price: priceOf({ ...info, ...params }),
      }) as Target,
    );
}

/** What a deployment says and the new file does not. */
function noteRest(
  own: Fields,
  info: Fields,
  { name, provider, note }: { name: string; provider: string; note: Note },
): void {
  for (const key of Object.keys(own)) {
    if (carried.has(key)) continue;
    const rest = ofRequests.test(key) ? '; send it with the request' : '';
    note(`${name}: litellm_params.${key} was left out${rest}.`);
  }
  for (const key of ['access_groups', 'team_id', 'max_input_tokens', 'max_output_tokens'])
    if (info[key] !== undefined) note(`${name}: model_info.${key} was left out.`);
  const { mode } = info;
  if (
    mode !== undefined &&
    !['chat', 'completion', 'embedding', 'rerank', 'image_generation', 'responses'].includes(String(mode))
  )
    note(`${name}: mode "${mode}" is reachable only through the native pass-through /providers/${provider}/….`);
}

/** LiteLLM draws by weight, else by what a deployment may do in a minute. */
const share = (params: Fields): number | undefined =>
  number(params['weight']) ?? number(params['rpm']) ?? number(params['tpm']);

function priceOf(params: Fields): Fields | undefined {
  const input = number(params['input_cost_per_token']);
  const output = number(params['output_cost_per_token']);
  const read = number(params['cache_read_input_token_cost']);
  const write = number(params['cache_creation_input_token_cost']);
  const perMillion = (price: number) => Number((price * 1e6).toPrecision(12));
  if (input === undefined && output === undefined) return undefined;
  return defined({
    input: perMillion(input ?? 0),
    output: perMillion(output ?? 0),
    cache_read: read === undefined ? undefined : perMillion(read),
    cache_write: write === undefined ? undefined : perMillion(write),
  });
}
