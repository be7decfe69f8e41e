/** What the engine says went wrong, in our words. */
import { ViaductError } from '../../core/errors.ts';
import { isObject, type JsonObject } from '../../core/json.ts';
import { readJson } from '../../engine/reply.ts';
import type { RunnerReply } from '../../engine/runner.ts';

/** The engine could not render the messages: another rendering may do. Never leaves the provider. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
}

/** The reply when it is a success. Throws TemplateError or what `engineError` makes; `field` is where the prompt came from. */
export async function succeeded(reply: RunnerReply, field = 'messages'): Promise<RunnerReply> {
  if (reply.status >= 200 && reply.status < 300) return reply;
  throw engineError(await readJson(reply), field);
}

/** OpenAI's wording, which client libraries look for. */
export function contextExceeded(limit: number, tokens: number, param = 'messages'): ViaductError {
  const [found, what] = param === 'messages' ? ['your messages resulted in', 'messages'] : [`${param} has`, 'input'];
  return new ViaductError(
    'context_length_exceeded',
    `This model's maximum context length is ${limit} tokens. However, ${found} ${tokens} tokens. Please reduce the length of the ${what}, or raise num_ctx if the model was trained for more.`,
    { param },
  );
}

/**
 * `{error: {code, message, type}}` → an error for the client.
 * Source: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
 */
export function engineError(body: JsonObject, field = 'messages'): ViaductError | TemplateError {
  const error = isObject(body['error']) ? body['error'] : {};
  const message = String(error['message'] ?? 'The engine failed without saying why.');
  const type = error['type'];
  if (type === 'exceed_context_size_error')
    return contextExceeded(Number(error['n_ctx']), Number(error['n_prompt_tokens']), field);
  if (/template|jinja|roles must alternate|parser for this|No user query|chat format/i.test(message))
    return new TemplateError(message);
  if (/image|audio|mtmd|bitmap|media/i.test(message)) {
    if (/not supported|mmproj/i.test(message))
      return new ViaductError('unsupported_capability', 'This model cannot see images.', { param: 'messages' });
    return new ViaductError('invalid_image', 'The engine could not read one of the images.', { param: 'messages' });
  }
  if (/surrogate|invalid UTF-8/i.test(message))
    return new ViaductError('invalid_request', 'The text is not valid Unicode: it holds half of a character.', {
      param: 'messages',
    });
  if (/grammar/i.test(message))
    return new ViaductError('invalid_request', 'The grammar cannot be read by the engine.', { param: 'grammar' });
  if (type === 'not_supported_error') return new ViaductError('unsupported_capability', message);
  if (type === 'unavailable_error') return new ViaductError('engine_unavailable', message);
  if (type === 'invalid_request_error') return new ViaductError('invalid_request', message);
  return new ViaductError('invalid_model_output', `The engine failed: ${message}`);
}
