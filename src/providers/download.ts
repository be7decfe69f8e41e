/** Pictures and files that a client named by URL, for those who take bytes only. */
import type { ChatRequest, FilePart, ImagePart, Message } from '../core/chat.ts';
import { ViaductError } from '../core/errors.ts';
import { FetchImageError, fetchImage } from '../lib/fetch-image.ts';
import { readImageHeader } from './local/image-header.ts';

const codes = {
  failed: 'image_download_failed',
  'too-large': 'image_too_large',
  forbidden: 'image_download_failed',
} as const;

/** The bytes behind a URL. `param` names the field it came from. Throws image_download_failed, image_too_large. */
export async function download(
  url: string,
  param: string,
  options: { signal: AbortSignal; allow?: readonly string[] },
): Promise<Buffer> {
  try {
    return await fetchImage(url, options);
  } catch (error) {
    if (!(error instanceof FetchImageError)) throw error;
    throw new ViaductError(codes[error.reason], error.message, { param, cause: error });
  }
}

type MediaPart = ImagePart | FilePart;

/**
 * `prepare` of a provider that does not fetch: the same request with bytes instead of URLs, all fetched at once. URLs that the
 * provider does understand, like those of its own storage, are `known`.
 */
export const withBytes =
  (known: RegExp = /^data:/) =>
  async (request: ChatRequest, signal: AbortSignal): Promise<ChatRequest> => {
    const isForeign = (part: { type: string }): part is MediaPart & { source: { url: string } } =>
      (part.type === 'image' || part.type === 'file') && urlOf(part as MediaPart, known) !== undefined;
    if (!request.messages.some(({ parts }) => parts.some(isForeign))) return request;
    const messages = request.messages.map(async (message, index) => {
      const parts = message.parts.map(async (part) =>
        isForeign(part)
          ? { ...part, source: await fetched(part.type, part.source.url, `messages[${index}].content`, signal) }
          : part,
      );
      return { ...message, parts: await Promise.all(parts) } as Message;
    });
    return { ...request, messages: await Promise.all(messages) };
  };

const urlOf = ({ source }: MediaPart, known: RegExp): string | undefined =>
  'url' in source && /^https?:/i.test(source.url) && !known.test(source.url) ? source.url : undefined;

async function fetched(type: MediaPart['type'], url: string, param: string, signal: AbortSignal) {
  const bytes = await download(url, param, { signal });
  const mediaType = readImageHeader(bytes)?.mediaType ?? (type === 'file' ? documentType(bytes) : undefined);
  if (!mediaType)
    throw new ViaductError('unsupported_image_format', 'The image is not a PNG, JPEG, WebP or GIF.', { param });
  return { data: bytes.toString('base64'), mediaType };
}

const documentType = (bytes: Buffer) =>
  bytes.subarray(0, 5).toString() === '%PDF-' ? 'application/pdf' : 'text/plain';
