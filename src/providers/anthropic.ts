import { z } from 'zod';
import type { ModelInfo } from '../core/provider.ts';
import * as messages from '../protocols/anthropic-messages.ts';
import { describer } from './abilities.ts';
import { apiSettings, connectionOf, type Dialect, defineProvider } from './define.ts';
import { createHttpProvider, type Upstream } from './http.ts';

const anthropicMessages: Dialect = {
  protocol: 'anthropic-messages',
  path: '/messages',
  encodeRequest: messages.encodeRequest,
  createStreamDecoder: messages.createStreamDecoder,
  decodeResponse: messages.decodeResponse,
  decodeError: messages.decodeError,
  createRelayScanner: messages.createRelayScanner,
};

/** Anthropic's own API. https://docs.anthropic.com/en/api */
export const anthropic = defineProvider({
  kind: 'anthropic',
  config: z.strictObject({
    ...apiSettings,
    beta: z.array(z.string()).optional().describe('Sent as anthropic-beta'),
  }),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'anthropic',
        ...connectionOf(config, 'https://api.anthropic.com/v1'),
        authorize: (key) => ({ 'x-api-key': key }),
        headers: {
          'anthropic-version': '2023-06-01',
          ...(config.beta && { 'anthropic-beta': config.beta.join(',') }),
          ...config.headers,
        },
        dialects: [anthropicMessages],
        adapt: messages.withoutForeign,
      },
      (upstream) => ({
        models: listModels(upstream),
        describe: describer('anthropic'),
        async countTokens(request, context) {
          const { input_tokens } = await upstream.json(
            '/messages/count_tokens',
            messages.encodeCount(request),
            context,
          );
          return Number(input_tokens);
        },
      }),
    ),
});

const listModels = (upstream: Upstream) =>
  async function models(signal: AbortSignal): Promise<ModelInfo[]> {
    const { data } = await upstream.get('/models?limit=1000', signal);
    if (!Array.isArray(data)) return [];
    return data.flatMap((entry): ModelInfo[] =>
      entry !== null && typeof entry === 'object' && !Array.isArray(entry) && typeof entry['id'] === 'string'
        ? [{ id: entry['id'], created: Date.parse(String(entry['created_at'])), ownedBy: 'anthropic' }]
        : [],
    );
  };
