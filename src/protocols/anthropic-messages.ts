/**
 * Anthropic Messages ⇄ core, as a front door and towards every upstream that speaks it. Pure: no clock, no network, no
 * randomness. decode = wire → core, encode = core → wire. Source: https://docs.anthropic.com/en/api/messages (read 2026-08)
 */
export { createStreamDecoder, decodeResponse } from './anthropic-messages/decode-reply.ts';
export { decodeRequest, refuseHostedTools, wireRequest } from './anthropic-messages/decode-request.ts';
export { createStreamEncoder, encodeResponse } from './anthropic-messages/encode-reply.ts';
export { encodeCount, encodeRequest } from './anthropic-messages/encode-request.ts';
export { decodeError, encodeError, encodeStreamError, statusOf } from './anthropic-messages/errors.ts';
export { withoutForeign } from './anthropic-messages/foreign.ts';
export { createRelayScanner } from './anthropic-messages/relay-scanner.ts';
export { decodeUsage } from './anthropic-messages/usage.ts';
