/** What providers answer when they refuse, as seen in public recordings and documentation; shapes and codes are theirs, names are ours. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ErrorCode } from '../core/errors.ts';
import { decodeError as anthropic } from './anthropic-messages.ts';
import { decodeError as bedrock } from './bedrock-converse.ts';
import { decodeError as gemini } from './gemini.ts';
import { decodeError as openai } from './openai-error.ts';

type Case = [status: number, body: unknown, code: ErrorCode];

const error = (message: string, more: object = {}) => ({ error: { message, ...more } });
const google = (code: number, status: string, message: string) => error(message, { code, status });

const openaiShaped: Record<string, Case[]> = {
  openai: [
    [
      403,
      error('Project `proj_x` does not have access to model `gpt-9`', { code: 'model_not_found' }),
      'model_not_found',
    ],
    [403, error('Country not supported', { code: 'unsupported_country_region_territory' }), 'provider_account'],
    [400, error('Rejected by our safety system', { code: 'moderation_blocked' }), 'content_policy_violation'],
    [
      400,
      error('Your prompt was flagged as potentially violating our policy', { code: 'invalid_prompt' }),
      'content_policy_violation',
    ],
    [400, error('Error while downloading the file', { code: 'invalid_image_url' }), 'image_download_failed'],
    [400, error('You uploaded an unsupported image', { code: 'invalid_image_format' }), 'unsupported_image_format'],
    [400, error('The image could not be read', { code: 'image_parse_error' }), 'invalid_image'],
    [
      400,
      error("'max_tokens' is not supported with this model", { code: 'unsupported_parameter', param: 'max_tokens' }),
      'provider_rejected',
    ],
    [500, error('The server had an error', { type: 'server_error' }), 'provider_unavailable'],
    [503, error('Slow down', { type: 'server_error' }), 'provider_overloaded'],
  ],
  azure: [
    [
      404,
      error('The API deployment for this resource does not exist.', { code: 'DeploymentNotFound' }),
      'model_not_found',
    ],
    [404, error('Resource not found', { code: '404' }), 'provider_unavailable'],
    [401, error('Access denied due to invalid subscription key', { code: '401' }), 'provider_account'],
    [429, error('Exceeded call rate limit. Retry after 6 seconds.', { code: '429' }), 'provider_rate_limited'],
  ],
  deepseek: [
    [
      400,
      error('Model Not Exist', { type: 'invalid_request_error', code: 'invalid_request_error' }),
      'model_not_found',
    ],
    [
      401,
      error('Authentication Fails', { type: 'authentication_error', code: 'invalid_request_error' }),
      'provider_account',
    ],
    [402, error('Insufficient Balance', { type: 'unknown_error', code: 'invalid_request_error' }), 'provider_account'],
    [422, error('Failed to deserialize the JSON body', { type: 'invalid_request_error' }), 'provider_rejected'],
  ],
  qwen: [
    [
      400,
      error('Input data may contain inappropriate content.', { code: 'data_inspection_failed' }),
      'content_policy_violation',
    ],
    [
      400,
      error('Input data may contain inappropriate content.', { code: 'DataInspectionFailed' }),
      'content_policy_violation',
    ],
    [400, error('Make sure your account is in good standing.', { code: 'Arrearage' }), 'provider_account'],
    [
      400,
      error('<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 98304]', {
        code: 'invalid_parameter_error',
      }),
      'context_length_exceeded',
    ],
    [
      403,
      error('The free tier of the model has been exhausted', { code: 'AllocationQuota.FreeTierOnly' }),
      'provider_account',
    ],
  ],
  'forced calls': [
    [
      400,
      error('Thinking mode does not support this tool_choice', { type: 'invalid_request_error' }),
      'unsupported_capability',
    ],
    [
      400,
      error(
        '<400> InternalError.Algo.InvalidParameter: The tool_choice parameter does not support being set to required or object in thinking mode',
        { code: 'invalid_parameter_error' },
      ),
      'unsupported_capability',
    ],
  ],
  kimi: [
    [
      400,
      error('The request was rejected because it was considered high risk', { type: 'content_filter' }),
      'content_policy_violation',
    ],
    [
      400,
      error('Invalid request: Your request exceeded model token limit: 8192', { type: 'invalid_request_error' }),
      'context_length_exceeded',
    ],
    [
      404,
      error('Not found the model kimi-x or Permission denied', { type: 'resource_not_found_error' }),
      'model_not_found',
    ],
    [429, error('The engine is currently overloaded', { type: 'engine_overloaded_error' }), 'provider_overloaded'],
    [429, error('You exceeded your current quota', { type: 'exceeded_current_quota_error' }), 'provider_account'],
  ],
  grok: [
    [
      400,
      { code: 'Client specified an invalid argument', error: 'Incorrect API key provided: xa***.' },
      'provider_account',
    ],
    [
      400,
      {
        code: 'Client specified an invalid argument',
        error: "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
      },
      'context_length_exceeded',
    ],
    [
      403,
      {
        code: 'The caller does not have permission to execute the specified operation',
        error: 'Content violates usage guidelines.',
      },
      'content_policy_violation',
    ],
    [
      403,
      {
        code: 'The caller does not have permission to execute the specified operation',
        error: 'Your team has no credits.',
      },
      'provider_account',
    ],
    [
      404,
      { code: 'Some requested entity was not found', error: 'The model grok-x does not exist.' },
      'model_not_found',
    ],
    [429, { code: 'Some resource has been exhausted', error: 'Too many requests' }, 'provider_rate_limited'],
  ],
  mistral: [
    [
      400,
      { object: 'error', message: 'Invalid model: mistral-x', type: 'invalid_model', param: null, code: '1500' },
      'model_not_found',
    ],
    [
      400,
      {
        object: 'error',
        message: 'Prompt contains 40000 tokens, too large for model with 32768 maximum context length',
        type: 'invalid_request_error',
        code: '3051',
      },
      'context_length_exceeded',
    ],
    [401, { message: 'Unauthorized', request_id: 'x' }, 'provider_account'],
    [401, { detail: 'Unauthorized' }, 'provider_account'],
    [
      422,
      { detail: [{ type: 'extra_forbidden', loc: ['body', 'x'], msg: 'Extra inputs are not permitted' }] },
      'provider_rejected',
    ],
    [
      429,
      {
        object: 'error',
        message: 'Service tier capacity exceeded for this model.',
        type: 'service_tier_capacity_exceeded',
        code: '3505',
      },
      'provider_rate_limited',
    ],
  ],
  groq: [
    [
      404,
      error('The model `x` does not exist or you do not have access to it.', { code: 'model_not_found' }),
      'model_not_found',
    ],
    [400, error('The model `x` has been decommissioned', { code: 'model_decommissioned' }), 'model_not_found'],
    [
      400,
      error('json mode cannot be combined with tool/function calling', { param: 'response_format' }),
      'provider_rejected',
    ],
    [
      413,
      error('Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000', {
        type: 'tokens',
        code: 'rate_limit_exceeded',
      }),
      'provider_rate_limited',
    ],
    [
      413,
      error('Request Entity Too Large', { type: 'invalid_request_error', code: 'request_too_large' }),
      'payload_too_large',
    ],
    [498, error('Flex tier capacity exceeded', { type: 'capacity_exceeded' }), 'provider_overloaded'],
  ],
  openrouter: [
    [400, error('foo/bar is not a valid model ID', { code: 400 }), 'model_not_found'],
    [
      403,
      error('Your chosen model requires moderation and your input was flagged', {
        code: 403,
        metadata: { reasons: ['violence'], flagged_input: 'x' },
      }),
      'content_policy_violation',
    ],
    [404, error('No endpoints found that support tool use.', { code: 404 }), 'unsupported_capability'],
    [404, error('No endpoints found that support image input', { code: 404 }), 'unsupported_capability'],
    [404, error('No endpoints found for foo/bar.', { code: 404 }), 'model_not_found'],
    [408, error('Timed out', { code: 408 }), 'provider_timeout'],
    [
      502,
      error('Provider returned error', { code: 502, metadata: { provider_name: 'P', raw: 'x' } }),
      'provider_unavailable',
    ],
  ],
  vllm: [
    [
      400,
      {
        object: 'error',
        message: 'The decoder prompt (length 3000) is longer than the maximum model length of 2048.',
        type: 'BadRequestError',
        code: 400,
      },
      'context_length_exceeded',
    ],
    [
      400,
      error(
        "You passed 2049 input tokens and requested 1 output tokens. However, the model's context length is only 2048 tokens.",
        { type: 'BadRequestError', code: 400 },
      ),
      'context_length_exceeded',
    ],
    [
      400,
      error('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set', {
        type: 'BadRequestError',
        code: 400,
      }),
      'unsupported_capability',
    ],
    [404, error('The model `x` does not exist.', { type: 'NotFoundError', code: 404 }), 'model_not_found'],
  ],
  tgi: [
    [
      422,
      {
        error: 'Input validation error: `inputs` must have less than 4095 tokens. Given: 9000',
        error_type: 'validation',
      },
      'context_length_exceeded',
    ],
  ],
  ollama: [
    [404, { error: 'model "x" not found, try pulling it first' }, 'model_not_found'],
    [400, { error: 'registry/library/x does not support thinking' }, 'unsupported_capability'],
    [500, { error: 'this model is missing data required for image input' }, 'unsupported_capability'],
    [500, { error: 'model requires more system memory (5.5 GiB) than is available (3.1 GiB)' }, 'provider_unavailable'],
  ],
  'other gateways': [
    [
      400,
      error('Budget has been exceeded! Current cost: 2, Max budget: 1', { type: 'budget_exceeded', code: '400' }),
      'provider_account',
    ],
    [400, error("Invalid model 'x'.", { type: 'invalid_model', code: 400 }), 'model_not_found'],
    [529, '<html>Site is overloaded</html>', 'provider_overloaded'],
    [522, '<html>Connection timed out</html>', 'provider_timeout'],
    [520, '<html>Web server is returning an unknown error</html>', 'provider_unavailable'],
  ],
};

const others: [name: string, decode: typeof openai, cases: Case[]][] = [
  [
    'anthropic',
    anthropic,
    [
      [
        400,
        {
          type: 'error',
          error: { type: 'invalid_request_error', message: 'prompt is too long: 210000 tokens > 200000 maximum' },
        },
        'context_length_exceeded',
      ],
      [
        400,
        {
          type: 'error',
          error: { type: 'invalid_request_error', message: 'tools.0.custom.input_schema.type: Field required' },
        },
        'provider_rejected',
      ],
      [
        400,
        {
          type: 'error',
          error: {
            type: 'invalid_request_error',
            message: 'tool_choice: type "tool" and "any" are not supported for this model.',
          },
        },
        'unsupported_capability',
      ],
      [402, { type: 'error', error: { type: 'billing_error', message: 'Billing' } }, 'provider_account'],
      [403, { type: 'error', error: { type: 'permission_error', message: 'No' } }, 'provider_account'],
      [404, { type: 'error', error: { type: 'not_found_error', message: 'model: claude-x' } }, 'model_not_found'],
      [
        413,
        { type: 'error', error: { type: 'request_too_large', message: 'Request exceeds the maximum size' } },
        'payload_too_large',
      ],
      [
        429,
        {
          type: 'error',
          error: {
            type: 'rate_limit_error',
            message: 'Number of request tokens has exceeded your per-minute rate limit',
          },
        },
        'provider_rate_limited',
      ],
      [500, { type: 'error', error: { type: 'api_error', message: 'Internal server error' } }, 'provider_unavailable'],
      [504, { type: 'error', error: { type: 'timeout_error', message: 'Request timed out' } }, 'provider_timeout'],
      [529, { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }, 'provider_overloaded'],
    ],
  ],
  [
    'gemini',
    gemini,
    [
      [400, google(400, 'INVALID_ARGUMENT', 'API key expired. Please renew the API key.'), 'provider_account'],
      [400, google(400, 'FAILED_PRECONDITION', 'User location is not supported for the API use.'), 'provider_account'],
      [
        400,
        google(400, 'INVALID_ARGUMENT', 'Request payload size exceeds the limit: 20971520 bytes.'),
        'payload_too_large',
      ],
      [400, google(400, 'INVALID_ARGUMENT', 'Unable to process input image.'), 'invalid_image'],
      [400, google(400, 'INVALID_ARGUMENT', 'Provided image is not valid.'), 'invalid_image'],
      [
        400,
        google(400, 'INVALID_ARGUMENT', 'Function calling is not enabled for models/gemma-x'),
        'unsupported_capability',
      ],
      [
        400,
        google(400, 'INVALID_ARGUMENT', 'Image input modality is not enabled for models/gemma-x'),
        'unsupported_capability',
      ],
      [400, google(400, 'INVALID_ARGUMENT', 'JSON mode is not enabled for this model'), 'unsupported_capability'],
      [400, google(400, 'INVALID_ARGUMENT', 'LogProbs is not supported in streaming mode'), 'unsupported_capability'],
      [
        400,
        google(400, 'INVALID_ARGUMENT', 'Thinking level MINIMAL is not supported for this model.'),
        'provider_rejected',
      ],
      [403, google(403, 'PERMISSION_DENIED', 'The API has not been used in project 1 before'), 'provider_account'],
      [404, google(404, 'NOT_FOUND', 'models/x is not found for API version v1beta'), 'model_not_found'],
      [
        404,
        [google(404, 'NOT_FOUND', 'Publisher Model `projects/p/locations/l/publishers/google/models/x` was not found')],
        'model_not_found',
      ],
      [429, google(429, 'RESOURCE_EXHAUSTED', 'You exceeded your current quota'), 'provider_rate_limited'],
      [500, google(500, 'INTERNAL', 'An internal error has occurred.'), 'provider_unavailable'],
      [503, google(503, 'UNAVAILABLE', 'The model is overloaded.'), 'provider_overloaded'],
      [504, google(504, 'DEADLINE_EXCEEDED', 'The request timed out.'), 'provider_timeout'],
    ],
  ],
];

const bedrockCases: [status: number, type: string, message: string, code: ErrorCode][] = [
  [400, 'ValidationException', 'Input is too long for requested model.', 'context_length_exceeded'],
  [400, 'ValidationException', 'The provided model identifier is invalid.', 'model_not_found'],
  [
    400,
    'ValidationException',
    'Invocation of model ID x with on-demand throughput isn’t supported. Retry your request with the ID or ARN of an inference profile.',
    'model_not_found',
  ],
  [400, 'ValidationException', "This model doesn't support tool use.", 'unsupported_capability'],
  [400, 'ValidationException', "This model doesn't support tool use in streaming mode.", 'unsupported_capability'],
  [
    400,
    'ValidationException',
    "This model doesn't support the image content block that you provided.",
    'unsupported_capability',
  ],
  [
    400,
    'ValidationException',
    'The model returned the following errors: tool_choice: type "tool" and "any" are not supported for this model.',
    'unsupported_capability',
  ],
  [
    400,
    'ValidationException',
    "This model doesn't support the temperature field. Remove temperature and try again.",
    'provider_rejected',
  ],
  [403, 'AccessDeniedException', "You don't have access to the model with the specified model ID.", 'model_not_found'],
  [403, 'AccessDeniedException', 'User is not authorized to perform: bedrock:InvokeModel', 'provider_account'],
  [403, 'InvalidSignatureException', 'The request signature we calculated does not match', 'provider_account'],
  [403, 'IncompleteSignatureException', 'Missing', 'provider_account'],
  [403, 'MissingAuthenticationTokenException', 'Missing Authentication Token', 'provider_account'],
  [403, 'ExpiredTokenException', 'The security token included in the request is expired', 'provider_account'],
  [404, 'UnknownOperationException', '', 'provider_unavailable'],
  [404, 'ResourceNotFoundException', 'This model version has reached the end of its life.', 'model_not_found'],
  [429, 'ThrottlingException', 'Too many tokens, please wait before trying again.', 'provider_rate_limited'],
  [429, 'ModelNotReadyException', 'Model is not ready for inference.', 'provider_overloaded'],
  [424, 'ModelErrorException', 'The model failed', 'provider_unavailable'],
  [503, 'ServiceUnavailableException', 'Bedrock is unable to process your request.', 'provider_overloaded'],
];

const bodyOf = (body: unknown) => (typeof body === 'string' ? body : JSON.stringify(body));

describe('what providers say when they refuse', () => {
  for (const [name, cases] of Object.entries(openaiShaped))
    for (const [status, body, code] of cases)
      test(`${name}, ${status}: ${bodyOf(body).slice(0, 90)}`, () => {
        assert.equal(openai(status, {}, bodyOf(body)).code, code);
      });
  for (const [name, decode, cases] of others)
    for (const [status, body, code] of cases)
      test(`${name}, ${status}: ${bodyOf(body).slice(0, 110)}`, () => {
        assert.equal(decode(status, {}, bodyOf(body)).code, code);
      });
  for (const [status, type, message, code] of bedrockCases)
    test(`bedrock, ${status} ${type}: ${message.slice(0, 60)}`, () => {
      assert.equal(
        bedrock(status, { 'x-amzn-errortype': `${type}:http://internal/` }, JSON.stringify({ message })).code,
        code,
      );
    });
  test('bedrock: the exception may stand deep in the body', () => {
    const body = { Output: { __type: 'com.amazon.coral.service#UnknownOperationException' }, Version: '1.0' };
    assert.equal(bedrock(404, {}, JSON.stringify(body)).code, 'provider_unavailable');
  });
});
