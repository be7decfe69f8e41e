/**
 * Every failure a client can see. One row = one code: its HTTP status, OpenAI's error `type`, and whether the gateway
 * may try another target after it. Front doors render the row in their own dialect.
 * Source: https://platform.openai.com/docs/guides/error-codes
 */
export const errorCodes = {
  // What the client got wrong: never retried, never sent to another target.
  invalid_request: { status: 400, type: 'invalid_request_error', fallback: false },
  invalid_json: { status: 400, type: 'invalid_request_error', fallback: false },
  invalid_json_schema: { status: 400, type: 'invalid_request_error', fallback: false },
  unsupported_parameter: { status: 400, type: 'invalid_request_error', fallback: false },
  unsupported_capability: { status: 400, type: 'invalid_request_error', fallback: true },
  context_length_exceeded: { status: 400, type: 'invalid_request_error', fallback: true },
  content_policy_violation: { status: 400, type: 'invalid_request_error', fallback: false },
  invalid_image: { status: 400, type: 'invalid_request_error', fallback: false },
  image_too_large: { status: 400, type: 'invalid_request_error', fallback: false },
  unsupported_image_format: { status: 400, type: 'invalid_request_error', fallback: false },
  image_download_failed: { status: 400, type: 'invalid_request_error', fallback: false },
  invalid_model_name: { status: 400, type: 'invalid_request_error', fallback: false },
  invalid_modelfile: { status: 400, type: 'invalid_request_error', fallback: false },
  invalid_digest: { status: 400, type: 'invalid_request_error', fallback: false },
  invalid_encrypted_content: { status: 400, type: 'invalid_request_error', fallback: false },
  previous_response_not_found: { status: 400, type: 'invalid_request_error', fallback: false },
  websocket_connection_limit_reached: { status: 400, type: 'invalid_request_error', fallback: false },
  invalid_api_key: { status: 401, type: 'authentication_error', fallback: false },
  insufficient_quota: { status: 402, type: 'insufficient_quota', fallback: false },
  permission_denied: { status: 403, type: 'permission_error', fallback: false },
  privacy_restricted: { status: 403, type: 'permission_error', fallback: false },
  not_found: { status: 404, type: 'invalid_request_error', fallback: false },
  model_not_found: { status: 404, type: 'invalid_request_error', fallback: false },
  method_not_allowed: { status: 405, type: 'invalid_request_error', fallback: false },
  request_timeout: { status: 408, type: 'timeout_error', fallback: false },
  conflict: { status: 409, type: 'invalid_request_error', fallback: false },
  precondition_failed: { status: 412, type: 'invalid_request_error', fallback: false },
  payload_too_large: { status: 413, type: 'invalid_request_error', fallback: false },
  rate_limit_exceeded: { status: 429, type: 'rate_limit_error', fallback: false },
  client_closed_request: { status: 499, type: 'invalid_request_error', fallback: false },

  // What a provider or the engine got wrong: the next target may do better.
  provider_rejected: { status: 400, type: 'invalid_request_error', fallback: false },
  provider_rate_limited: { status: 429, type: 'rate_limit_error', fallback: true },
  provider_account: { status: 502, type: 'upstream_error', fallback: true },
  provider_unavailable: { status: 502, type: 'upstream_error', fallback: true },
  provider_invalid_response: { status: 502, type: 'upstream_error', fallback: true },
  provider_overloaded: { status: 503, type: 'upstream_error', fallback: true },
  provider_timeout: { status: 504, type: 'timeout_error', fallback: true },
  model_load_failed: { status: 500, type: 'server_error', fallback: true },
  engine_unavailable: { status: 503, type: 'server_error', fallback: true },
  runner_crashed: { status: 502, type: 'server_error', fallback: true },
  queue_full: { status: 503, type: 'server_error', fallback: true },
  out_of_memory: { status: 507, type: 'server_error', fallback: true },
  invalid_model_output: { status: 502, type: 'server_error', fallback: true },

  // The model store.
  registry_unavailable: { status: 502, type: 'upstream_error', fallback: false },
  registry_invalid_response: { status: 502, type: 'upstream_error', fallback: false },
  digest_mismatch: { status: 502, type: 'upstream_error', fallback: false },
  disk_full: { status: 507, type: 'server_error', fallback: false },
  lock_drift: { status: 409, type: 'invalid_request_error', fallback: false },

  // Ours.
  internal_error: { status: 500, type: 'server_error', fallback: false },
  not_implemented: { status: 501, type: 'invalid_request_error', fallback: false },
  shutting_down: { status: 503, type: 'server_error', fallback: false },
} as const;

export type ErrorCode = keyof typeof errorCodes;

export type ErrorDetails = {
  /** Path of the offending request field, when there is one: `messages[0].content` (lib/field-path.ts). */
  param?: string | undefined;
  /** Seconds the client should wait, when the failure says so. */
  retryAfter?: number | undefined;
  /** Response headers that go with the failure: `x-ratelimit-*`. */
  headers?: Record<string, string> | undefined;
  cause?: unknown;
};

/** The only error class that crosses a folder. `message` is written for the client to read and says what to do. */
export class ViaductError extends Error {
  override readonly name = 'ViaductError';
  readonly code: ErrorCode;
  readonly param: string | undefined;
  readonly retryAfter: number | undefined;
  readonly headers: Record<string, string> | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.code = code;
    this.param = details.param;
    this.retryAfter = details.retryAfter;
    this.headers = details.headers;
  }

  get status() {
    return errorCodes[this.code].status;
  }

  get type() {
    return errorCodes[this.code].type;
  }

  /** True when the next target of the route may be tried. */
  get fallback() {
    return errorCodes[this.code].fallback;
  }

  /** Anything thrown, as a ViaductError. A stranger becomes `internal_error`, its details kept in `cause` for the log. */
  static from(error: unknown): ViaductError {
    if (error instanceof ViaductError) return error;
    return new ViaductError('internal_error', 'Something went wrong inside the server; its log has the details.', {
      cause: error,
    });
  }
}
