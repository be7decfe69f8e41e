import { z } from 'zod';
import { apiSettings, defineProvider, keysOf } from './define.ts';
import { createHttpProvider } from './http.ts';
import {
  openaiChat,
  openaiCompact,
  openaiEmbed,
  openaiImage,
  openaiModels,
  openaiResponses,
} from './openai-dialect.ts';
import { fitted } from './openai-models.ts';

/**
 * OpenAI's models on Azure. Without `api_version` the newer API is used, whose paths are OpenAI's own; with it the older
 * one, where a deployment's name stands in the path. https://learn.microsoft.com/azure/ai-foundry/openai/reference
 */
export const azure = defineProvider({
  kind: 'azure',
  config: z.strictObject({
    ...apiSettings,
    base_url: z.url({ protocol: /^https?$/ }).describe('https://RESOURCE.openai.azure.com'),
    api_version: z.string().optional().describe('2024-10-21, for the older API'),
  }),
  create: (name, config) => {
    const resource = config.base_url.replace(/\/(openai(\/v1)?)?\/*$/, '');
    const { api_version: version } = config;
    const deployment = (path: string) => (model: string) => `/deployments/${encodeURIComponent(model)}${path}`;
    const chat = {
      maxTokens: 'max_completion_tokens',
      reasoningHistory: 'omit',
      samplers: false,
      cacheMarks: false,
    } as const;
    const common = {
      name,
      kind: 'azure',
      keys: keysOf(config),
      authorize: (key: string): Record<string, string> => (key ? { 'api-key': key } : {}),
      headers: config.headers,
      connectTimeout: config.connect_timeout,
    };
    if (version === undefined)
      return createHttpProvider(
        {
          ...common,
          baseUrl: `${resource}/openai/v1`,
          dialects: [fitted(openaiChat(chat)), openaiResponses, openaiCompact],
        },
        (upstream) => ({ embed: openaiEmbed(upstream), image: openaiImage(upstream), models: openaiModels(upstream) }),
      );
    return createHttpProvider(
      {
        ...common,
        baseUrl: `${resource}/openai?api-version=${encodeURIComponent(version)}`,
        dialects: [fitted(openaiChat(chat, deployment('/chat/completions')))],
      },
      (upstream) => ({
        embed: (request, context) => openaiEmbed(upstream, deployment('/embeddings')(request.model))(request, context),
        image: (request, context) =>
          openaiImage(upstream, deployment('/images/generations')(request.model))(request, context),
        models: openaiModels(upstream),
      }),
    );
  },
});
