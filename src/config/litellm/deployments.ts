/** `model_list`: deployments of one name become the targets of one model. */
import { type createProviders, providerOf } from './providers.ts';
import { defined, type Fields, fields, number, seconds } from './values.ts';

export type Target = {
  to: string;
  weight?: number | undefined;
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
type Parts = { providers: ReturnType<typeof createProviders>; groups: Map<string, Group>; note: Note };

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

/** One entry of `model_list`; what cannot be carried over is noted. */
export function addDeployment(entry: Fields, { providers, groups, note }: Parts): void {
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

function priceOf(params: Fields): Fields | undefined {
  const input = number(params['input_cost_per_token']);
  const output = number(params['output_cost_per_token']);
  const perMillion = (price: number | undefined) => Number(((price ?? 0) * 1e6).toPrecision(12));
  return input === undefined && output === undefined
    ? undefined
    : { input: perMillion(input), output: perMillion(output) };
}
