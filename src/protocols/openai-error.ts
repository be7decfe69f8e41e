/**
 * OpenAI's error shape, both ways, and what OpenAI-shaped upstreams mean by theirs.
 * Source: https://platform.openai.com/docs/guides/error-codes (read 2026-08); Azure, vLLM, TGI, OpenRouter, Groq and one-api
 * by their public code and recorded replies.
 */
import { ViaductError } from '../core/errors.ts';
import type { Json, JsonObject } from '../core/json.ts';
import { causeOf, type Refusal, statusOf } from './error-cause.ts';
import { isObject } from './read.ts';

/** Error → body of a failed reply. */
export function encodeError(error: ViaductError): JsonObject {
  return { error: encodeErrorObject(error) };
}

/** The object under `error`, as stream events carry it too. */
export function encodeErrorObject({ message, type, param, code }: ViaductError): JsonObject {
  return { message, type, param: param ?? null, code };
}

export type UpstreamHeaders = Record<string, string | string[] | undefined>;

/**
 * A failed reply of an upstream → the error our client sees. Status decides first, text second: prompts echoed in a message must
 * not be taken for the cause. A refused key or an empty account of the provider is ours to mend, so it becomes provider_account.
 */
export function decodeError(status: number, headers: UpstreamHeaders, bodyText: string): ViaductError {
  const wire = readError(parseJson(bodyText));
  return classify(wire.status ?? status, wire, retryAfterOf(headers) ?? wire.retryAfter);
}

/** An error inside a reply or stream whose status was 200: `{error: …}` as parsed. */
export function decodeErrorBody(body: Json): ViaductError {
  const wire = readError(body);
  return classify(wire.status ?? statusOf(wire), wire, wire.retryAfter);
}

/** Whether a reply or a chunk of status 200 is an error: Mistral and older vLLM servers write it without a field `error`. */
export const isError = (body: JsonObject): boolean => Boolean(body['error']) || body['object'] === 'error';

type WireError = Refusal & {
  param: string | undefined;
  /** HTTP status, when the body tells a truer one than the status line. */
  status: number | undefined;
  retryAfter: number | undefined;
};

function readError(body: Json): WireError {
  const first = Array.isArray(body) ? body[0] : body; // Google wraps it in an array
  const outer = isObject(first) ? first : {};
  const inner = isObject(outer['error']) ? outer['error'] : outer;
  const metadata = isObject(inner['metadata']) ? inner['metadata'] : {};
  const message = firstText(inner['message'], outer['error'], outer['message'], detailText(outer['detail'])) ?? '';
  const type = firstText(metadata['error_type'], inner['type'], outer['error_type'], inner['status']) ?? '';
  const code = firstText(inner['code'], outer['code']) ?? '';
  const param = firstText(inner['param'], outer['param']);
  return {
    message,
    type,
    code,
    param: code === 'bad_response_status_code' ? undefined : param,
    status:
      // one-api hides the real status in `param`; OpenRouter and vLLM write it as `code`.
      code === 'bad_response_status_code'
        ? httpStatus(param)
        : httpStatus(inner['code'] ?? inner['status_code'] ?? outer['code']),
    retryAfter: retryInfo(inner['details']),
  };
}

function classify(status: number, wire: WireError, retryAfter: number | undefined): ViaductError {
  const code = causeOf(status, wire);
  const param = wire.param;
  switch (code) {
    case 'provider_account':
      return new ViaductError(
        code,
        "The provider refused this server's key or account; its administrator has to mend that.",
      );
    case 'provider_rate_limited':
      return new ViaductError(code, 'The provider is limiting the rate of requests; try again later.', { retryAfter });
    case 'provider_overloaded':
      return new ViaductError(code, 'The provider is overloaded; try again later.', { retryAfter });
    case 'provider_timeout':
      return new ViaductError(code, 'The provider took too long to answer.', { retryAfter });
    case 'provider_unavailable': {
      const hint = status === 404 || status === 405 ? '; the base_url in its configuration may be wrong' : '';
      return new ViaductError(code, `The provider failed (status ${status})${hint}.`, { retryAfter });
    }
    case 'unsupported_capability':
      return new ViaductError(code, 'The provider cannot do this with this model.', { param: 'model' });
    case 'model_not_found':
      return new ViaductError(code, said(wire) || 'The provider does not have this model.', { param: 'model' });
    default:
      return new ViaductError(code, said(wire) || `The provider refused the request (status ${status}).`, { param });
  }
}

const longestMessage = 600;

/** The provider's own sentence, fit for a client: no keys, no hosts, no end of its length. */
function said({ message }: WireError): string {
  return message
    .replace(/\b(?:sk|pk|gsk|xai|key|AIza|hf|vd)[-_][\w-]{8,}|\bAIza[\w-]{20,}/g, '[redacted]')
    .replace(/\bBearer\s+\S+/gi, 'Bearer [redacted]')
    .replace(/\bhttps?:\/\/[^\s"')]+/g, '[url]')
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/g, '[address]')
    .slice(0, longestMessage);
}

/** Seconds to wait, from the headers; a date is taken against the reply's own `date`, so that no clock is needed. */
function retryAfterOf(headers: UpstreamHeaders): number | undefined {
  const header = (name: string) => {
    const value = headers[name];
    return Array.isArray(value) ? value[0] : value;
  };
  const ms = Number(header('retry-after-ms'));
  if (ms > 0) return ms / 1000;
  const after = header('retry-after');
  if (after) {
    const seconds = Number(after);
    if (seconds >= 0) return seconds;
    const wait = (Date.parse(after) - Date.parse(header('date') ?? '')) / 1000;
    if (wait >= 0) return wait;
  }
  return undefined;
}

/** Google's RetryInfo, which its OpenAI-compatible endpoint sends too: `{"retryDelay": "34s"}`. */
function retryInfo(details: Json | undefined): number | undefined {
  if (!Array.isArray(details)) return undefined;
  for (const detail of details) {
    const delay = isObject(detail) ? detail['retryDelay'] : undefined;
    if (typeof delay === 'string' && /^[\d.]+s$/.test(delay)) return Number.parseFloat(delay);
  }
  return undefined;
}

function detailText(detail: Json | undefined): Json | undefined {
  if (!Array.isArray(detail)) return detail;
  return detail.map((item) => (isObject(item) ? firstText(item['msg']) : firstText(item))).join('; ');
}

function firstText(...values: (Json | undefined)[]): string | undefined {
  return values.find((value): value is string => typeof value === 'string' && value !== '');
}

function httpStatus(value: Json | undefined): number | undefined {
  const status = Number(value);
  return status >= 400 && status < 600 ? status : undefined;
}

function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return {};
  }
}
