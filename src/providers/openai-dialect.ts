/** OpenAI's protocols as a provider speaks them: shared by every kind that is OpenAI-shaped. */

import { ViaductError } from '../core/errors.ts';
import { isObject, type JsonObject } from '../core/json.ts';
import type { Capability, ModelInfo, RelayFilter } from '../core/provider.ts';
import * as chat from '../protocols/openai-chat.ts';
import * as completions from '../protocols/openai-completions-reply.ts';
import * as embeddings from '../protocols/openai-embeddings.ts';
import * as responses from '../protocols/openai-responses.ts';
import { count, list, object } from '../protocols/read.ts';
import type { Dialect } from './define.ts';
import type { Extras, Upstream } from './http.ts';

/** Chat completions, translated and relayed. `quirks` says where the provider differs. */
export function openaiChat(quirks: chat.ChatDialect = {}, path: Dialect['path'] = '/chat/completions'): Dialect {
  return {
    protocol: 'openai-chat',
    path,
    encodeRequest: (request) => chat.encodeRequest(request, quirks),
    createStreamDecoder: chat.createStreamDecoder,
    decodeResponse: chat.decodeResponse,
    decodeError: chat.decodeError,
    createRelayScanner: chat.createRelayScanner,
    forRelay: (body, stream) => (stream && quirks.streamUsage !== false ? askForUsage(body) : { body }),
  };
}

/** The Responses API, relayed. */
export const openaiResponses: Dialect = {
  protocol: 'openai-responses',
  path: '/responses',
  encodeRequest: responses.encodeRequest,
  createStreamDecoder: responses.createStreamDecoder,
  decodeResponse: responses.decodeResponse,
  decodeError: responses.decodeError,
  createRelayScanner: responses.createRelayScanner,
};

/** POST /responses/compact, relayed: the provider's own summary, which only it can read. */
export const openaiCompact: Dialect = {
  ...openaiResponses,
  protocol: 'openai-responses-compact',
  path: '/responses/compact',
  decodeError(status, headers, text) {
    const error = responses.decodeError(status, headers, text);
    // Behind the address may be another server, which knows no such path: no fault of the address, and nothing to try again.
    if ((status !== 404 && status !== 405) || error.code !== 'provider_unavailable') return error;
    return new ViaductError('unsupported_capability', 'The provider has no compaction of its own.', { cause: error });
  },
};

/**
 * Legacy completions, relayed: a prompt as it is, several of them, `echo`, `best_of`. Whatever else speaks is asked for
 * chats.
 */
export const openaiCompletions = (takes?: (model: string) => boolean): Dialect => ({
  ...openaiChat({}, '/completions'),
  protocol: 'openai-completions',
  ...(takes && { takes }),
  createStreamDecoder: completions.createStreamDecoder,
  decodeResponse: completions.decodeResponse,
});

/** Usage of a stream comes only when asked for. A client that did not ask does not get the chunk that carries it. */
function askForUsage(body: JsonObject): { body: JsonObject; filter?: RelayFilter } {
  const asked = object(body['stream_options']);
  if (asked['include_usage'] === true) return { body };
  return { body: { ...body, stream_options: { ...asked, include_usage: true } }, filter: createUsageFilter() };
}

const nothing: Buffer = Buffer.alloc(0);
const marks = ['"choices":[]', '"choices": []'].map((mark) => Buffer.from(mark));

/** Takes events out that have usage and no choice. Bytes of an event that is not whole yet wait for the rest. */
function createUsageFilter(): RelayFilter {
  let rest = nothing;
  return {
    push(chunk) {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const until = Math.max(bytes.lastIndexOf('\n\n') + 2, bytes.lastIndexOf('\r\n\r\n') + 4);
      if (until < 4) {
        rest = bytes;
        return nothing;
      }
      rest = bytes.subarray(until);
      return withoutUsage(bytes.subarray(0, until));
    },
    end() {
      const last = withoutUsage(rest);
      rest = nothing;
      return last;
    },
  };
}

function withoutUsage(events: Buffer): Buffer {
  if (!marks.some((mark) => events.includes(mark))) return events;
  const kept = events
    .toString('latin1')
    .split(/(?<=\r?\n\r?\n)/)
    .filter((event) => !(/"choices": ?\[\]/.test(event) && /"usage": ?\{/.test(event)));
  return Buffer.from(kept.join(''), 'latin1');
}

/** POST /embeddings. `adapt` makes the body one that this provider knows. */
export const openaiEmbed = (
  upstream: Upstream,
  path = '/embeddings',
  adapt: (body: JsonObject) => JsonObject = (body) => body,
): NonNullable<Extras['embed']> =>
  async function embed(request, context) {
    const body = adapt(embeddings.encodeRequest(request));
    const result = embeddings.decodeResponse(await upstream.json(path, body, context));
    if (!result)
      throw new ViaductError('provider_invalid_response', 'The provider answered with something that is no embedding.');
    return result;
  };

/** POST /images/generations: OpenAI's body both ways. */
export const openaiImage =
  (upstream: Upstream, path = '/images/generations'): NonNullable<Extras['image']> =>
  ({ body }, context) =>
    upstream.json(path, body, context);

/**
 * GET /models. Source: https://platform.openai.com/docs/api-reference/models/list; vLLM and OpenRouter add the
 * context's length.
 */
export const openaiModels = (upstream: Upstream, path = '/models') =>
  async function models(signal: AbortSignal): Promise<ModelInfo[]> {
    const { data } = await upstream.get(path, signal);
    return list(data).flatMap((entry): ModelInfo[] => {
      if (!isObject(entry) || typeof entry['id'] !== 'string') return [];
      const context = entry['context_length'] ?? entry['max_model_len'] ?? entry['context_window'];
      const most = entry['max_completion_tokens'] ?? object(entry['top_provider'])['max_completion_tokens'];
      const capabilities = listedAbilities(entry);
      return [
        {
          id: entry['id'],
          ...(typeof entry['created'] === 'number' && { created: entry['created'] * 1000 }),
          ...(typeof context === 'number' && { contextLength: context }),
          ...(typeof most === 'number' && { maxOutput: most }),
          ...(capabilities && { capabilities }),
          ...(typeof entry['owned_by'] === 'string' && { ownedBy: entry['owned_by'] }),
        },
      ];
    });
  };

/**
 * What OpenRouter's list says of a model; others are silent. Source:
 * https://openrouter.ai/docs/api-reference/list-available-models
 */
function listedAbilities({ supported_parameters, architecture }: JsonObject): Capability[] | undefined {
  if (!Array.isArray(supported_parameters)) return undefined;
  const takes = (name: string) => supported_parameters.includes(name);
  return [
    'completion',
    ...(takes('tools') ? (['tools'] as const) : []),
    ...(list(object(architecture)['input_modalities']).includes('image') ? (['vision'] as const) : []),
    ...(takes('reasoning') ? (['thinking'] as const) : []),
    ...(takes('structured_outputs') ? (['json'] as const) : []),
  ];
}

/** POST /rerank, as Cohere, Jina, vLLM and TEI have it. Source: https://docs.cohere.com/reference/rerank */
export const cohereRerank = (upstream: Upstream, path = '/rerank'): NonNullable<Extras['rerank']> =>
  async function rerank({ model, query, documents, topN }, context) {
    const body = { model, query, documents, ...(topN !== undefined && { top_n: topN }) };
    const reply = await upstream.json(path, body, context);
    return {
      model,
      results: list(reply['results'])
        .filter(isObject)
        .map((entry) => ({ index: Number(entry['index']), score: Number(entry['relevance_score'] ?? entry['score']) })),
      usage: { input: count(object(reply['usage'])['total_tokens']), output: 0 },
    };
  };
