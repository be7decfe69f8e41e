import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { z } from 'zod';
import { createEventStreamParser } from '../lib/aws-event-stream.ts';
import * as protocol from '../protocols/bedrock-converse.ts';
import { count } from '../protocols/read.ts';
import { bedrockEmbed, bedrockImage } from './bedrock-invoke.ts';
import { apiSettings, type Dialect, defineProvider, keysOf } from './define.ts';
import { withBytes } from './download.ts';
import { createHttpProvider, type HttpProviderOptions } from './http.ts';
import { bedrockModels } from './listed-models.ts';

/** Converse: one protocol for every model on Bedrock. */
const converse: Dialect = {
  protocol: 'bedrock-converse',
  path: (model, stream) => `/model/${encodeURIComponent(model)}/${stream ? 'converse-stream' : 'converse'}`,
  encodeRequest: protocol.encodeRequest,
  createStreamDecoder: protocol.createStreamDecoder,
  decodeResponse: protocol.decodeResponse,
  decodeError: protocol.decodeError,
  createFrames: createEventStreamParser,
};

/**
 * Amazon Bedrock. With an API key (`api_key`), with AWS credentials, or with what AWS's own tools would find on this
 * machine: environment, profile, role of the instance, container or cluster.
 * https://docs.aws.amazon.com/bedrock/latest/userguide/inference-api.html
 */
export const bedrock = defineProvider({
  kind: 'bedrock',
  config: z.strictObject({
    ...apiSettings,
    region: z.string().optional().describe('AWS_REGION unless set, else us-east-1'),
    access_key_id: z.string().optional(),
    secret_access_key: z.string().optional(),
    session_token: z.string().optional(),
    profile: z.string().optional().describe('Of the shared credentials file'),
  }),
  create: (name, config) => {
    const environment = process.env;
    const region = config.region ?? environment['AWS_REGION'] ?? environment['AWS_DEFAULT_REGION'] ?? 'us-east-1';
    const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = config;
    const own =
      accessKeyId && secretAccessKey
        ? { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) }
        : undefined;
    const given = keysOf(config);
    const bearer = own || config.profile ? undefined : environment['AWS_BEARER_TOKEN_BEDROCK'];
    const keys = given.length === 0 && bearer ? [bearer] : given;
    return createHttpProvider(
      {
        name,
        kind: 'bedrock',
        baseUrl: config.base_url ?? `https://bedrock-runtime.${region}.amazonaws.com`,
        keys,
        headers: config.headers,
        connectTimeout: config.connect_timeout,
        dialects: [converse],
        prepare: withBytes(),
        ...(keys.length === 0 && { sign: signer(region, own ?? foundCredentials(config.profile)) }),
      },
      (upstream) => ({
        embed: bedrockEmbed(upstream),
        image: bedrockImage(upstream),
        models: async () => bedrockModels(region),
        async countTokens(request, context) {
          const { messages, system, toolConfig } = protocol.encodeRequest(request);
          const counted = {
            messages: messages ?? [],
            ...(system && { system }),
            ...(toolConfig && { toolConfig }),
          };
          const path = `/model/${encodeURIComponent(request.model)}/count-tokens`;
          return count((await upstream.json(path, { input: { converse: counted } }, context))['inputTokens']);
        },
      }),
    );
  },
});

type Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string; expiration?: Date };

/** Asks AWS's chain at the first request, and again when what it gave runs out. Loaded late: most servers never need it. */
function foundCredentials(profile: string | undefined): () => Promise<Credentials> {
  let chain: Promise<() => Promise<Credentials>> | undefined;
  return async () => {
    chain ??= import('@aws-sdk/credential-provider-node').then(({ defaultProvider }) =>
      defaultProvider(profile === undefined ? {} : { profile }),
    );
    return (await chain)();
  };
}

/** AWS's Signature Version 4. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html */
function signer(
  region: string,
  credentials: Credentials | (() => Promise<Credentials>),
): NonNullable<HttpProviderOptions['sign']> {
  const signature = new SignatureV4({ service: 'bedrock', region, credentials, sha256: Sha256 });
  return async ({ url, method, headers, body }) => {
    const { protocol, hostname, port, host, pathname, searchParams } = new URL(url);
    const signed = await signature.sign({
      method,
      protocol,
      hostname,
      ...(port && { port: Number(port) }),
      path: pathname,
      query: Object.fromEntries(searchParams),
      headers: { ...headers, host },
      body,
    });
    Object.assign(headers, signed.headers);
  };
}
