/** Ollama's error shape, both ways: `{"error": "…"}`, in a stream as a line of its own. */
import type { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';

export { decodeError, decodeErrorBody } from '../openai-error.ts';

/** Error → body of a failed reply. Clients of Ollama look for "not found" before they offer to pull. */
export const encodeError = ({ code, message }: ViaductError): JsonObject => ({
  error: code === 'model_not_found' && !message.includes('not found') ? `model not found: ${message}` : message,
});

/** Error → the line that ends a stream. */
export const encodeStreamError = (error: ViaductError): string => `${JSON.stringify(encodeError(error))}\n`;
