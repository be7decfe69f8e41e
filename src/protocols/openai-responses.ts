/**
 * The Responses API ⇄ core, as a front door and towards providers that speak it. Pure: no clock, no network, no randomness.
 * decode = wire → core, encode = core → wire.
 * Source: https://www.openresponses.org/specification, https://platform.openai.com/docs/api-reference/responses (read 2026-08)
 */
export { decodeError, encodeError } from './openai-error.ts';
export { decodeInput, refuseForeignItems, userMessage } from './openai-responses/input.ts';
export {
  decodeItems,
  encodeMessages,
  encodeReasoning,
  foreignReasoning,
  type OpenReasoning,
} from './openai-responses/messages.ts';
export { withoutSeal } from './openai-responses/output.ts';
export { createRelayScanner } from './openai-responses/relay-scanner.ts';
export { replay } from './openai-responses/replay.ts';
export { chatRequest, decodeRequest, encodeRequest } from './openai-responses/request.ts';
export { encodeFailure, encodeUsage, newResource, type ResourceHead } from './openai-responses/resource.ts';
export {
  compactRequest,
  customToolNames,
  decodeSettings,
  inputTokensRequest,
  metadata,
  neutralSettings,
  refuseForeignSettings,
  refuseHostedTools,
  type Settings,
  wantsSummary,
  wireRequest,
} from './openai-responses/settings.ts';
export { createStreamDecoder, decodeFailure, decodeResponse } from './openai-responses/stream-decoder.ts';
export { createStreamEncoder, type StreamEncoder } from './openai-responses/stream-encoder.ts';
export * from './openai-responses/wire.ts';
