/**
 * A LiteLLM proxy's config.yaml → viaduct.yaml, and what could not be carried over. Source:
 * https://docs.litellm.ai/docs/proxy/config_settings
 */
import { parse, stringify } from 'yaml';
import { addDeployment, type Group, type Note } from './litellm/deployments.ts';
import { createProviders } from './litellm/providers.ts';
import { addAliases, addFallbacks, setStrategy } from './litellm/routing.ts';
import { defined, type Fields, fields, nonEmpty, seconds, variable } from './litellm/values.ts';

export type Imported = {
  /** The new file's text. */
  yaml: string;
  /** What the user must look at: one sentence each. */
  notes: string[];
};

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
  const credentials = credentialsIn(root['credential_list']);
  for (const entry of list) addDeployment(fields(entry), { providers, groups, credentials, note });

  setStrategy(router, groups, note);
  addFallbacks(router, groups, note);
  addAliases(router, groups, note);
  const timeout = seconds(router['timeout'] ?? router['request_timeout']);
  const retries = router['num_retries'];

  if ([...groups.values()].some(({ rpm, tpm }) => rpm || tpm))
    note(
      'rpm and tpm of deployments add up to limits of their model, which are enforced; LiteLLM only weighs by them unless told otherwise.',
    );
  const { models, limits, prices } = entriesOf(groups, timeout, typeof retries === 'number' ? retries : undefined);

  noteLeftOut(root, note);
  const database = variable(fields(root['general_settings'])['database_url']);
  const yaml = stringify(
    defined({
      database,
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

/** Settings that several deployments share, by name. */
function credentialsIn(list: unknown): Map<string, Fields> {
  const entries = Array.isArray(list) ? list.map(fields) : [];
  return new Map(
    entries.map(({ credential_name, credential_values }) => [String(credential_name), fields(credential_values)]),
  );
}

/** Ours are at most ten. */
const retriesOf = (value: number | undefined) => (value === undefined ? undefined : Math.min(10, Math.round(value)));
const limitOf = (value: number | undefined) => (value ? Math.ceil(value) : undefined);

/** The new file's sections that are made of groups. */
function entriesOf(groups: Map<string, Group>, timeout: string | undefined, retries: number | undefined) {
  const models: Fields = {};
  const limits: Fields = {};
  const prices: Fields = {};
  for (const [name, group] of groups) {
    models[name] = defined({
      targets: group.targets.map(({ to, weight, tags }) =>
        (weight === undefined || group.strategy !== 'weighted') && !tags ? to : defined({ to, weight, tags }),
      ),
      strategy: group.strategy,
      timeout: nonEmpty({ first_token: group.firstToken, total: group.total ?? timeout }),
      retries: retriesOf(group.retries ?? retries),
      content_filter_fallback: group.contentFilter,
    });
    if (group.rpm || group.tpm) limits[name] = defined({ rpm: limitOf(group.rpm), tpm: limitOf(group.tpm) });
    for (const { to, price } of group.targets) if (price) prices[to] = price;
  }
  return { models, limits, prices };
}

/** Settings outside `model_list` that are not in the new file. */
function noteLeftOut(root: Fields, note: Note): void {
  const general = fields(root['general_settings']);
  if (general['master_key'] !== undefined)
    note(
      'general_settings.master_key is not written into the file: set VIADUCT_ADMIN_KEY to it. Keys of users are made anew: viaduct keys create NAME.',
    );
  noteRest(general, 'general_settings', new Set(['master_key', 'database_url']), note);
  const settings = fields(root['litellm_settings']);
  if (settings['max_budget'] !== undefined)
    note(
      `litellm_settings.max_budget: make a budget of ${settings['max_budget']} USD (${settings['budget_duration'] ?? 'no duration given'}) for all keys, with POST /admin/budgets or in the console.`,
    );
  noteRest(settings, 'litellm_settings', new Set([...routerKeys, 'max_budget', 'budget_duration']), note);
  noteRest(fields(root['router_settings']), 'router_settings', routerKeys, note);
  const sections = Object.keys(root).filter((key) => !carriedSections.has(key));
  if (sections.length > 0) note(`Of the file's sections, ${sections.join(', ')} ${were(sections)} left out.`);
  if (root['environment_variables']) note('environment_variables: set these in the environment of the server.');
  if (general['database_url'] !== undefined)
    note('general_settings.database_url is LiteLLM’s own database; Viaduct makes its tables beside it.');
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

function noteRest(section: Fields, name: string, known: Set<string>, note: Note): void {
  const rest = Object.keys(section).filter((key) => !known.has(key));
  if (rest.length > 0) note(`${name}: ${rest.join(', ')} ${were(rest)} left out.`);
}

const were = (names: string[]) => (names.length === 1 ? 'was' : 'were');

const carriedSections = new Set([
  'model_list',
  'credential_list',
  'litellm_settings',
  'router_settings',
  'general_settings',
  'environment_variables',
]);

function redisUrl(router: Fields): string | undefined {
  if (router['redis_url'] !== undefined) return String(variable(router['redis_url']));
  const host = variable(router['redis_host']);
  if (host === undefined) return undefined;
  const password = variable(router['redis_password']);
  return `redis://${password === undefined ? '' : `:${password}@`}${host}:${variable(router['redis_port']) ?? 6379}`;
}
