import { z } from 'zod';
import { createNdjsonParser } from '../lib/ndjson.ts';
import * as protocol from '../protocols/ollama.ts';
import { list, object, text } from '../protocols/read.ts';
import { apiSettings, type Dialect, defineProvider, keysOf } from './define.ts';
import { withBytes } from './download.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiEmbed } from './openai-dialect.ts';

/** Ollama's native chat, so that num_ctx, thinking and timings are had. */
const nativeChat: Dialect = {
  protocol: 'ollama',
  path: '/api/chat',
  encodeRequest: protocol.encodeRequest,
  createStreamDecoder: protocol.createStreamDecoder,
  decodeResponse: protocol.decodeResponse,
  decodeError: protocol.decodeError,
  createRelayScanner: protocol.createRelayScanner,
  createFrames: createNdjsonParser,
};

/** An Ollama server elsewhere. https://docs.ollama.com/api */
export const ollama = defineProvider({
  kind: 'ollama',
  config: z.strictObject(apiSettings),
  create: (name, config) =>
    createHttpProvider(
      {
        name,
        kind: 'ollama',
        baseUrl: (config.base_url ?? 'http://127.0.0.1:11434').replace(/\/v1\/?$/, ''),
        keys: keysOf(config),
        headers: config.headers,
        connectTimeout: config.connect_timeout,
        prepare: withBytes(),
        dialects: [nativeChat, openaiChat({ developerRole: 'system', cacheMarks: false }, '/v1/chat/completions')],
      },
      (upstream) => ({
        embed: openaiEmbed(upstream, '/v1/embeddings'),
        async models(signal) {
          const { models } = await upstream.get('/api/tags', signal);
          return list(models).map((entry) => ({ id: text(object(entry)['name']), ownedBy: 'ollama' }));
        },
      }),
    ),
});
