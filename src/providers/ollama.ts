import { z } from 'zod';
import type { SseMessage } from '../lib/sse.ts';
import * as protocol from '../protocols/ollama.ts';
import { list, object, text } from '../protocols/read.ts';
import { apiSettings, type Dialect, defineProvider, type FrameParser, keysOf } from './define.ts';
import { createHttpProvider } from './http.ts';
import { openaiChat, openaiEmbed } from './openai-dialect.ts';

/** Ollama's native chat, so that num_ctx, thinking and timings are had; OpenAI's is relayed. */
const nativeChat: Dialect = {
  protocol: 'ollama',
  path: '/api/chat',
  encodeRequest: protocol.encodeRequest,
  createStreamDecoder: protocol.createStreamDecoder,
  decodeResponse: protocol.decodeResponse,
  decodeError: protocol.decodeError,
  createFrames: createLineParser,
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

/** NDJSON: each line is one message's data. */
export function createLineParser(): FrameParser {
  const decoder = new TextDecoder();
  let rest = '';
  const messages = (lines: string[]): SseMessage[] => lines.filter((line) => line.trim()).map((data) => ({ data }));
  return {
    push(chunk) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      return messages(lines);
    },
    end: () => messages([rest + decoder.decode()]),
  };
}
