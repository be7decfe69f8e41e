/**
 * Bedrock's Converse ⇄ core. Pure: no clock, no network, no randomness.
 * Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html (read 2026-11)
 */
export { createStreamDecoder, decodeError, decodeResponse } from './bedrock-converse/decode-reply.ts';
export { decodeRequest } from './bedrock-converse/decode-request.ts';
export { encodeRequest } from './bedrock-converse/encode-request.ts';
