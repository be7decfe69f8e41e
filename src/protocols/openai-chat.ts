/**
 * OpenAI Chat Completions ⇄ core, as a front door and towards every upstream that speaks it. Pure: no clock, no network, no
 * randomness. decode = wire → core, encode = core → wire. Source: https://platform.openai.com/docs/api-reference/chat (read 2026-08)
 */
export { customToolNames } from './openai-chat/custom-tools.ts';
export { createStreamDecoder, decodeResponse } from './openai-chat/decode-reply.ts';
export { decodeRequest, wireRequest } from './openai-chat/decode-request.ts';
export {
  createStreamEncoder,
  encodeResponse,
  encodeStreamError,
  encodeUsage,
  type ReplyContext,
  type StreamContext,
  type StreamEncoder,
} from './openai-chat/encode-reply.ts';
export { type ChatDialect, encodeRequest } from './openai-chat/encode-request.ts';
export { createRelayScanner } from './openai-chat/relay-scanner.ts';
export { decodeUsage } from './openai-chat/usage.ts';
export { decodeError, decodeErrorBody, encodeError } from './openai-error.ts';
