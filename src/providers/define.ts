/**
 * How a provider is written. A kind of provider is one file of 20 to 40 lines that exports what `defineProvider` makes of:
 *
 *   kind      the word users write in the configuration
 *   config    a zod object of its settings, in snake_case, usually `{ ...apiSettings }` and what is its own
 *   create    settings → Provider, usually through `createHttpProvider` of http.ts with:
 *               baseUrl     scheme, host and path, to which those of dialects are appended; with keys and headers from `connectionOf`
 *               authorize   key → headers (default: `authorization: Bearer`); `sign` for schemes that need the whole request
 *               dialects    the protocols it speaks: the first serves neutral chats, every one with a scanner is relayed
 *               adapt       quirks: the body about to be sent → the body this provider wants
 *             and, as a second argument, what it can do besides chat (embed, image, rerank, models), made from `upstream.json`.
 *
 * A dialect is a protocol module of src/protocols and a path. Retries, fallback, timeouts, prices and limits are the
 * gateway's, never a provider's: a provider makes one request (several keys apart), and turns what went wrong into a
 * ViaductError.
 */
import { z } from 'zod';
import type { ChatEvent, ChatRequest, Protocol } from '../core/chat.ts';
import type { ViaductError } from '../core/errors.ts';
import type { JsonObject } from '../core/json.ts';
import type { Provider, RelayFilter, RelayScanner } from '../core/provider.ts';
import type { SseMessage } from '../lib/sse.ts';

/** A kind of provider: the settings it takes, and how to make one. */
export type ProviderKind<Config extends z.ZodObject = z.ZodObject> = {
  kind: string;
  config: Config;
  create(name: string, config: z.infer<Config>): Provider;
};

/** Only here so that `create` learns the type of its config. */
export const defineProvider = <Config extends z.ZodObject>(kind: ProviderKind<Config>): ProviderKind =>
  kind as unknown as ProviderKind;

/** Response headers as Node gives them: names in lower case. */
export type Headers = Record<string, string | string[] | undefined>;

/** Bytes → messages. Server-sent events unless the protocol has frames of its own. */
export type FrameParser = { push(chunk: Buffer): SseMessage[]; end(): SseMessage[] };

/** One protocol as this provider speaks it. The functions are those of the protocol's module. */
export type Dialect = {
  protocol: Protocol;
  /** Which models are asked in this protocol; absent: all. */
  takes?(model: string): boolean;
  /** Below the base URL, beginning with a slash. */
  path: string | ((model: string, stream: boolean) => string);
  encodeRequest(request: ChatRequest): JsonObject;
  createStreamDecoder(): { push(message: SseMessage): ChatEvent[]; end(): ChatEvent[] };
  decodeResponse(body: JsonObject): ChatEvent[];
  /** A reply of status 400 and above → what the client is told. `text` is the body, cut at 64 KB. */
  decodeError(status: number, headers: Headers, text: string): ViaductError;
  /** Absent: the protocol is not relayed. */
  createRelayScanner?: () => RelayScanner;
  createFrames?: () => FrameParser;
  /**
   * What relaying must add to the client's own body (asking for usage), and the filter that takes the consequence out
   * of the reply again.
   */
  forRelay?(body: JsonObject, stream: boolean): { body: JsonObject; filter?: RelayFilter };
};

const key = z.string().min(1, 'The key is empty: is its environment variable set?');

/** What nearly every hosted provider is configured with. */
export const apiSettings = {
  api_key: z
    .union([key, z.array(key).min(1)])
    .optional()
    .describe('One key, or several that take turns'),
  base_url: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Instead of the provider’s own address'),
  headers: z.record(z.string(), z.string()).optional().describe('Sent with every request'),
  connect_timeout: z.number().positive().optional().describe('Seconds to open a connection; 10 unless set'),
};

/** `api_key` as a list. */
export const keysOf = ({ api_key }: { api_key?: string | string[] | undefined }): string[] =>
  api_key === undefined ? [] : [api_key].flat();

/**
 * Where a provider is: the configured address, else `usual`. An address without a path gets that of `usual`, because
 * half of all documentation writes `https://host` and the other half `https://host/v1`.
 */
function baseUrlOf({ base_url }: { base_url?: string | undefined }, usual: string): string {
  if (base_url === undefined) return usual;
  const url = new URL(base_url);
  if (url.pathname !== '/') return base_url;
  url.pathname = new URL(usual).pathname;
  return url.href;
}

/** What `createHttpProvider` takes of `apiSettings`: address, keys, headers, patience. `usual` as for `baseUrlOf`. */
export const connectionOf = (
  config: { [Name in keyof typeof apiSettings]?: z.infer<(typeof apiSettings)[Name]> },
  usual: string,
) => ({
  baseUrl: baseUrlOf(config, usual),
  keys: keysOf(config),
  headers: config.headers,
  connectTimeout: config.connect_timeout,
});
