import type { GoogleAuth } from 'google-auth-library';
import { z } from 'zod';
import type { JsonObject } from '../core/json.ts';
import type { Provider } from '../core/provider.ts';
import * as messages from '../protocols/anthropic-messages.ts';
import { count } from '../protocols/read.ts';
import { describer } from './abilities.ts';
import { without } from './body.ts';
import { apiSettings, type Dialect, defineProvider, keysOf } from './define.ts';
import { countable, generateContent } from './gemini.ts';
import { googleImage, predictEmbeddings } from './google-predict.ts';
import { createHttpProvider } from './http.ts';
import { vertexModels } from './listed-models.ts';

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
    const root = (config.base_url ?? `https://${hostOf(location)}`).replace(/\/v1(beta1)?\/*$|\/+$/, '');
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
    const publisher = (version: string, who: string) =>
      `${root}/${version}/projects/${project}/locations/${location}/publishers/${who}`;
    const google = createHttpProvider(
      { ...common, baseUrl: publisher('v1beta1', 'google'), dialects: [generateContent] },
      (upstream) => ({
        embed: predictEmbeddings(upstream),
        image: googleImage(upstream),
        models: async () => vertexModels(),
        describe: describer('gemini'),
        async countTokens(request, context) {
          const path = `/models/${encodeURIComponent(request.model)}:countTokens`;
          return count((await upstream.json(path, countable(request), context))['totalTokens']);
        },
      }),
    );
    const anthropic = createHttpProvider(
      { ...common, baseUrl: publisher('v1', 'anthropic'), dialects: [rawPredict] },
      (upstream) => ({
        describe: describer('anthropic'),
        async countTokens(request, context) {
          const reply = await upstream.json('/models/count-tokens:rawPredict', messages.encodeCount(request), context);
          return count(reply['input_tokens']);
        },
      }),
    );
    return bothOf(google, anthropic);
  },
});

function hostOf(location: string): string {
  if (location === 'global') return 'aiplatform.googleapis.com';
  // The multi-regions have hosts of another form.
  if (location === 'us' || location === 'eu') return `aiplatform.${location}.rep.googleapis.com`;
  return `${location}-aiplatform.googleapis.com`;
}

/**
 * Google's library finds the credentials (a file, the environment, the machine's own), fetches a token and renews it.
 * It is large: loaded at first need.
 */
function tokenSigner(keyFile: string | undefined) {
  let auth: Promise<GoogleAuth> | undefined;
  const load = async () => {
    const { GoogleAuth } = await import('google-auth-library');
    return new GoogleAuth({
      scopes: 'https://www.googleapis.com/auth/cloud-platform',
      ...(keyFile !== undefined && { keyFile }),
    });
  };
  return async ({ headers }: { headers: Record<string, string> }) => {
    auth ??= load();
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
  ...without(messages.withoutForeign(body), 'model'),
});

function bothOf(google: Provider, anthropic: Provider): Provider {
  const of = (model: string) => (model.startsWith('claude') ? anthropic : google);
  const { chat, relay, countTokens } = anthropic;
  return {
    ...google,
    relays: (protocol, model) => of(model).relays(protocol, model),
    describe: (model) => of(model).describe?.(model),
    ...(chat && { chat: (request, context) => (of(request.model).chat ?? chat)(request, context) }),
    ...(relay && { relay }),
    ...(countTokens && {
      countTokens: (request, context) => (of(request.model).countTokens ?? countTokens)(request, context),
    }),
    async close() {
      await Promise.all([google.close?.(), anthropic.close?.()]);
    },
  };
}
