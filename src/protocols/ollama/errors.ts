/** Ollama's error shape, both ways: `{"error": "…"}`, in a stream as a line of its own. */
import type { ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';

export { decodeError, decodeErrorBody } from '../openai-error.ts';

/** Error → body of a failed reply. */
export const encodeError = (error: ViaductError): JsonObject => ({ error: error.message });

/** Error → the line that ends a stream. */
export const encodeStreamError = (error: ViaductError): string => `${JSON.stringify(encodeError(error))}\n`;
