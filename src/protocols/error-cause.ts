/** What an upstream's refusal means: by its status first, then by its type and code, then by its sentence. */
import type { ErrorCode } from '../core/errors.ts';

/** What a failed reply says of itself, wherever it said it. */
export type Refusal = { type: string; code: string; message: string };

/** Statuses that mean one thing whatever the text says. */
const byStatus: Record<number, ErrorCode> = {
  408: 'provider_timeout',
  413: 'payload_too_large',
  498: 'provider_overloaded', // Groq's flex tier is full
  501: 'unsupported_capability',
  503: 'provider_overloaded',
  504: 'provider_timeout',
  522: 'provider_timeout', // Cloudflare: no connection to the provider
  524: 'provider_timeout',
  529: 'provider_overloaded',
};

/** `status`: HTTP's. A refused key or an empty account of the provider is ours to mend: provider_account. */
export function causeOf(status: number, refusal: Refusal): ErrorCode {
  const words = `${refusal.type} ${refusal.code}`.toLowerCase();
  switch (status) {
    case 401:
    case 402:
    case 403:
      return deniedCause(words, refusal.message);
    case 404:
    case 410:
      if (lacksAbility(refusal.message)) return 'unsupported_capability';
      return /model|deployment|no endpoints found/i.test(`${words} ${refusal.message}`)
        ? 'model_not_found'
        : 'provider_unavailable';
    case 429:
      if (/insufficient_quota|current_quota|billing/.test(words)) return 'provider_account';
      return words.includes('overloaded') ? 'provider_overloaded' : 'provider_rate_limited';
    case 400:
    case 413:
    case 422:
    case 500: // llama.cpp and Ollama say what the client did wrong with it, too
      if (isContextOverflow(refusal)) return 'context_length_exceeded';
      if (status === 413 && words.includes('rate_limit')) return 'provider_rate_limited'; // more than a minute's tokens
      if (status === 500 && lacksAbility(refusal.message)) return 'unsupported_capability';
  }
  if (status === 400 || status === 422) return clientCause(words, refusal.message);
  return byStatus[status] ?? 'provider_unavailable';
}

function deniedCause(words: string, message: string): ErrorCode {
  if (/content_filter|content_policy|moderation/.test(words)) return 'content_policy_violation';
  if (/input was flagged|violates usage guidelines/i.test(message)) return 'content_policy_violation';
  // One model that the account may not use is no reason to rest its key.
  return words.includes('model_not_found') ? 'model_not_found' : 'provider_account';
}

function clientCause(words: string, message: string): ErrorCode {
  const found = byCode.find(([pattern]) => pattern.test(words)) ?? byPhrase.find(([pattern]) => pattern.test(message));
  if (found) return found[1];
  return lacksAbility(message) ? 'unsupported_capability' : 'provider_rejected';
}

/** Of type and code, in small letters. */
const byCode: [RegExp, ErrorCode][] = [
  [
    /content_filter|content_policy|content_management|responsibleai|moderation|data_?inspection/,
    'content_policy_violation',
  ],
  [/tool_use_failed|output_parse_failed|json_validate_failed/, 'invalid_model_output'],
  [/model_not_found|model_not_exist|model_decommissioned|deploymentnotfound|invalid_model\b/, 'model_not_found'],
  [/invalid_api_key|arrearage|budget_exceeded/, 'provider_account'],
  [/invalid_image_url/, 'image_download_failed'],
  [/invalid_image_format/, 'unsupported_image_format'],
  [/image_parse_error/, 'invalid_image'],
];

/** Of the sentence. It may quote the prompt, so nothing shorter than what only a provider would say. */
const byPhrase: [RegExp, ErrorCode][] = [
  [/prompt was flagged as potentially violating/i, 'content_policy_violation'],
  [/api key (not valid|expired)|(invalid|incorrect) api key|user location is not supported/i, 'provider_account'],
  [/^model not exist|is not a valid model id/i, 'model_not_found'],
  [/request payload size exceeds the limit/i, 'payload_too_large'],
  [/unable to process input image|provided image is not valid/i, 'invalid_image'],
];

/** Whether a sentence says that the model cannot do what was asked; another one may. */
export const lacksAbility = (message: string): boolean =>
  /not a multimodal model|\b(does not|doesn.t|do not) support (the )?(image|vision|video|document|tool|function|thinking)|support(s)? (image|tool) (input|use)/i.test(
    message,
  ) ||
  /\bis not enabled for (this model|models\/)|^logprobs is not (supported|enabled)|requires --enable-auto-tool-choice|^tool_choice: .*not supported for this model|errors: tool_choice: .*not supported|mode does not support this tool_choice|tool_choice parameter does not support being set|missing data required for image input|no endpoints found that support/i.test(
    message,
  );

/** How providers say that a prompt is longer than the context. */
const contextPhrases = [
  'maximum context length',
  'context_length_exceeded',
  'exceed context limit',
  "model's maximum context limit",
  "is longer than the model's context length",
  "the model's context length is only",
  'is longer than the maximum model length',
  'input tokens exceed the configured limit',
  '`inputs` tokens + `max_new_tokens` must be',
  '`inputs` must have less than',
  'exceeds the available context size',
  'exceeds the context length',
  'exceed_context_size',
  'exceeds the maximum number of tokens allowed',
  'exceeded model token limit',
  'maximum input length is',
  'maximum prompt length is',
  'prompt is too long',
  'reduce the length of the messages',
  'reduce the length of either',
  'context window',
  'range of input length should be',
  'exceeds the model length',
  'too large for model with',
];

function isContextOverflow({ message, code, type }: Refusal): boolean {
  const text = `${message} ${code} ${type}`.toLowerCase();
  if (text.includes('string_above_max_length') || text.includes("invalid 'user'")) return false;
  return contextPhrases.some((phrase) => text.includes(phrase)) || /current length is .* while limit is/.test(text);
}

/** The HTTP status that an error without a status line would have had. */
export function statusOf(refusal: Refusal): number {
  const words = `${refusal.type} ${refusal.code}`.toLowerCase();
  if (/rate_?limit|too_many|resource_exhausted|insufficient_quota/.test(words)) return 429;
  if (/overloaded|unavailable|capacity/.test(words)) return 503;
  if (/timeout/.test(words)) return 504;
  if (/authentication|api_key|permission|billing|payment/.test(words)) return 401;
  if (/not_?found/.test(words)) return 404;
  if (/invalid|validation|bad_?request|context_length|content_filter|content_policy|tool_use_failed/.test(words))
    return 400;
  return isContextOverflow(refusal) ? 400 : 500;
}
