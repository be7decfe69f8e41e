import { z } from 'zod';
import { createEventStreamParser } from '../lib/aws-event-stream.ts';
import * as protocol from '../protocols/bedrock-converse.ts';
import { apiSettings, type Dialect, defineProvider, keysOf } from './define.ts';
import { createHttpProvider, type HttpProviderOptions } from './http.ts';

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

/** Amazon Bedrock, with an API key or with AWS credentials. https://docs.aws.amazon.com/bedrock/latest/userguide/inference-api.html */
export const bedrock = defineProvider({
  kind: 'bedrock',
  config: z.strictObject({
    ...apiSettings,
    region: z.string().default('us-east-1'),
    access_key_id: z.string().optional(),
    secret_access_key: z.string().optional(),
    session_token: z.string().optional(),
  }),
  create: (name, config) => {
    const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = config;
    return createHttpProvider({
      name,
      kind: 'bedrock',
      baseUrl: config.base_url ?? `https://bedrock-runtime.${config.region}.amazonaws.com`,
      keys: keysOf(config),
      headers: config.headers,
      connectTimeout: config.connect_timeout,
      dialects: [converse],
      ...(accessKeyId &&
        secretAccessKey && {
          sign: signer(config.region, { accessKeyId, secretAccessKey, ...(sessionToken && { sessionToken }) }),
        }),
    });
  },
});

type Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string };

/** AWS's Signature Version 4. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html */
function signer(region: string, credentials: Credentials): NonNullable<HttpProviderOptions['sign']> {
  const makeSignature = async () => {
    const [{ SignatureV4 }, { Sha256 }] = await Promise.all([
      import('@smithy/signature-v4'),
      import('@aws-crypto/sha256-js'),
    ]);
    return new SignatureV4({ service: 'bedrock', region, credentials, sha256: Sha256 });
  };
  // The libraries are loaded at the first request.
  let signature: ReturnType<typeof makeSignature> | undefined;
  return async ({ url, method, headers, body }) => {
    const { protocol, hostname, port, host, pathname, searchParams } = new URL(url);
    signature ??= makeSignature();
    const signed = await (await signature).sign({
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
