/** The whole configuration, in one schema. Durations are milliseconds once parsed. docs/viaduct.schema.json is made from it. */
import { z } from 'zod';
import { type ProviderEntry, providerKinds } from '../providers/index.ts';
import { duration } from './durations.ts';
import { type ModelSettings, modelSettings } from './models.ts';

const auto = <Schema extends z.ZodType>(schema: Schema) => z.union([z.literal('auto'), schema]).default('auto');
const count = () => z.number().int().positive();

const server = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').describe('Loopback unless you mean to serve others'),
  port: z.number().int().min(0).max(65535).default(11434),
  origins: z
    .array(z.string())
    .default([])
    .describe('Web pages that may call besides those of this machine: https://app.example'),
  hosts: z
    .array(z.string())
    .default([])
    .describe('Names under which clients reach this server, besides its own address'),
  trusted_proxies: z
    .array(z.string())
    .default([])
    .describe('Addresses or ranges of reverse proxies whose X-Forwarded-For is believed'),
  tls: z.strictObject({ cert: z.string(), key: z.string() }).optional().describe('Files in PEM form'),
  max_connections: count().default(10_000),
});

const auth = z.strictObject({
  mode: z
    .enum(['auto', 'required', 'off'])
    .default('auto')
    .describe('auto: keys are needed once one exists or the server listens beyond loopback'),
  secret: z
    .string()
    .min(32)
    .optional()
    .describe('Shared by all instances on one database; a file in VIADUCT_HOME unless set'),
  rotation_overlap: duration().default(86_400_000).describe('How long a rotated key still works'),
});

const oidc = z
  .strictObject({
    issuer: z.url(),
    client_id: z.string(),
    client_secret: z.string().optional(),
    redirect_url: z.url().optional(),
    scopes: z.array(z.string()).default(['openid', 'email', 'profile']),
    roles_claim: z.string().default('groups'),
    roles: z
      .record(z.string(), z.enum(['admin', 'manager', 'viewer']))
      .default({})
      .describe('Value of the claim → role'),
    session: duration().default(43_200_000).describe('How long a sign-in lasts'),
  })
  .describe('Sign-in to the console');

const engine = z.strictObject({
  path: z.string().optional().describe('A llama-server to use; found or installed unless set'),
  keep_alive: duration()
    .default(300_000)
    .describe('How long a model stays loaded after its last request; negative = for ever'),
  parallel: auto(count()).describe('Requests that one model answers at the same time'),
  context: auto(count()).describe('Tokens of context; the model’s own length as far as memory allows'),
  max_loaded: auto(count()).describe('Models loaded at the same time'),
  max_queue: z.number().int().nonnegative().default(512).describe('Requests that may wait for one model'),
  image_hosts: z
    .array(z.string())
    .default([])
    .describe('Hosts in your own network from which requests may name images: img.example.internal, 10.0.0.5:8080'),
});

const machine = z.strictObject({
  watts: z.number().nonnegative().default(65).describe('Drawn while a model answers'),
  price_per_kwh: z.number().nonnegative().default(0.3),
  hardware_price: z.number().nonnegative().default(2000),
  lifetime_hours: z.number().positive().default(26_280),
  currency: z.string().length(3).default('USD'),
});

const limit = z.strictObject({
  rpm: count().optional().describe('Requests per minute'),
  tpm: count().optional().describe('Tokens per minute'),
  concurrent: count().optional().describe('Requests at the same time'),
});

const price = z.strictObject({
  input: z.number().nonnegative(),
  output: z.number().nonnegative(),
  cache_read: z.number().nonnegative().optional(),
  cache_write: z.number().nonnegative().optional(),
});

const log = z.strictObject({
  level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
});

const traces = z.strictObject({
  endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Of the collector: http://collector:4318'),
  headers: z.record(z.string(), z.string()).optional().describe('For the collector'),
  sample: z.number().min(0).max(1).default(1).describe('Part of the traces that begin here'),
});

const name = z.string().regex(/^[\w.-]+$/, 'A provider’s name has letters, digits, ".", "_" and "-" only');

/** `kind` says which settings an entry takes; without it the entry's name does. */
const providers = z
  .record(name, z.looseObject({ kind: z.string().optional() }).nullable())
  .transform((entries, context) => {
    const parsed: Record<string, ProviderEntry> = {};
    for (const [entry, given] of Object.entries(entries)) {
      const kind = given?.kind ?? entry;
      if (kind === 'local') continue;
      const found = providerKinds.find((known) => known.kind === kind);
      if (!found) {
        const message = `There is no kind of provider "${kind}". Kinds: ${providerKinds.map((known) => known.kind).join(', ')}`;
        context.addIssue({ code: 'custom', message, path: [entry, ...(given?.kind === undefined ? [] : ['kind'])] });
        continue;
      }
      const { kind: _kind, ...settings } = given ?? {};
      const result = found.config.strict().safeParse(settings);
      if (result.success) parsed[entry] = { kind, settings: result.data };
      else
        for (const issue of result.error.issues)
          context.issues.push({ ...issue, input: undefined, path: [entry, ...issue.path] } as z.core.$ZodRawIssue);
    }
    return parsed;
  });

const models = z.object({ lock: z.enum(['off', 'enforce']).optional() }).catchall(modelSettings);

export const sections = {
  server: server.prefault({}),
  auth: auth.prefault({}),
  oidc: oidc.optional(),
  database: z.string().default('sqlite').describe('sqlite, sqlite:PATH or postgres://…'),
  redis: z.string().nullable().default(null).describe('redis://… where several instances share limits and budgets'),
  engine: engine.prefault({}),
  machine: machine.prefault({}).describe('What local tokens cost'),
  limits: z
    .strictObject({
      models: z.record(z.string(), limit).default({}),
      providers: z.record(z.string(), limit).default({}),
    })
    .prefault({})
    .describe('For all clients together, by model or provider'),
  prices: z
    .record(z.string(), price)
    .default({})
    .describe('USD per million tokens, by PROVIDER/MODEL or PROVIDER/*, instead of the public list'),
  alerts: z.strictObject({ webhook: z.url().optional() }).prefault({}).describe('Told when a budget is nearly spent'),
  log: log.prefault({}),
  traces: traces.prefault({}).describe('OpenTelemetry, over OTLP/HTTP; OTEL_EXPORTER_OTLP_ENDPOINT turns it on too'),
  providers: providers.prefault({}),
  models: models.prefault({}),
};

export const configSchema = z
  .strictObject(sections)
  .transform(({ models: { lock = 'off', ...names }, ...rest }, context) => {
    const routes = names as Record<string, ModelSettings>;
    const known = (to: string) => {
      const provider = to.slice(0, to.indexOf('/'));
      return provider === 'local' || provider in rest.providers;
    };
    const check = (to: string | undefined, path: (string | number)[]) => {
      if (to === undefined || known(to)) return;
      const provider = to.slice(0, to.indexOf('/'));
      const message = `No provider is called "${provider}". Configured: ${['local', ...Object.keys(rest.providers)].join(', ')}`;
      context.addIssue({ code: 'custom', message, path });
    };
    for (const [model, { targets, canary, shadow }] of Object.entries(routes)) {
      targets.forEach(({ to }, index) => {
        check(to, ['models', model, 'targets', index]);
      });
      check(canary?.to, ['models', model, 'canary', 'to']);
      check(shadow?.to, ['models', model, 'shadow', 'to']);
    }
    return { ...rest, models: routes, lock };
  });

export type Config = z.infer<typeof configSchema>;

/** For editors: what may be written, defaults and meanings. */
export function jsonSchema(): object {
  const kinds = providerKinds.map(({ kind, config }) =>
    z.object({ ...config.shape, kind: z.literal(kind).optional() }).strict(),
  );
  const entry = z.union(kinds as unknown as [z.ZodObject, ...z.ZodObject[]]);
  const written = z.strictObject({ ...sections, providers: z.record(z.string(), entry).optional() });
  return z.toJSONSchema(written, { io: 'input', unrepresentable: 'any', reused: 'inline' });
}
