/** Anthropic's error shape, both ways. Source: https://docs.anthropic.com/en/api/errors */
import { type ErrorCode, ViaductError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/json.ts';
import { dottedPath } from '../../lib/field-path.ts';
import {
  decodeErrorBody as classifyBody,
  decodeError as classifyReply,
  type UpstreamHeaders,
} from '../openai-error.ts';
import { object, parseObject, text } from '../read.ts';

const typeOfStatus: Record<number, string> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  402: 'billing_error',
  403: 'permission_error',
  404: 'not_found_error',
  408: 'timeout_error',
  409: 'conflict_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  504: 'timeout_error',
  529: 'overloaded_error',
};

const overloaded: ReadonlySet<ErrorCode> = new Set(['provider_overloaded', 'queue_full']);

/** Anthropic's own status for "too busy", which its clients wait at, is 529. */
export const statusOf = (error: ViaductError): number => (overloaded.has(error.code) ? 529 : error.status);

const encodeErrorObject = (error: ViaductError): JsonObject => ({
  type: typeOfStatus[statusOf(error)] ?? (error.status < 500 ? 'invalid_request_error' : 'api_error'),
  message: messageOf(error),
});

/** Anthropic's errors have no field that names the culprit: its messages begin with it. */
function messageOf({ message, param = '' }: ViaductError): string {
  if (!/^(messages|tools)[.[]/.test(param)) return message;
  const path = dottedPath(param).replace(/^(tools\.\d+)\.function\.parameters/, '$1.input_schema');
  return message.startsWith(path) ? message : `${path}: ${message}`;
}

/** Error → body of a failed reply. */
export function encodeError(error: ViaductError, requestId: string): JsonObject {
  return { type: 'error', error: encodeErrorObject(error), ...(requestId !== '' && { request_id: requestId }) };
}

/** Error → the event that ends a stream. */
export function encodeStreamError(error: ViaductError): string {
  return `event: error\ndata: ${JSON.stringify({ type: 'error', error: encodeErrorObject(error) })}\n\n`;
}

/** A failed reply of an upstream → the error our client sees. */
export function decodeError(status: number, headers: UpstreamHeaders, body: string): ViaductError {
  const special = status === 400 ? specialCase(parseObject(body) ?? {}) : undefined;
  return special ?? classifyReply(status, headers, body);
}

/** `{type: "error", error: {type, message}}` inside a stream or reply of status 200. */
export const decodeErrorBody = (body: JsonObject): ViaductError => specialCase(body) ?? classifyBody(body);

/** What Anthropic says with a plain invalid_request_error, told apart by its words. */
function specialCase(body: JsonObject): ViaductError | undefined {
  const { type, message } = object(body['error']);
  if (type !== 'invalid_request_error') return undefined;
  const said = text(message).toLowerCase();
  if (said.includes('credit balance'))
    return new ViaductError(
      'provider_account',
      "The provider refused this server's key or account; its administrator has to mend that.",
    );
  if (said.includes('content filtering policy'))
    return new ViaductError('content_policy_violation', 'The provider blocked this by its content policy.');
  if (said.includes('could not process image'))
    return new ViaductError('invalid_image', 'The provider could not read the image.', { param: 'messages' });
  return undefined;
}
