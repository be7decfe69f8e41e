/** What goes wrong between us and a provider, as our errors. Addresses and keys stay out of them. */
import { ViaductError } from '../../core/errors.ts';
import type { Cancel } from '../../lib/cancel.ts';
import { type ByteStream, type HttpReply, TooLarge } from '../../lib/http-client.ts';
import { SseError } from '../../lib/sse.ts';
import type { Dialect, Headers } from '../define.ts';

const errorLimit = 64 * 1024;

/** What went wrong below HTTP. The address stays out of the message: it may be an internal one. */
export function connectionError(name: string, error: unknown, cancel: Cancel): unknown {
  if (cancel.aborted) return cancel.reason;
  if (error instanceof ViaductError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'UND_ERR_CONNECT_TIMEOUT')
    return new ViaductError('provider_timeout', `The provider ${name} did not take the connection in time.`, {
      cause: error,
    });
  const refused = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH'].includes(code);
  return new ViaductError(
    'provider_unavailable',
    refused
      ? `The provider ${name} cannot be reached. Is its base_url right, and is it running?`
      : `The connection to the provider ${name} broke.`,
    { cause: error },
  );
}

/** A status of 300 and above. Guards what a dialect may have got wrong: a passing fault is never the client's. */
export async function statusError(
  name: string,
  reply: HttpReply,
  dialect: Dialect,
  key: string,
): Promise<ViaductError> {
  const { status, headers } = reply;
  if (status < 400) {
    reply.body.cancel();
    return new ViaductError('provider_unavailable', `The provider ${name} redirects elsewhere: correct its base_url.`);
  }
  const text = await head(reply.body);
  const error = dialect.decodeError(status, headers as Headers, text);
  const passing = status === 408 || status === 409 || status === 425 || status === 429 || status >= 500;
  const retryAfter = error.retryAfter ?? retryAfterOf(headers as Headers);
  if (passing && !error.fallback)
    return new ViaductError('provider_unavailable', `The provider ${name} failed with status ${status}.`, {
      retryAfter,
      cause: error,
    });
  if (key && error.message.includes(key))
    return new ViaductError(error.code, `The provider ${name} failed with status ${status}.`, {
      retryAfter,
      param: error.param,
    });
  if (retryAfter === error.retryAfter) return error;
  return new ViaductError(error.code, error.message, { retryAfter, param: error.param, cause: error.cause });
}

/** Seconds, from `retry-after-ms` or `retry-after` as seconds or a date. Source: RFC 9110, 10.2.3 */
function retryAfterOf(headers: Headers): number | undefined {
  const ms = Number(headers['retry-after-ms']);
  if (ms > 0) return ms / 1000;
  const text = headers['retry-after'];
  if (typeof text !== 'string') return undefined;
  const seconds = /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined;
}

/** The first 64 KB of an error's body; what breaks on the way is left out. */
async function head(body: ByteStream): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= errorLimit) break;
    }
  } catch {}
  return Buffer.concat(chunks).subarray(0, errorLimit).toString();
}

/** A page, or half a JSON: nothing that the protocol knows. Lets go of the body. */
export function notTheProtocol(name: string, body?: ByteStream): ViaductError {
  body?.cancel();
  return new ViaductError(
    'provider_invalid_response',
    `The provider ${name} answered with something that is not its API's reply.`,
  );
}

/** Failures while a body is read: ours pass, an abort's reason is one of them. */
export function readError(name: string, error: unknown): ViaductError {
  if (error instanceof ViaductError) return error;
  if (error instanceof TooLarge || error instanceof SseError)
    return new ViaductError('provider_invalid_response', `The provider ${name} sent more than a reply may hold.`, {
      cause: error,
    });
  return new ViaductError(
    'provider_unavailable',
    `The connection to the provider ${name} broke in the middle of its answer.`,
    { cause: error },
  );
}
