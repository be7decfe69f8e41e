import type { ChatCall } from '../../gateway/gateway.ts';
import { decodeRequest, refuseHostedTools } from '../../protocols/anthropic-messages.ts';
import { invalid } from '../../protocols/validate.ts';
import type { Exchange } from '../define.ts';
import { jsonBody } from '../http.ts';

/** The body as a call. Only what every request needs is checked: a relayed one is checked by its provider. */
export function callOf({ request }: Exchange, options: { counting: boolean }): ChatCall {
  const body = jsonBody(request);
  const { model, stream = false } = body;
  if (typeof model !== 'string' || model === '')
    throw invalid('model', model === undefined ? 'this field is required' : 'must be a string that is not empty');
  const beta = request.headers['anthropic-beta'];
  if (typeof stream !== 'boolean') throw invalid('stream', 'must be true or false');
  return {
    protocol: 'anthropic-messages',
    model,
    stream,
    body,
    ...(typeof beta === 'string' && { headers: { 'anthropic-beta': beta } }),
    decode: () => refuseHostedTools(decodeRequest(body, options)),
  };
}
