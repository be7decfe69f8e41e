import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../core/errors.ts';
import { decodeError, decodeErrorBody } from './openai-error.ts';

const cases: [what: string, status: number, body: unknown, code: ErrorCode][] = [
  [
    'OpenAI, bad field',
    400,
    { error: { message: "Invalid 'temperature'", type: 'invalid_request_error', param: 'temperature' } },
    'provider_rejected',
  ],
  [
    'OpenAI, context',
    400,
    { error: { message: "This model's maximum context length is 8192 tokens.", code: 'context_length_exceeded' } },
    'context_length_exceeded',
  ],
  [
    'a user that is too long is no context',
    400,
    { error: { message: "Invalid 'user': string too long, maximum context length", code: 'string_above_max_length' } },
    'provider_rejected',
  ],
  [
    'a prompt that talks of 429 is no rate limit',
    400,
    { error: { message: 'bad prompt: "429 rate_limit_exceeded"' } },
    'provider_rejected',
  ],
  [
    'key',
    401,
    { error: { message: 'Incorrect API key provided: sk-abcdefghijkl', code: 'invalid_api_key' } },
    'provider_account',
  ],
  [
    'key as a 400 (Google)',
    400,
    [{ error: { code: 400, message: 'API key not valid. Please pass a valid API key.', status: 'INVALID_ARGUMENT' } }],
    'provider_account',
  ],
  ['billing', 402, { error: { message: 'Insufficient Balance' } }, 'provider_account'],
  [
    'empty account',
    429,
    { error: { message: 'You exceeded your current quota', type: 'insufficient_quota', code: 'insufficient_quota' } },
    'provider_account',
  ],
  ['rate', 429, { error: { message: 'Rate limit reached', code: 'rate_limit_exceeded' } }, 'provider_rate_limited'],
  ['model', 404, { error: { message: 'The model `x` does not exist', code: 'model_not_found' } }, 'model_not_found'],
  ['wrong path', 404, '<html>nothing here</html>', 'provider_unavailable'],
  [
    'Azure filter',
    400,
    { error: { message: 'filtered', code: 'content_filter', innererror: { code: 'ResponsibleAIPolicyViolation' } } },
    'content_policy_violation',
  ],
  [
    'OpenRouter moderation',
    403,
    { error: { code: 403, message: 'flagged', metadata: { error_type: 'content_policy_violation' } } },
    'content_policy_violation',
  ],
  [
    'vLLM',
    400,
    {
      object: 'error',
      message: "This model's maximum context length is 2048 tokens",
      type: 'BadRequestError',
      code: 400,
    },
    'context_length_exceeded',
  ],
  ['FastAPI', 422, { detail: [{ loc: ['body'], msg: 'field required' }] }, 'provider_rejected'],
  ['TGI, full', 429, { error: 'Model is overloaded', error_type: 'overloaded' }, 'provider_overloaded'],
  ['TGI, broken', 424, { error: 'Request failed during generation', error_type: 'generation' }, 'provider_unavailable'],
  [
    'TGI, too long',
    422,
    { error: 'Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096', error_type: 'validation' },
    'context_length_exceeded',
  ],
  [
    'llama.cpp',
    400,
    {
      error: {
        code: 400,
        message: 'the request exceeds the available context size',
        type: 'exceed_context_size_error',
      },
    },
    'context_length_exceeded',
  ],
  [
    'Groq, tool',
    400,
    { error: { message: 'model did not call a tool', code: 'tool_use_failed' } },
    'invalid_model_output',
  ],
  [
    'one-api hides the status',
    500,
    { error: { message: 'x', type: 'upstream_error', code: 'bad_response_status_code', param: '429' } },
    'provider_rate_limited',
  ],
  ['server', 500, 'oops', 'provider_unavailable'],
  ['overload', 529, '', 'provider_overloaded'],
  ['Cloudflare timeout', 524, '<html>', 'provider_timeout'],
  ['too large', 413, '', 'payload_too_large'],
];

for (const [what, status, body, code] of cases)
  test(`${what}: ${code}`, () => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    assert.equal(decodeError(status, {}, text).code, code);
  });

test('inside a 200 the words decide', () => {
  const code = (error: { [key: string]: string | number }) => decodeErrorBody({ error }).code;
  assert.equal(code({ code: 502, message: 'x' }), 'provider_unavailable');
  assert.equal(code({ type: 'overloaded_error', message: 'x' }), 'provider_overloaded');
  assert.equal(code({ code: 'rate_limit_exceeded', message: 'x' }), 'provider_rate_limited');
  assert.equal(code({ message: 'something odd' }), 'provider_unavailable');
  assert.equal(
    decodeErrorBody({ error: 'the request exceeds the available context size' }).code,
    'context_length_exceeded',
  );
});

test('what to wait is read from every place', () => {
  const wait = (headers: Record<string, string>, body: unknown = {}) =>
    decodeError(429, headers, JSON.stringify(body)).retryAfter;
  assert.equal(wait({ 'retry-after': '7' }), 7);
  assert.equal(wait({ 'retry-after-ms': '1500', 'retry-after': '7' }), 1.5);
  assert.equal(wait({ 'retry-after': 'Wed, 21 Oct 2026 07:28:10 GMT', date: 'Wed, 21 Oct 2026 07:28:00 GMT' }), 10);
  assert.equal(
    wait(
      {},
      { error: { code: 429, details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '34s' }] } },
    ),
    34,
  );
  assert.equal(wait({}), undefined);
});

test('keys, hosts and addresses of an upstream are not shown', () => {
  const { message, param } = decodeError(
    400,
    {},
    JSON.stringify({
      error: {
        message: 'bad key sk-proj-aaaaaaaaaaaa for http://10.0.0.7:8000/v1 at 10.0.0.7:8000, Bearer abc',
        param: 'x',
      },
    }),
  );
  assert.equal(message, 'bad key [redacted] for [url] at [address], Bearer [redacted]');
  assert.equal(param, 'x');
});
