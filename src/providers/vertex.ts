import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import type { Provider } from '../core/provider.ts';
import * as messages from '../protocols/anthropic-messages.ts';
import { without } from './body.ts';
import { apiSettings, type Dialect, defineProvider, keysOf } from './define.ts';
import { generateContent } from './gemini.ts';
import { createHttpProvider } from './http.ts';

/** Gemini and Claude on Google Cloud. https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference */
export const vertex = defineProvider({
  kind: 'vertex',
  config: z.strictObject({
    ...apiSettings,
    project: z.string(),
    location: z.string().default('global'),
    credentials: z.string().optional().describe('File of a service account; else the machine’s own credentials'),
  }),
  create: (name, config) => {
    const { project, location } = config;
    const host = location === 'global' ? 'aiplatform.googleapis.com' : `${location}-aiplatform.googleapis.com`;
    const root = config.base_url ?? `https://${host}`;
    const keys = keysOf(config);
    const common = {
      name,
      kind: 'vertex',
      keys,
      headers: config.headers,
      connectTimeout: config.connect_timeout,
      // A key of the configuration is an access token already; else Google's library gets one and renews it.
      ...(keys.length === 0 && { sign: tokenSigner(config.credentials) }),
    };
    const publisher = (who: string) => `${root}/v1/projects/${project}/locations/${location}/publishers/${who}`;
    const google = createHttpProvider({ ...common, baseUrl: publisher('google'), dialects: [generateContent] });
    const anthropic = createHttpProvider({ ...common, baseUrl: publisher('anthropic'), dialects: [rawPredict] });
    return bothOf(google, anthropic);
  },
});

function tokenSigner(keyFile: string | undefined) {
  const makeAuth = async () => {
    const { GoogleAuth } = await import('google-auth-library');
    const scopes = 'https://www.googleapis.com/auth/cloud-platform';
    return new GoogleAuth({ scopes, ...(keyFile !== undefined && { keyFile }) });
  };
  // The library is large and loaded at the first request.
  let auth: ReturnType<typeof makeAuth> | undefined;
  return async ({ headers }: { headers: Record<string, string> }) => {
    auth ??= makeAuth();
    headers['authorization'] = `Bearer ${await (await auth).getAccessToken()}`;
  };
}

/** Claude's own protocol; the model is in the path and the version in the body. */
const rawPredict: Dialect = {
  protocol: 'anthropic-messages',
  path: (model, stream) => `/models/${encodeURIComponent(model)}:${stream ? 'streamRawPredict' : 'rawPredict'}`,
  encodeRequest: (request) => forVertex(messages.encodeRequest(request)),
  createStreamDecoder: messages.createStreamDecoder,
  decodeResponse: messages.decodeResponse,
  decodeError: messages.decodeError,
  createRelayScanner: messages.createRelayScanner,
  forRelay: (body) => ({ body: forVertex(body) }),
};

const forVertex = (body: JsonObject): JsonObject => ({
  anthropic_version: 'vertex-2023-10-16',
  ...without(body, 'model'),
});

function bothOf(google: Provider, anthropic: Provider): Provider {
  const of = (model: string) => (model.startsWith('claude') ? anthropic : google);
  const { chat, relay } = anthropic;
  return {
    ...google,
    relays: (protocol, model) => of(model).relays(protocol, model),
    ...(chat && google.chat && { chat: (request, context) => (of(request.model).chat ?? chat)(request, context) }),
    ...(relay && { relay }),
    async close() {
      await Promise.all([google.close?.(), anthropic.close?.()]);
    },
  };
}
