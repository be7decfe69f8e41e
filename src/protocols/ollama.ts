/**
 * Ollama's native API ⇄ core, as a front door and towards Ollama servers (their /api/chat). Pure: no network, no randomness.
 * decode = wire → core, encode = core → wire. Source: https://docs.ollama.com/api (read 2026-08)
 */
export { createStreamDecoder, decodeResponse } from './ollama/decode-reply.ts';
export { decodeGenerate, decodeRequest, wireChat, wireGenerate } from './ollama/decode-request.ts';
export { decodeEmbed, decodeEmbeddings, wireEmbed, wireEmbeddings } from './ollama/embed.ts';
export {
  createChatEncoder,
  createGenerateEncoder,
  encodeChatLoad,
  encodeChatResponse,
  encodeGenerateLoad,
  encodeGenerateResponse,
  type ReplyContext,
} from './ollama/encode-reply.ts';
export { encodeRequest } from './ollama/encode-request.ts';
export { decodeError, encodeError, encodeStreamError } from './ollama/errors.ts';
export { createRelayScanner } from './ollama/relay-scanner.ts';
