/**
 * Gemini's generateContent ⇄ core, towards the Gemini API and Vertex. Pure: no clock, no network, no randomness.
 * Source: https://ai.google.dev/api/generate-content (read 2026-11)
 */
export { createStreamDecoder, decodeError, decodeResponse } from './gemini/decode-reply.ts';
export { decodeRequest } from './gemini/decode-request.ts';
export { encodeRequest } from './gemini/encode-request.ts';
