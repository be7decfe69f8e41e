/** The sections about who may use the server, how much, and what it costs. Names as in viaduct.yaml; durations are milliseconds once parsed. */
import { z } from 'zod';
import { duration } from './durations.ts';

const limits = z.strictObject({
  rpm: z.number().int().nonnegative().optional().describe('Requests per minute'),
  tpm: z.number().int().nonnegative().optional().describe('Tokens per minute, input and output'),
  concurrent: z.number().int().nonnegative().optional().describe('Requests at the same time'),
});

export const authSettings = z
  .strictObject({
    mode: z
      .enum(['auto', 'required', 'off'])
      .default('auto')
      .describe('auto: keys are needed once one was made or the server listens beyond loopback'),
    secret: z
      .string()
      .min(32, 'At least 32 characters')
      .optional()
      .describe(
        'Keys the hashes of API keys; the same on all instances that share a database. Absent: a file in VIADUCT_HOME',
      ),
    rotation_overlap: duration().prefault('24h').describe('How long the former secret of a rotated key stays good'),
    oidc: z
      .strictObject({
        issuer: z.url().describe('Where people sign in; its configuration is read from there'),
        client_id: z.string().min(1),
        client_secret: z.string().min(1).optional(),
        redirect_url: z.url().describe('This server as browsers see it, with the path /admin/session/callback'),
        scopes: z.array(z.string()).default(['openid', 'email', 'profile']),
        admins: z.array(z.string()).default([]).describe('E-mail addresses of administrators'),
        viewers: z.array(z.string()).default([]).describe('E-mail addresses, or *@example.org, of those who may look'),
        session: duration().prefault('12h').describe('How long a sign-in lasts'),
      })
      .optional()
      .describe('Sign-in to the console'),
  })
  .prefault({});

export const limitSettings = z
  .strictObject({
    models: z.record(z.string(), limits).default({}).describe('By public model name, for all clients together'),
    providers: z.record(z.string(), limits).default({}).describe('By provider name, for all clients together'),
  })
  .prefault({});

export const priceSettings = z
  .record(
    z.string().regex(/^[^/\s]+\/\S+$/, 'Write PROVIDER/MODEL or PROVIDER/*'),
    z.strictObject({
      input: z.number().nonnegative(),
      output: z.number().nonnegative(),
      cache_read: z.number().nonnegative().optional(),
      cache_write: z.number().nonnegative().optional(),
    }),
  )
  .default({})
  .describe('USD per million tokens, instead of the public price list');

export const machineSettings = z
  .strictObject({
    watts: z.number().nonnegative().default(65).describe('Drawn while a local model answers'),
    price_per_kwh: z.number().nonnegative().default(0.3),
    hardware_price: z.number().nonnegative().default(2000),
    lifetime_hours: z
      .number()
      .positive()
      .default(26_280)
      .describe('Hours of use after which the hardware is worth nothing'),
    currency: z.string().default('USD').describe('Of these prices; they are added to hosted costs as they are'),
  })
  .prefault({});

/** Parts of the `server` section. */
export const serverSecuritySettings = {
  origins: z
    .array(z.string())
    .default([])
    .describe(
      'Web origins that may call this server from a browser, besides those on this machine: https://app.example.org',
    ),
  hosts: z
    .array(z.string())
    .default([])
    .describe('Host names under which clients reach this server; on loopback its own names are always good'),
  trusted_proxies: z
    .array(z.string())
    .default([])
    .describe('Addresses or ranges of reverse proxies whose X-Forwarded-For is believed'),
  tls: z.strictObject({ cert: z.string(), key: z.string() }).optional().describe('PEM files'),
  max_connections: z.number().int().positive().default(10_000),
};
