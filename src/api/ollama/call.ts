import type { JsonObject } from '../../core/json.ts';
import type { ChatCall } from '../../gateway/gateway.ts';
import { encodeStreamError, type ReplyContext } from '../../protocols/ollama.ts';
import { invalid } from '../../protocols/validate.ts';
import type { StreamDialect } from '../chat-answer.ts';

/** The name of the model and whether to stream, which Ollama does unless told not to. Throws invalid_request. */
export function headOf({ model, stream }: JsonObject): Pick<ChatCall, 'protocol' | 'model' | 'stream'> {
  if (typeof model !== 'string' || model === '') throw invalid('model', 'the name of a model is required');
  if (stream != null && typeof stream !== 'boolean') throw invalid('stream', 'must be true or false');
  return { protocol: 'ollama', model, stream: stream ?? true };
}

/** The stream of one endpoint. Its lines have no way to say nothing, so there is no keep-alive. */
export function streamOf(
  createEncoder: (context: ReplyContext) => ReturnType<StreamDialect['createEncoder']>,
  context: Omit<ReplyContext, 'loadMs'>,
): StreamDialect {
  return {
    contentType: 'application/x-ndjson',
    createEncoder: ({ report }) => createEncoder({ ...context, loadMs: () => report.loadMs }),
    encodeError: encodeStreamError,
  };
}
